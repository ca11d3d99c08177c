"""What an SDK sends to the server of the page."""

from __future__ import annotations

import sys
from typing import Final

import httpx

from convert_sdk.server import DEMO_SDK_KEY, LocalServer

CONVERT_SDK: Final = (sys.executable, "-c", "from convert_sdk.cli import main; main()")
SHOWN: Final[dict[str, object]] = {
    "eventType": "bucketing",
    "data": {"experienceId": "100346001", "variationId": "1003460012"},
}


def body(visitor: str, *events: dict[str, object]) -> dict[str, object]:
    """A tracking request with the events of one visitor."""
    return {"enrichData": True, "visitors": [{"visitorId": visitor, "events": list(events)}]}


def track(server: LocalServer, sent: object) -> httpx.Response:
    """The answer to a tracking request."""
    return httpx.post(f"{server.url}/track/{DEMO_SDK_KEY}", json=sent, timeout=120, trust_env=False)
