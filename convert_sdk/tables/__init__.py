"""Whole tables of visitors: decisions as columns, on one machine or many; it needs the extra `arrow`."""

from __future__ import annotations

from convert_sdk._extras import needs_extra
from convert_sdk.errors import TableError

with needs_extra(__name__, "arrow", "numpy", "pyarrow"):
    import numpy  # noqa: F401, ICN001  # pyarrow 17 does not say that this is what it misses

    from .assign import assign
    from .plan import Constant, RowFault

__all__ = ["Constant", "RowFault", "TableError", "assign"]
