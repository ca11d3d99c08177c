"""The hash of many texts by polars-hash, where it is installed: compiled code, without Python's lock.

It hashes a text after copying the prefix in front of it. A second prefix therefore costs as much as the first, while
the words that numpy has read serve all prefixes.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .texts import Hashes, Texts

LARGEST = 1 << 30
"""Bytes of texts and prefixes together: an Arrow array with small offsets holds twice as many."""


def polars_hash() -> Callable[[Texts, bytes, int], Hashes]:
    """The function that hashes a prefix followed by each text. Raises ImportError without polars-hash."""
    polars, plugin = import_module("polars"), import_module("polars_hash")

    def hashed(texts: Texts, prefix: bytes, seed: int) -> Hashes:
        offsets = np.ascontiguousarray(texts.offsets)
        kind = pa.binary() if offsets.dtype == np.int32 else pa.large_binary()
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(texts.data)]
        column = pa.Array.from_buffers(kind, len(texts), buffers)
        replace_slice = pc.binary_replace_slice  # pyright: ignore[reportAttributeAccessIssue]  # made at import
        frame = polars.DataFrame({"text": replace_slice(column, 0, 0, prefix)})
        found: Hashes = frame.select(plugin.col("text").nchash.murmur32(seed=seed)).to_series().to_numpy()
        return found

    return hashed
