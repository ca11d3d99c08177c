"""A column of text, as Arrow holds it, and what numpy says of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.signedinteger]


class Texts(NamedTuple):
    """Texts as Arrow holds them: the bytes of all, and where each begins and ends."""

    data: Bytes
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def text(self, row: int) -> bytes:
        """The bytes of one row."""
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def rows(self, start: int, stop: int) -> Texts:
        """A part of the rows; nothing is copied."""
        return Texts(self.data, self.offsets[start : stop + 1])
