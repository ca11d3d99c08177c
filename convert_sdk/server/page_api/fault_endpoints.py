"""The endpoints of the faults: their switches and counters."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from convert_sdk.server.faults import Faults

from .answers import answer, question
from .endpoints import PageEndpoint


class FaultEndpoints:
    """One method per endpoint."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def __iter__(self) -> Iterator[PageEndpoint]:
        yield PageEndpoint("GET", "/faults", self.faults)
        yield PageEndpoint("PUT", "/faults", self.switch, changes=True)
        yield PageEndpoint("POST", "/faults/reset", self.reset, changes=True)

    async def faults(self, request: Request) -> Response:
        del request
        return answer(self._faults.to_dict())

    async def switch(self, request: Request) -> Response:
        try:
            self._faults.switch(await question(request))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        return answer(self._faults.to_dict())

    async def reset(self, request: Request) -> Response:
        del request
        self._faults.reset()
        return answer(self._faults.to_dict())
