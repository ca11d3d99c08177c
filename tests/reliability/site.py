"""A whole Convert on loopback: one document, and a collector of what is tracked."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.reliability.collector import Answer, Collector, Received

KEY = "1001/2002"
GOALS = 20


def experience(number: int) -> dict[str, object]:
    """Everybody is in one of its two variations."""
    arms = [{"id": f"{number}{arm}", "key": f"arm-{arm}", "traffic_allocation": 50} for arm in (1, 2)]
    return {
        "id": str(number),
        "key": f"button-{number}",
        "type": "a/b_fullstack",
        "status": "active",
        "variations": arms,
    }


DOCUMENT: dict[str, object] = {
    "account_id": "1001",
    "project": {"id": "2002"},
    "experiences": [experience(number) for number in range(10, 20)],
    "goals": [{"id": f"7{n}", "key": f"goal-{n}", "type": "code_trigger"} for n in range(GOALS)],
}
BODY = json.dumps(DOCUMENT).encode()


def serving(
    tracking: Callable[[Received], Answer] = lambda _: Answer(), *, body: bytes = BODY
) -> Callable[[Received], Answer]:
    """The document to who asks for it, and `tracking`'s answer to who tracks."""

    def answer(received: Received) -> Answer:
        if received.method == "GET":
            return Answer(200, {"ETag": '"one"', "Content-Type": "application/json"}, body)
        return tracking(received)

    return answer


def site(
    tracking: Callable[[Received], Answer] = lambda _: Answer(),
    *,
    body: bytes = BODY,
    host: str = "127.0.0.1",
) -> Collector:
    """Both endpoints at one address."""
    return Collector(serving(tracking, body=body), host=host)


def dead(_: Received) -> Answer:
    """An endpoint that is down."""
    return Answer(503)
