"""The values of an application, which may be of any class, as the plain ones that rules and reports know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from numbers import Integral, Real
from types import NoneType
from typing import Any, Final, TypeVar, final

K = TypeVar("K")


@final
class Missing:
    """The type of `MISSING`: JavaScript's undefined."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""The value of a key that is not there, or that cannot be read."""


@final
class FactKey:
    """The key of a condition that has none: it equals nothing else, so that no mapping of an application holds it."""

    __slots__ = ("fact",)

    def __init__(self, fact: str) -> None:
        self.fact = fact

    def __repr__(self) -> str:
        return f"FactKey({self.fact!r})"


LISTS: Final = (list, tuple, set, frozenset)

_SCALARS: Final = frozenset({str, int, float, bool, NoneType, Decimal})
_PLAIN: Final = _SCALARS | {list, tuple, set, frozenset, dict, Missing}
_MOST_ITEMS: Final = 10_000
"""Items of a value that is remembered; what is beyond is left out."""
_MOST_KEYS: Final = 10_000
_MOST_READ: Final = 100_000
"""Keys and items that are read of an application's own container, which may have no end."""
_DEEPEST: Final = 64
"""Levels of a value that is remembered."""


class Opaque:
    """An object that is neither a scalar nor a container: its text is all that is known of it."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def plain(value: object) -> object:
    """The value as one of Python's own classes; MISSING where it raises when it is looked at.

    Proxies are what they stand for, subclasses and numbers of other libraries what they hold; only the outermost
    level is changed.

    >>> from fractions import Fraction
    >>> plain(Fraction(1, 2))
    0.5
    """
    if type(value) in _PLAIN:
        return value
    try:
        return _opened(value)
    except Exception:  # noqa: BLE001  # the application's own class; its trouble is this value's alone
        return MISSING


def _opened(value: object) -> object:
    kind, claimed = type(value), value.__class__  # a proxy claims the class of what it stands for
    if issubclass(claimed, str):
        return str.__str__(value if isinstance(value, str) and issubclass(kind, str) else str(value))
    if issubclass(claimed, Decimal):
        return Decimal(value) if issubclass(kind, Decimal) else Decimal(str(value))  # type: ignore[arg-type]  # as it is
    if claimed is bool:
        return bool(value)
    if claimed is NoneType:
        return None
    if isinstance(value, Mapping):
        return copy_mapping(value)
    if isinstance(value, LISTS):
        return [*islice(value, _MOST_READ)]
    number = _number(value)
    return Opaque(str(value)) if number is None else number


def _number(value: object) -> object:
    """The number, list or boolean that an object of another library is; None where it is something else."""
    if isinstance(value, Integral):
        return int.__int__(value.__int__())  # int() looks past what a proxy stands for
    if isinstance(value, Real):
        return float.__float__(value.__float__())
    unknown: Any = value
    native = (
        unknown.tolist() if hasattr(value, "tolist") else value
    )  # a scalar or an array of numpy and its like
    if type(native) in _PLAIN:
        return native
    if hasattr(value, "__index__"):
        return int.__int__(unknown.__index__())
    if isinstance(value, Sequence) or not hasattr(value, "__float__"):  # a UserString has it, and is text
        return None
    return float.__float__(unknown.__float__())


def copy_mapping(mapping: Mapping[K, object]) -> dict[K, object]:
    """A copy: the answer of `[]` for each key, without what cannot be read."""
    found: dict[K, object] = {}
    try:
        for key in islice(mapping, _MOST_KEYS):
            value = read(mapping, key)
            if value is not MISSING:
                found[key] = value
    except Exception:  # noqa: BLE001, S110  # as in `plain`; what was read stays
        pass
    return found


def read(mapping: Mapping[K, object], key: K) -> object:
    """The value of a key; MISSING where there is none, or it cannot be read."""
    try:
        return mapping[key]
    except Exception:  # noqa: BLE001  # as in `plain`
        return MISSING


class ReadableMapping(Mapping[str, object]):
    """An application's own mapping, read when it is asked: a value that raises is missing to `get`, None to `[]`."""

    __slots__ = ("_mapping",)

    def __init__(self, mapping: Mapping[str, object]) -> None:
        self._mapping = mapping

    def __getitem__(self, key: str) -> object:
        value = read(self._mapping, key)
        return None if value is MISSING else value

    def get(self, key: Any, default: object = None) -> object:
        if isinstance(key, FactKey):  # an application's own class might answer whatever it is asked
            return default
        value = read(self._mapping, key)
        return default if value is MISSING else value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and read(self._mapping, key) is not MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(copy_mapping(self._mapping))

    def __len__(self) -> int:
        return len(copy_mapping(self._mapping))


def tree(value: object) -> object:
    """A deep copy in JSON's own types, to be kept: lists and dicts of scalars, within bounds.

    A container inside itself is None, an object of another kind its text; what cannot be read is left out.

    >>> tree({"sizes": (1, 2)})
    {'sizes': [1, 2]}
    """
    return value if type(value) in _SCALARS else _Copy().of(value, _DEEPEST)


class _Copy:
    """One copy, and what it may still hold."""

    __slots__ = ("left", "opened")

    def __init__(self) -> None:
        self.left = _MOST_ITEMS
        self.opened: set[int] = set()

    def of(self, value: object, depth: int) -> object:
        value = plain(value)
        self.left -= 1
        if type(value) in _SCALARS or value is MISSING:
            return value
        if not isinstance(value, (dict, *LISTS)):
            return str(value)
        if depth == 0 or id(value) in self.opened:
            return None
        self.opened.add(id(value))
        copied: object
        if isinstance(value, dict):
            copied = {_key(key): item for key, item in self._items(value.items(), depth)}
        else:
            copied = [item for _, item in self._items(enumerate(value), depth)]
        self.opened.discard(id(value))
        return copied

    def _items(self, items: Iterable[tuple[object, object]], depth: int) -> Iterator[tuple[object, object]]:
        for key, value in items:
            if self.left <= 0:
                return
            item = self.of(value, depth - 1)
            if item is not MISSING:
                yield key, item


def _key(key: object) -> object:
    if type(key) in _SCALARS:
        return key
    return str(plain(key))
