"""Copies of JSON values for applications, which may change them."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def copy_json(value: T) -> T:
    """A deep copy of a JSON value; other values as they are.

    >>> shared = {"sizes": [1, 2]}
    >>> copy_json(shared)["sizes"].append(3)
    >>> shared
    {'sizes': [1, 2]}
    """
    top = {"": value}
    copies: list[dict[object, object] | list[object]] = [top]  # type: ignore[list-item]  # one of them
    made: dict[int, dict[object, object] | list[object]] = {}  # what an application has may hold itself
    while copies:  # a stack, as JSON may nest deeper than calls can
        container = copies.pop()
        places = container.items() if isinstance(container, dict) else enumerate(container)
        for place, item in places:
            if isinstance(item, (dict, list)):
                copy = made.get(id(item))
                if copy is None:
                    copy = made[id(item)] = item.copy()
                    copies.append(copy)
                container[place] = copy  # type: ignore[call-overload]  # its own place
    return top[""]
