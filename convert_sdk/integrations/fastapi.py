"""Experiments in FastAPI applications."""

from __future__ import annotations

from typing import Annotated

from convert_sdk._extras import needs_extra
from convert_sdk._scope import current_visitor
from convert_sdk.visitor import Visitor

with needs_extra(__name__, "fastapi", "fastapi"):
    from fastapi import Depends

from .starlette import ConvertMiddleware, new_visitor

__all__ = ["ConvertMiddleware", "VisitorDep", "new_visitor"]


async def _visitor() -> Visitor:
    return current_visitor()


VisitorDep = Annotated[Visitor, Depends(_visitor)]
"""The visitor of the request, as a dependency.

>>> from fastapi import FastAPI
>>> app = FastAPI()
>>> app.add_middleware(ConvertMiddleware, client=client)
>>> @app.get("/checkout")
... async def checkout(visitor: VisitorDep) -> dict[str, str | None]:
...     return {"layout": visitor.decide("checkout-layout").variation_key}
"""
