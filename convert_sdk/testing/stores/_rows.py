"""Rows of a fake store: looked up, checked and filtered."""

from __future__ import annotations

from collections.abc import Mapping

from convert_sdk.testing.stores._local import Ask, Refusal

JsonObject = dict[str, object]
_MILLISECONDS = 100_000_000_000


def checked(body: Mapping[str, object], allowed: set[str], required: tuple[str, ...]) -> Mapping[str, object]:
    """`body`; Refusal for an unknown field, or without a required one."""
    if unknown := sorted(set(body) - allowed):
        raise Refusal(400, f"Unknown field: {unknown[0]}")
    if missing := [name for name in required if not body.get(name)]:
        raise Refusal(400, f"{missing[0]} is required")
    return body


def found(table: Mapping[int, JsonObject], ask: Ask) -> JsonObject:
    """The row an address names; Refusal if there is none."""
    number = ask.ids["id"]
    row = table.get(int(number)) if number.isdecimal() else None
    if row is None:
        raise Refusal(404, "Not found")
    return row


def within(ask: Ask, value: object, names: tuple[str, str], inclusive: bool) -> bool:
    """True if a time is between two query parameters, each of which may be missing.

    A row with a time that is spelt some other way is in every window: the store itself knows when it was.
    """
    if not isinstance(value, int):
        return True
    at, reach = (value // 1000 if value > _MILLISECONDS else value), (0 if inclusive else 1)
    low, high = ask.number(names[0], at - reach), ask.number(names[1], at + reach)
    return low + reach <= at <= high - reach


def texts(value: object) -> list[str]:
    """The texts of a JSON array."""
    return [str(each) for each in value] if isinstance(value, list) else []


def objects(value: object) -> list[JsonObject]:
    """The objects of a JSON array."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
