from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from convert_sdk.server.body import bounded


def received(*messages: Message, most: int = 10) -> bytes:
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return asyncio.run(bounded(Request({"type": "http"}, receive), most))


FIRST: Message = {"type": "http.request", "body": b"12345", "more_body": True}


def test_a_body_comes_in_parts() -> None:
    assert received(FIRST, {"type": "http.request", "body": b"67890", "more_body": False}) == b"1234567890"


def test_a_body_is_left_where_it_is_too_long() -> None:
    with pytest.raises(HTTPException, match="at most 10 bytes"):
        received(FIRST, FIRST, FIRST)


def test_a_connection_that_ends_within_a_body_is_no_fault_of_the_server() -> None:
    with pytest.raises(HTTPException) as refused:
        received(FIRST, {"type": "http.disconnect"})
    assert refused.value.status_code == 400
