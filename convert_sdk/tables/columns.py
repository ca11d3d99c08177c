"""Columns of a table: a fact as codes and distinct values, a visitor id as bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute  # registers what casts and encodings call

from convert_sdk.errors import TableError

from .texts import Texts

Codes = npt.NDArray[np.signedinteger]
Rows = npt.NDArray[np.bool_]


class UnreadableValue:
    """The type of `UNREADABLE`."""

    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Final = UnreadableValue()
"""In place of a value that cannot be read, such as text that is no UTF-8."""


class FactColumn(NamedTuple):
    """One fact of a batch: the values that occur in it, and for each row the place of its own."""

    codes: Codes
    values: list[object]
    numbers: npt.NDArray[np.float64] | None = None
    """The rows as doubles, where they are numbers; those without a value are any."""
    empty: Rows | None = None
    """The rows without a value, where `numbers` are given and there are any."""
    may_be_nan: bool = False


def numbers(array: pa.Array) -> FactColumn | None:
    """A column of numbers, as it is; None of another type."""
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return None
    empty = None
    if array.null_count:
        empty = array.is_null().to_numpy(zero_copy_only=False)
        array = array.fill_null(pa.scalar(0, array.type))
    values = array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return FactColumn(_NO_CODES, [], values, empty, pa.types.is_floating(array.type))


_NO_CODES = np.zeros(0, np.int8)


def encoded(array: pa.Array) -> FactColumn:
    """A column as codes and the values that they stand for; None stands for a null."""
    if pa.types.is_dictionary(array.type):
        indices, values = _used(array)
    elif pa.types.is_nested(array.type) or pa.types.is_null(array.type):
        return FactColumn(np.arange(len(array), dtype=np.int32), readable(array))
    else:
        try:
            encoding = array.dictionary_encode()
        except pa.ArrowNotImplementedError:
            return FactColumn(np.arange(len(array), dtype=np.int32), readable(array))
        indices, values = encoding.indices, readable(encoding.dictionary)
    if indices.null_count:
        indices = indices.cast(pa.int32()).fill_null(len(values))
        values.append(None)
    return FactColumn(indices.to_numpy(zero_copy_only=False), values)


def _used(array: pa.DictionaryArray) -> tuple[pa.Array, list[object]]:
    """The indices and values of a column of codes; of a long dictionary the values alone that its rows have."""
    if len(array.dictionary) <= len(array):
        return array.indices, readable(array.dictionary)
    places = array.indices.dictionary_encode()
    return places.indices, [_value(array.dictionary, place) for place in places.dictionary.to_pylist()]


def readable(array: pa.Array) -> list[object]:
    """The values as Python's own; `UNREADABLE` in place of one that has no such form."""
    try:
        found: list[object] = array.to_pylist()
    except (ValueError, OverflowError, KeyError):  # one of them; the others are read one by one
        return [_value(array, row) for row in range(len(array))]
    return found


def _value(array: pa.Array, row: int) -> object:
    try:
        value: object = array[row].as_py()
    except (ValueError, OverflowError, KeyError):
        return UNREADABLE
    return value


class Ids(NamedTuple):
    """The ids of a batch, and the rows that have none which can be used."""

    texts: Texts
    absent: Rows | None
    """Rows without an id."""
    empty: Rows | None
    """Rows whose id is empty text."""
    unreadable: Rows | None
    """Rows whose id is no UTF-8."""


def check_ids(name: str, kind: pa.DataType) -> None:
    """Check that a column can hold ids. Raises TableError for one that cannot."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (is_text(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner)):
        raise TableError(
            f"column {name!r} is {kind}: a visitor's id is text or a whole number; cast the column to text"
        )


def is_text(kind: pa.DataType) -> bool:
    """True if a type is text, of any width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def ids(array: pa.Array) -> Ids:
    """The ids in a column of text or whole numbers."""
    if pa.types.is_dictionary(array.type):
        values = array.dictionary
        if pa.types.is_string_view(values.type):  # which Arrow cannot take from
            array = pa.DictionaryArray.from_arrays(array.indices, without_views(values))
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        array = without_views(array)
    elif not pa.types.is_string(array.type) and not pa.types.is_large_string(array.type):
        array = array.cast(pa.large_string())
    count, begin = len(array), array.offset
    wide = pa.types.is_large_string(array.type)
    _, offsets_buffer, data_buffer = array.buffers()
    kind: type[np.signedinteger] = np.int64 if wide else np.int32
    offsets = np.frombuffer(offsets_buffer, kind)[begin : begin + count + 1]
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None and data_buffer.size else _NOTHING
    texts = Texts(data, offsets)
    absent = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    empty = offsets[1:] == offsets[:-1]
    return Ids(texts, absent, empty if empty.any() else None, _unreadable(array, texts))


def without_views(array: pa.Array) -> pa.Array:
    """Views of text as text, row by row where this version of Arrow has no cast for them."""
    try:
        return array.cast(pa.large_string())
    except pa.ArrowNotImplementedError:
        rows = [row.as_buffer().to_pybytes() if row.is_valid else None for row in array]
        return pa.array(rows, pa.large_binary()).cast(pa.large_string(), safe=False)


_NOTHING = np.zeros(0, np.uint8)


def _unreadable(array: pa.Array, texts: Texts) -> Rows | None:
    used = texts.data[texts.offsets[0] : texts.offsets[-1]]
    if used.max(initial=0) < 0x80:  # ASCII, most often; much cheaper than the other look
        return None
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return np.array([not _is_utf8(texts.text(row)) for row in range(len(texts))], np.bool_)
    return None


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def masked(values: npt.NDArray[np.signedinteger], valid: Rows | None, kind: pa.DataType) -> pa.Array:
    """An Arrow array over numpy's own memory; where `valid` is False it is null."""
    bits = None
    if valid is not None:
        bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
