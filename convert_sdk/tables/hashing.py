"""The hash of many visitor ids at once: MurmurHash3 (x86, 32 bit) over Arrow's own buffers.

Theory of operation. Where polars-hash is installed, it hashes for few experiences at once (`polars_hashing`). What
follows is the way of numpy, and a machine on which either of them differs from mmh3 hashes the rows one by one.

A column of text is one run of bytes and the offsets of its rows. The text that is hashed is the
experience's id followed by the visitor's, so the state after the whole words of the experience's id is a constant, and
what is left of it (`tail`, up to three bytes) only shifts the words of the visitor's id. Word number j of a row
therefore begins at `start + 4 * j - len(tail)`: it is read for all rows of a block together, and mixed into their
states together. Where all rows have one length, the words of a block are an even stride through the bytes; otherwise
the rows of a block are sorted by length, so that those which have a word number j are the last ones of it. Numpy looks
words up much faster where they are aligned, so the bytes are kept four times, each one byte further on.

What a word adds to the state (`_mixed`) depends on the shift alone, so that experiences whose ids leave a tail of one
length share it: each further experience costs the rounds alone. Their states are the rows of one matrix, and each step
of a round is one call for all of them: short calls of many threads would wait for Python's lock more than they count.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt
from mmh3 import mmh3_32_uintdigest

from .polars_hashing import LARGEST, polars_hash
from .texts import Bytes, Hashes, Places, Texts

BLOCK = 8_192
"""Rows whose words are in the processor's cache together."""
TOGETHER = 8
"""Prefixes whose states are in the processor's cache together."""
FEW_PREFIXES = 2
"""Prefixes for which polars-hash is faster than words that are read once for all prefixes."""
_LONGEST = 256
"""Bytes of an id that are read word by word for all rows; longer ones are hashed one by one."""
_PAD = 8
_MASK = 0xFFFF_FFFF
_C1, _C2 = 0xCC9E_2D51, 0x1B87_3593
_N = 0xE654_6B64
_U = np.uint32
_TAIL_MASKS = np.array([0, 0xFF, 0xFFFF, 0xFF_FFFF], np.uint32)


def hashes(texts: Texts, prefixes: list[bytes], seed: int) -> list[Hashes]:
    """The hash of each prefix followed by each text: one array for a prefix.

    >>> texts = Texts(np.frombuffer(b"v-1v-22", np.uint8), np.array([0, 3, 7]))
    >>> [int(each) for each in hashes(texts, [b"100"], 9999)[0]] == [
    ...     mmh3_32_uintdigest(b"100v-1", 9999), mmh3_32_uintdigest(b"100v-22", 9999)]
    True
    """
    by_polars = polars_way() if len(prefixes) <= FEW_PREFIXES else None
    if by_polars is not None and _fit(texts, prefixes):
        return [by_polars(texts, prefix, seed) for prefix in prefixes]
    found = [np.empty(len(texts), np.uint32) for _ in prefixes]
    if not is_equal_here():
        for prefix, out in zip(prefixes, found, strict=True):
            _one_by_one(texts, prefix, seed, range(len(texts)), out)
        return found
    together = _together(prefixes)
    for start in range(0, len(texts), BLOCK):
        stop = min(start + BLOCK, len(texts))
        block = _HashBlock(texts.rows(start, stop))
        for places in together:
            some = block.hashed([prefixes[place] for place in places], seed)
            for place, out in zip(places, some, strict=True):
                found[place][start:stop] = out
    return found


def _together(prefixes: list[bytes]) -> list[list[int]]:
    """The places of prefixes whose tails are of one length, a few at a time."""
    by_tail: dict[int, list[int]] = {}
    for place, prefix in enumerate(prefixes):
        by_tail.setdefault(len(prefix) % 4, []).append(place)
    return [
        places[start : start + TOGETHER]
        for places in by_tail.values()
        for start in range(0, len(places), TOGETHER)
    ]


Way = Callable[[Texts, bytes, int], Hashes]
"""Hashes a prefix followed by each text, with a seed."""


def _fit(texts: Texts, prefixes: list[bytes]) -> bool:
    held = int(texts.offsets[-1]) - int(texts.offsets[0])
    return held + len(texts) * max(map(len, prefixes), default=0) < LARGEST


@cache
def polars_way() -> Way | None:
    """The way of polars-hash; None where it is not installed or does not hash as mmh3 does. Asked once."""
    try:
        way = polars_hash()
        return way if agrees(way) else None
    except Exception:  # noqa: BLE001  # whatever another version does, there is the way of numpy
        return None


@cache
def is_equal_here() -> bool:
    """True if this machine and this numpy hash as mmh3 does; asked once."""
    return agrees(_by_words)


def _by_words(texts: Texts, prefix: bytes, seed: int) -> Hashes:
    found: Hashes = _HashBlock(texts).hashed([prefix], seed)[0]
    return found


def agrees(way: Way) -> bool:
    """True if a way hashes as mmh3 does, on texts of every length and shift."""
    samples = [("aé日😀\0" * length).encode()[:length] for length in range(24)] * 2 + [b"", b"\xff"]
    uneven = _texts(samples)
    even = _texts([sample[:9] for sample in samples if len(sample) >= 9])
    return all(
        way(texts, prefix, seed).tolist()
        == [mmh3_32_uintdigest(prefix + texts.text(row), seed) for row in range(len(texts))]
        for texts in (uneven, even, uneven.rows(3, 17), Texts(uneven.data, uneven.offsets.astype(np.int32)))
        for prefix in (b"", b"1", b"12", b"123", b"1234", b"100218245")
        for seed in (9999, _MASK)
    )


def _texts(samples: list[bytes]) -> Texts:
    offsets = np.cumsum([0, *map(len, samples)], dtype=np.int64)
    return Texts(np.frombuffer(b"".join(samples), np.uint8), offsets)


def _one_by_one(texts: Texts, prefix: bytes, seed: int, rows: range | list[int], out: Hashes) -> None:
    for row in rows:
        out[row] = mmh3_32_uintdigest(prefix + texts.text(row), seed)


class _HashBlock:
    """The rows of one block, and the words that were read of them."""

    __slots__ = (
        "_back",
        "_long",
        "_order",
        "_rows",
        "_shifted",
        "_starts",
        "_words",
        "lengths",
        "stride",
        "texts",
    )

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        begin, end = int(texts.offsets[0]), int(texts.offsets[-1])
        padded = np.zeros(end - begin + 2 * _PAD, np.uint8)
        padded[_PAD : _PAD + end - begin] = texts.data[begin:end]
        self._rows = padded
        offsets = texts.offsets.astype(np.int64, copy=False)
        lengths = np.diff(offsets)
        starts = offsets[:-1] - (begin - _PAD)
        shortest, longest = int(lengths.min()), int(lengths.max())
        self.stride = shortest if shortest == longest <= _LONGEST else -1
        """The length of every row; -1 where they differ."""
        self._long: list[int] = []
        self._order: Places | None = None
        if self.stride < 0:
            if longest > _LONGEST:
                self._long = np.flatnonzero(lengths > _LONGEST).tolist()
                lengths = np.where(lengths > _LONGEST, 0, lengths)
            self._order = np.argsort(lengths.astype(np.uint16), kind="stable")
            self._back = np.empty_like(self._order)
            self._back[self._order] = np.arange(len(lengths))
            lengths, starts = lengths.take(self._order), starts.take(self._order)
            self._shifted = _shifted(padded)
        self.lengths = lengths
        self._starts = starts
        self._words: dict[int, list[Hashes]] = {}

    def hashed(self, prefixes: list[bytes], seed: int) -> Hashes:
        """The hashes of the rows, one line for each prefix; the prefixes leave tails of one length."""
        before = len(prefixes[0])
        shift = before % 4
        out = np.empty((len(prefixes), len(self.texts)), np.uint32)
        tails = np.empty((len(prefixes), 1), np.uint32)
        for line, prefix in enumerate(prefixes):
            whole = len(prefix) // 4 * 4
            out[line] = _state(prefix[:whole], seed)
            tails[line] = int.from_bytes(prefix[whole:], "little")
        sizes = np.array([[len(prefix) & _MASK] for prefix in prefixes], np.uint32)
        if self._order is None:
            self._even(shift, tails, sizes, out)
        else:
            self._uneven(shift, tails, sizes, out)
            out = out.take(self._back, axis=1, mode="clip")
        if self._long:
            for line, prefix in enumerate(prefixes):
                _one_by_one(self.texts, prefix, seed, self._long, out[line])
        return out

    def _even(self, shift: int, tails: Hashes, before: Hashes, out: Hashes) -> None:
        blocks, rest = divmod(shift + self.stride, 4)
        words = self._even_words(shift, blocks, rest)
        spare = np.empty_like(out)
        for number in range(blocks):
            _round(out, _begun(words[0], tails) if number == 0 and shift else words[number], spare)
        if rest:
            np.bitwise_xor(out, _begun(words[0], tails) if blocks == 0 and shift else words[blocks], out)
        np.bitwise_xor(out, before + _U(self.stride), out)
        _finish(out, spare)

    def _even_words(self, shift: int, blocks: int, rest: int) -> list[Hashes]:
        """The words of every row: mixed, but for the first one after a shift, which the tail is yet to complete."""
        known = self._words.get(shift)
        if known is None:
            known = self._words[shift] = []
            for number in range(blocks + (rest > 0)):
                word = np.ndarray(
                    (len(self.texts),),
                    "<u4",
                    self._rows.data,
                    _PAD + 4 * number - shift,
                    (self.stride,),
                ).astype(np.uint32)
                if number == blocks:
                    np.bitwise_and(word, _TAIL_MASKS[rest], word)
                known.append(_cleared(word, shift) if number == 0 and shift else _mixed(word))
        return known

    def _uneven(self, shift: int, tails: Hashes, before: Hashes, out: Hashes) -> None:
        words = self._uneven_words(shift, (self.lengths + shift) >> 2)
        spare = np.empty_like(out)
        for number, word in enumerate(words[:-1]):
            first = out.shape[1] - len(word)
            mixed = _begun(word, tails) if number == 0 and shift else word
            _round(out[:, first:], mixed, spare[:, first:])
        rest = words[-1]
        if shift:
            bare = int(np.searchsorted(self.lengths, 4 - shift))  # rows without a whole word
            np.bitwise_xor(out[:, :bare], _begun(rest[:bare], tails), out[:, :bare])
            np.bitwise_xor(out[:, bare:], rest[bare:], out[:, bare:])
        else:
            np.bitwise_xor(out, rest, out)
        np.bitwise_xor(out, before + self.lengths.astype(np.uint32), out)
        _finish(out, spare)

    def _uneven_words(self, shift: int, blocks: Places) -> list[Hashes]:
        """As `_even_words`, each for the last rows alone; the last one is the rest of every row."""
        known = self._words.get(shift)
        if known is None:
            words, row = self._shifted.reshape(-1), self._shifted.shape[1]
            begins = self._starts - shift
            places = (begins & 3) * row + (begins >> 2)
            known = self._words[shift] = []
            for number in range(int(blocks[-1])):
                first = int(np.searchsorted(blocks, number + 1))
                word = words.take(places[first:] + number, mode="clip")
                known.append(_cleared(word, shift) if number == 0 and shift else _mixed(word))
            rest = words.take(places + blocks, mode="clip")
            rest &= _TAIL_MASKS.take((self.lengths + shift) & 3, mode="clip")
            bare = int(np.searchsorted(blocks, 1)) if shift else 0
            _cleared(rest[:bare], shift)
            _mixed(rest[bare:])
            known.append(rest)
        return known


def _shifted(data: Bytes) -> npt.NDArray[np.uint32]:
    """The aligned words of the bytes, of those from the second one on, the third, the fourth."""
    count = len(data) // 4
    words = np.zeros((4, count), "<u4")
    rows = words.view(np.uint8)
    for shift in range(4):
        part = data[shift : shift + 4 * count]
        rows[shift, : len(part)] = part
    return words.astype(np.uint32, copy=False)


def _state(words: bytes, seed: int) -> int:
    """The state after whole words."""
    state = seed & _MASK
    for place in range(0, len(words), 4):
        word = int.from_bytes(words[place : place + 4], "little") * _C1 & _MASK
        word = (word << 15 | word >> 17) * _C2 & _MASK
        state ^= word
        state = ((state << 13 | state >> 19) * 5 + _N) & _MASK
    return state


def _cleared(word: Hashes, shift: int) -> Hashes:
    """The first word without the bytes in front of the text, in place."""
    np.bitwise_and(word, _U(_MASK << 8 * shift & _MASK), word)
    return word


def _begun(word: Hashes, tails: Hashes) -> Hashes:
    """The first word with the tail of each prefix in front, mixed: a line for each of them."""
    return _mixed(np.bitwise_or(word, tails))


def _mixed(word: Hashes) -> Hashes:
    """A word as it enters the state, in place."""
    np.multiply(word, _U(_C1), word)
    high = np.right_shift(word, _U(17))
    np.left_shift(word, _U(15), word)
    np.bitwise_or(word, high, word)
    np.multiply(word, _U(_C2), word)
    return word


def _round(state: Hashes, word: Hashes, spare: Hashes) -> None:
    np.bitwise_xor(state, word, state)
    np.right_shift(state, _U(19), spare)
    np.left_shift(state, _U(13), state)
    np.bitwise_or(state, spare, state)
    np.multiply(state, _U(5), state)
    np.add(state, _U(_N), state)


def _finish(state: Hashes, spare: Hashes) -> None:
    for shift, factor in ((16, 0x85EB_CA6B), (13, 0xC2B2_AE35)):
        np.right_shift(state, _U(shift), spare)
        np.bitwise_xor(state, spare, state)
        np.multiply(state, _U(factor), state)
    np.right_shift(state, _U(16), spare)
    np.bitwise_xor(state, spare, state)
