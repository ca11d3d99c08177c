"""The file of overrides, JSON or TOML, on its way in: each entry by itself, and what is wrong named by its place.

{
    "experiences": {
        "checkout": "one-page",
        "banner": false,
        "search": [{"variation": "b", "visitor_id": "v-42"}, {"variation": "a", "gates": true}]
    },
    "features": {
        "pricing": {"variables": {"discount": 0.2}},
        "chat": false
    }
}
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from convert_sdk import _checks as check
from convert_sdk._core.override import Override
from convert_sdk._core.values import tree
from convert_sdk.errors import DocumentError

from .coerce import kind
from .json import json_path, read_json

_SECTIONS = ("experiences", "features")
_EXPERIENCE_FIELDS = ("variation", "enabled", "gates", "visitor_id")
_FEATURE_FIELDS = ("enabled", "variables", "visitor_id")


class OverridesRead(NamedTuple):
    """The overrides of a file, and what is wrong in it: one sentence each, which begins with the place."""

    overrides: tuple[Override, ...]
    problems: tuple[str, ...]


class Origin(NamedTuple):
    """The origin of the overrides of one file."""

    name: str
    """The file, for explanations."""
    only_unknown: bool
    """True if they count only where the document has no such key."""


def read_overrides(content: bytes, suffix: str, origin: Origin) -> OverridesRead:
    """The overrides in the content of a file; an entry that is no good is left out, and named.

    Args:
        content: The bytes of the file.
        suffix: The end of its name: ".toml", or anything else for JSON.
        origin: The origin to be shown.

    Raises:
        DocumentError: The content is not JSON or TOML, or no object.
    """
    value = _read_toml(content) if suffix.lower() == ".toml" else read_json(content)
    if not isinstance(value, Mapping):
        raise DocumentError("$", "an object with experiences and features", kind(value))
    problems: list[str] = []

    def report(place: tuple[str | int, ...], text: str) -> None:
        problems.append(f"{json_path(place)}: {text}")

    for name in value:
        if name not in _SECTIONS:
            report((name,), f"is neither experiences nor features{check.nearest(name, _SECTIONS)}")
    overrides = []
    for section in _SECTIONS:
        for place, key, entry in _entries(value.get(section), section, report):
            override = _override(place, key, entry, origin, report)
            if override is not None:
                overrides.append(override)
    return OverridesRead(tuple(overrides), tuple(problems))


def _read_toml(content: bytes) -> object:
    from tomllib import TOMLDecodeError, loads

    try:
        return loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DocumentError("$", "TOML in UTF-8", f"an invalid byte at byte {error.start}") from None
    except (TOMLDecodeError, RecursionError) as error:
        raise DocumentError("$", "TOML", str(error)) from None


Place = tuple[str | int, ...]
Report = Callable[[Place, str], None]


def _entries(value: object, section: str, report: Report) -> Iterator[tuple[Place, str, object]]:
    """The entries of a section: of each key one, or several in a list."""
    if not isinstance(value, Mapping):
        if value is not None:
            report((section,), f"expected an object of entries by their keys, found {kind(value)}")
        return
    for key, entry in value.items():
        if isinstance(entry, list):
            yield from (((section, key, number), key, each) for number, each in enumerate(entry))
        else:
            yield (section, key), key, entry


def _override(place: Place, key: str, entry: object, origin: Origin, report: Report) -> Override | None:
    is_feature = place[0] == "features"
    fields = _FEATURE_FIELDS if is_feature else _EXPERIENCE_FIELDS
    if isinstance(entry, Mapping):
        return _checked(place, key, entry, fields, origin, report)
    if isinstance(entry, bool) and (is_feature or not entry):
        return _checked(place, key, {"enabled": entry}, fields, origin, report)
    if isinstance(entry, str) and not is_feature:
        return _checked(place, key, {"variation": entry}, fields, origin, report)
    wanted = "true, false" if is_feature else "the key of a variation, false"
    report(place, f"expected {wanted} or an object with {', '.join(fields)}, found {kind(entry)}")
    return None


def _checked(
    place: Place,
    key: str,
    entry: Mapping[str, object],
    fields: Collection[str],
    origin: Origin,
    report: Report,
) -> Override | None:
    """The override of an entry; None for one with a flaw, as a field that is misspelt may say whom it is for."""
    is_feature = place[0] == "features"
    flaws: list[tuple[Place, str]] = [
        ((*place, name), f"is none of {', '.join(fields)}{check.nearest(name, fields)}")
        for name in entry
        if name not in fields
    ]
    flaws += [((*place, name), text) for name, text in _flaws(entry)]
    has_variation, is_enabled = entry.get("variation") is not None, entry.get("enabled", True) is True
    if not is_feature and not flaws and has_variation is not is_enabled:
        flaws.append((place, "expected either the key of a variation or enabled = false"))
    for where, text in flaws:
        report(where, f"{text}; the entry is left out")
    if flaws:
        return None
    variation, variables, whom = entry.get("variation"), tree(entry.get("variables")), entry.get("visitor_id")
    return Override(
        key,
        is_feature,
        variation if isinstance(variation, str) else None,
        is_enabled,
        variables if isinstance(variables, dict) else {},
        entry.get("gates") is True,
        None if whom is None else str(whom),
        f"the file {origin.name}",
        origin.only_unknown,
    )


def _flaws(entry: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The fields of an entry whose values are of another type."""
    for name, value in entry.items():
        wanted, accepts = _VALUES.get(name, ("", _anything))
        if not accepts(value):
            yield name, f"expected {wanted}, found {kind(value)}"


def _anything(value: object) -> bool:  # noqa: ARG001  # that is the answer
    return True


def _is_id(value: object) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


_VALUES: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "variation": ("the key of a variation", lambda value: isinstance(value, str)),
    "enabled": ("true or false", lambda value: isinstance(value, bool)),
    "gates": ("true or false", lambda value: isinstance(value, bool)),
    "variables": ("an object", lambda value: isinstance(value, Mapping)),
    "visitor_id": ("the id of a visitor", _is_id),
}
