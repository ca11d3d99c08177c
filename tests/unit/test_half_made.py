"""Error trackers and debuggers print objects whose constructor has not ended, or has failed."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import convert_sdk

DJANGO = "convert_sdk.integrations.django"
"""Its modules are imported by an application of Django, with settings."""


def modules() -> Iterator[str]:
    yield "convert_sdk"
    for module in pkgutil.walk_packages(convert_sdk.__path__, "convert_sdk."):
        if not any(part.startswith("_") for part in module.name.split(".")) and DJANGO not in module.name:
            yield module.name


def classes() -> set[type]:
    """Every class that a public module has under a public name; a proxy is not asked, as Django's needs settings."""
    return {
        value
        for module in modules()
        for name, value in vars(import_module(module)).items()
        if issubclass(type(value), type)
        and value.__module__.startswith("convert_sdk")
        and not name.startswith("_")
    }


def half_made(cls: Any) -> object | None:
    try:
        half: object = cls.__new__(cls)
        return half
    except TypeError:  # a tuple or an enumeration: it is whole, or there is none
        return None


def raises(half: object) -> bool:
    try:
        return not (repr(half) and isinstance(str(half), str))
    except Exception:  # noqa: BLE001  # any is one too many
        return True


def test_it_can_be_printed() -> None:
    halves = {cls.__name__: half for cls in classes() if (half := half_made(cls)) is not None}
    assert halves.keys() > {
        "Client",
        "Visitor",
        "Project",
        "ResolvedFeature",
        "MemoryStore",
        "RedisStore",
        "Bridge",
    }
    assert [name for name, half in halves.items() if raises(half)] == []
