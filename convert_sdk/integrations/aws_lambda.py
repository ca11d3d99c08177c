"""Experiments in AWS Lambda: what a handler has tracked is delivered before its sandbox is frozen."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from convert_sdk import _checks as check
from convert_sdk._client_parts import FLUSH_TIMEOUT
from convert_sdk.client import Client

Event = TypeVar("Event")
Context = TypeVar("Context")
Result = TypeVar("Result")
_RESERVE = 0.2
"""Seconds of the remaining time that are left to the runtime."""
_LATE = "%d events were not delivered before the sandbox is frozen: they wait for its next invocation"
_log = logging.getLogger("convert_sdk")


def convert_handler(
    client: Client, *, timeout: float = FLUSH_TIMEOUT
) -> Callable[[Callable[[Event, Context], Result]], Callable[[Event, Context], Result]]:
    """Deliver at the end of each invocation, whatever came of it: afterwards no thread runs until the next one.

    Args:
        client: The client, made outside the handler.
        timeout: Seconds for it, and never more than the invocation has left, less 200 ms. What is still pending
            then waits for the next invocation in the same sandbox, if there is one.

    Returns:
        A decorator of the handler.

    Raises:
        TypeError: For what is no client, and for a time that is no number.
        ValueError: For NaN.

    >>> @convert_handler(client)
    ... def handler(event: dict[str, str], context: object) -> str | None:
    ...     return client.visitor(event["visitor"]).decide("checkout-layout").variation_key
    >>> handler({"visitor": "v-42"}, None)
    'classic'
    """
    if not isinstance(client, Client):
        raise TypeError(f"client must be a Client, not {type(client).__name__}")
    most = check.seconds(timeout)
    warned: list[bool] = []

    def decorate(handler: Callable[[Event, Context], Result]) -> Callable[[Event, Context], Result]:
        @wraps(handler)
        def invoke(event: Event, context: Context) -> Result:
            try:
                return handler(event, context)
            finally:
                report = client.flush(min(most, max(0.0, _remaining(context) - _RESERVE)))
                if report.pending and not warned:
                    warned.append(True)
                    _log.warning(_LATE, report.pending)

        return invoke

    return decorate


def _remaining(context: object) -> float:
    """The seconds that the invocation has left; a century where nobody says, as in a test."""
    asked = getattr(context, "get_remaining_time_in_millis", None)
    milliseconds = asked() if callable(asked) else None
    return milliseconds / 1000 if isinstance(milliseconds, int | float) else check.seconds(float("inf"))
