"""Visitors handed over to one's own services, in what `requests` asks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from convert_sdk._extras import needs_extra
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client

from ._handover import VISITOR_HEADER, HandoverHosts

with needs_extra(__name__, "requests", "requests"):
    from requests import PreparedRequest, Response, Session
    from requests.adapters import BaseAdapter


def hand_over(session: Session, hosts: Sequence[str], client: Client | AsyncClient | None = None) -> Session:
    """Have a session of requests hand over the visitor of the request that is being served.

    The header `Convert-Visitor` is added to requests to these hosts, and to no request that follows a redirect.

    Args:
        session: A session; each of its adapters is wrapped. Those that are mounted later are not.
        hosts: The names of one's own services, such as `["prices.internal"]`, with a port where only that one is meant.
        client: The client whose visitor is meant, where several have a middleware.

    Returns:
        The same session. Its requests raise OptionError where a visitor's client has no secrets.

    Raises:
        OptionError: For anything but a list of names.
        TypeError: For what is no session.

    >>> from requests import Session
    >>> session = hand_over(Session(), ["prices.internal"])
    """
    if not isinstance(session, Session):
        raise TypeError(f"session must be a requests.Session, not {type(session).__name__}")
    known = HandoverHosts(hosts, client)
    for prefix, adapter in list(session.adapters.items()):
        session.mount(prefix, HandoverAdapter(adapter, known))
    return session


class HandoverAdapter(BaseAdapter):
    """An adapter that adds the header, or takes it away, and has another one send the request."""

    def __init__(self, adapter: BaseAdapter, hosts: HandoverHosts) -> None:
        super().__init__()
        self._adapter = adapter
        self._hosts = hosts

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, with the header where it is meant for its host."""
        self._mark(request)
        return self._adapter.send(request, stream, timeout, verify, cert, proxies)

    def close(self) -> None:
        """Close the adapter that sends."""
        self._adapter.close()

    def _mark(self, request: PreparedRequest) -> None:
        hooks = request.hooks["response"]
        mark = next((hook for hook in hooks if isinstance(hook, FirstRequest)), None)
        if mark is None:
            hooks.append(FirstRequest(request))
        elif mark.id != id(request):  # a copy of another, which was redirected
            request.headers.pop(VISITOR_HEADER, None)
            return
        parts = urlsplit(request.url or "")
        token = self._hosts.token(parts.hostname or "", parts.port or _PORTS.get(parts.scheme))
        if token is not None:
            request.headers[VISITOR_HEADER] = token


class FirstRequest:
    """A mark on a request: copies of it have it too, as it stands among the hooks, and does nothing there."""

    def __init__(self, request: PreparedRequest) -> None:
        self.id = id(request)

    def __call__(self, response: Response, **_: object) -> None:
        """Leave the response as it is."""


_PORTS = {"http": 80, "https": 443}
