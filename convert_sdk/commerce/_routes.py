"""Tables of addresses that a user may correct."""

from __future__ import annotations

import re
from dataclasses import fields

from convert_sdk.errors import OptionError

_ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/[^\s?#]*)")


class Routes:
    """A frozen table of routes, `METHOD /path`, checked when it is made."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            route, pattern = getattr(self, each.name), str(each.default)
            holes = set(re.findall(r"{\w+}", str(route)))
            if not _ROUTE.fullmatch(str(route)) or holes != set(re.findall(r"{\w+}", pattern)):
                raise OptionError(f"{each.name}: expected a route like {pattern!r}, found {route!r}")
