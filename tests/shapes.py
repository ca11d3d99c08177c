"""Values of a looser type, taken as what a test knows them to be; the test fails where they are not."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """The value, which is there."""
    assert value is not None
    return value


def of(kind: type[T], value: object) -> T:
    """The value, which is of this class."""
    assert isinstance(value, kind), f"expected {kind.__name__}, found {type(value).__name__}"
    return value
