"""Receive webhooks: verify, hand on, answer; the work comes later, elsewhere.

The site mails its owner about every answer that is no success and is not known to send again, so a
receiver answers at once and refuses only what it cannot trust or keep.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from cachetools import TTLCache

from convert_sdk.commerce.errors import ValidationError, WebhookVerificationError
from convert_sdk.commerce.website.webhooks import (
    DEFAULT_SCHEME,
    FORM_WINDOW,
    LARGEST_BODY,
    AnyEvent,
    SignatureScheme,
    parse,
    secrets_of,
    warn_of_unsigned,
)
from convert_sdk.errors import OptionError

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_REMEMBERED = 10_000
_MOST_DIGITS = 18
_Key: TypeAlias = tuple[str, str]
_log = logging.getLogger("convert_sdk")


class Intake:
    """Verifies deliveries and gives each new event to `enqueue`, which must not block, and is not awaited.

    A delivery with the content last seen for its record and topic within `remember` seconds is a duplicate; a record
    that goes back to what it was is not, nor is a form, which has no id, ten minutes later. `secret=None` takes
    unsigned deliveries, which anybody can send: a bridge asks the store for such an order or contact, leaves the rest
    to its pull, and never believes the body. `accepted`, `duplicates`, `refused` and `failed` count what came.

    >>> events = []
    >>> intake = Intake(events.append, "secret")
    >>> intake.receive(b"{}", {"X-Webhook-Topic": "order_created"})
    <HTTPStatus.UNAUTHORIZED: 401>
    """

    def __init__(
        self,
        enqueue: Callable[[AnyEvent], object],
        secret: str | Sequence[str] | None,
        *,
        scheme: SignatureScheme = DEFAULT_SCHEME,
        max_body: int = LARGEST_BODY,
        remember: float = 3600.0,
    ) -> None:
        if inspect.iscoroutinefunction(enqueue):
            raise OptionError("enqueue: it is not awaited: give a queue's put_nowait, or a function")
        self._enqueue = enqueue
        self._secrets = None if secret is None else secrets_of(secret)
        if secret is None:
            warn_of_unsigned()
        self._scheme = scheme
        self._lock = threading.Lock()
        self._last = _memory(remember)
        self._nameless = _memory(min(remember, FORM_WINDOW))
        self.max_body = max_body
        self.accepted = self.duplicates = self.refused = self.failed = 0

    def receive(
        self, body: bytes | bytearray | memoryview, headers: Mapping[str, str | Sequence[str]]
    ) -> HTTPStatus:
        """Take a delivery; the status to answer with."""
        if len(body) > self.max_body:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        try:
            event = parse(body, headers, self._secrets, scheme=self._scheme, max_body=self.max_body)
        except WebhookVerificationError:
            return self._refuse(HTTPStatus.UNAUTHORIZED)
        except ValidationError:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        return self._hand_on(event)

    def _refuse(self, status: HTTPStatus) -> HTTPStatus:
        with self._lock:
            self.refused += 1
        return status

    def _hand_on(self, event: AnyEvent) -> HTTPStatus:
        key = (event.topic, event.subject or event.digest)
        last = self._last if event.subject else self._nameless
        with self._lock:
            before = last.get(key)
            if before == event.digest:
                self.duplicates += 1
                return HTTPStatus.OK
            last[key] = event.digest
        try:
            failure = _unawaited(self._enqueue(event))
        except Exception as error:  # noqa: BLE001 - the application's own code; the sender must hear of it
            failure = type(error).__name__
        if failure:
            self._forget(last, key, before)
            _log.warning("a webhook could not be enqueued: %s", failure)
            return HTTPStatus.SERVICE_UNAVAILABLE
        with self._lock:
            self.accepted += 1
        return HTTPStatus.OK

    def _forget(self, last: MutableMapping[_Key, str], key: _Key, before: str | None) -> None:
        with self._lock:
            self.failed += 1
            last.pop(key, None)
            if before is not None:
                last[key] = before


def _memory(seconds: float) -> MutableMapping[_Key, str]:
    return TTLCache[_Key, str](_REMEMBERED, seconds)


def _unawaited(result: object) -> str:
    """The reason why `enqueue` did nothing yet: its result would have to be awaited. Empty if it has none.

    Whatever else can be awaited, such as a future or a task, runs by itself.
    """
    if not inspect.iscoroutine(result):
        return ""
    result.close()
    return "what enqueue gives would have to be awaited"


def asgi_receiver(intake: Intake) -> AsgiApp:
    """An ASGI application that takes POSTs for `intake`; mount it in any ASGI framework.

    >>> app = asgi_receiver(Intake(print, "secret"))
    """

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            status = await _received(intake, scope, receive)
            length = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": int(status), "headers": length})
            await send({"type": "http.response.body", "body": b""})

    return app


async def _received(intake: Intake, scope: Message, receive: Receive) -> HTTPStatus:
    if scope["method"] != "POST":
        return HTTPStatus.METHOD_NOT_ALLOWED
    body = bytearray()
    more = True
    while more and len(body) <= intake.max_body:
        message = await receive()
        if message["type"] == "http.disconnect":
            return HTTPStatus.BAD_REQUEST
        chunk = message.get("body", b"")
        body += chunk if isinstance(chunk, bytes | bytearray | memoryview) else b""
        more = bool(message.get("more_body", False))
    return intake.receive(bytes(body), _headers(scope.get("headers")))


def _headers(pairs: object) -> dict[str, str]:
    """One value for each name; the values of a name that comes twice are joined, and then fit nothing."""
    found: dict[str, str] = {}
    for name, value in pairs if isinstance(pairs, Iterable) else ():
        text, key = value.decode("latin-1"), name.decode("latin-1").lower()
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def wsgi_receiver(intake: Intake) -> WSGIApplication:
    """A WSGI application that takes POSTs for `intake`; mount it in any WSGI framework.

    >>> app = wsgi_receiver(Intake(print, "secret"))
    """

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        status = _taken(intake, environ)
        start_response(f"{status.value} {status.phrase}", [("Content-Length", "0")])
        return [b""]

    return app


def _taken(intake: Intake, environ: WSGIEnvironment) -> HTTPStatus:
    if environ["REQUEST_METHOD"] != "POST":
        return HTTPStatus.METHOD_NOT_ALLOWED
    length = str(environ.get("CONTENT_LENGTH") or "").strip()
    largest = intake.max_body + 1
    wanted = 0
    if length.isascii() and length.isdecimal():
        wanted = largest if len(length) > _MOST_DIGITS else min(int(length), largest)
    if environ.get("wsgi.input_terminated") and not length:
        wanted = largest
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    }
    try:
        body = environ["wsgi.input"].read(wanted)
    except OSError:
        return HTTPStatus.BAD_REQUEST  # the sender has gone
    return intake.receive(body, headers)
