"""Whole tables of visitors: decisions as columns, on one machine or many; it needs the extra `arrow`."""

from __future__ import annotations

from convert_sdk.errors import TableError

from .assign import assign
from .plan import Constant, RowFault

__all__ = ["Constant", "RowFault", "TableError", "assign"]
