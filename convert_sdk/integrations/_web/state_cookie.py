"""The cookie with a visitor's state, which any worker can take up where another left off.

Theory of operation
-------------------
The cookie is no store: nothing is loaded, saved or claimed, and `enrichData` stays as it is. It is read when the
visitor is made, and what it says wins over what the process remembers. When the headers leave, the state at that
time is written, if it says anything else than what came in.
"""

from __future__ import annotations

from collections.abc import Callable

from convert_sdk._core.state import VisitorState
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import OptionError

from .cookies import VISITOR_COOKIE, Cookie
from .options import AnyWebOptions
from .request import WebRequest

STATE_COOKIE = "convert_state"


def state_cookie(options: AnyWebOptions) -> Cookie | None:
    """The cookie of a middleware's visitors: as the one with their id, but for its name. None where there is none."""
    if options.state != "cookie":
        return None
    like = options.cookie or Cookie()
    name = STATE_COOKIE if like.name == VISITOR_COOKIE else f"{like.name}_state"
    return like._replace(name=name, http_only=True)


class StateInCookie:
    """The state that one request brought, and the change of it.

    Args:
        client: The client, whose secrets sign.
        cookie: The cookie's name and attributes.
        request: The request.
        warn: Logs a text once for each name.
    """

    def __init__(
        self,
        client: Client | AsyncClient,
        cookie: Cookie,
        request: WebRequest,
        warn: Callable[[str, str], None],
    ) -> None:
        from convert_sdk._tokens.state import read_state

        self._engine = client._engine
        self._cookie = cookie
        self._scheme = request.scheme
        self._warn = warn
        token = request.cookies.get(cookie.name)
        self.is_there = token is not None
        """True if the browser has such a cookie, whatever is in it."""
        self._reading = None
        if token is not None:
            try:
                self._reading = read_state(self._engine, token)
            except OptionError as error:
                warn("secrets", str(error))

    def of(self, visitor_id: str) -> VisitorState | None:
        """The state that the request brought of this visitor."""
        found = self._reading
        if found is None or found.carried.visitor_id != visitor_id or self._is_outdated(visitor_id):
            return None
        return found.carried.state()

    def _is_outdated(self, visitor_id: str) -> bool:
        """True if the visitor was forgotten after the cookie was written."""
        found = self._reading
        return found is not None and self._engine.visitors.is_outdated(visitor_id, found.issued)

    def header(self, visitor_id: str, state: VisitorState) -> str | None:
        """The value of `Set-Cookie` for the state of this moment; None where the browser has it already."""
        from convert_sdk._tokens.state import carried_state, sign_state

        now, before = carried_state(visitor_id, state), self._reading
        outdated = self._is_outdated(visitor_id)
        if not (now.decisions or now.goals or now.segments):
            return self.deletion() if outdated else None
        if before is not None and (outdated or before.renew):
            before = None  # whatever it says, it is written anew
        if before is not None and now.is_same(before.carried):
            return None
        try:
            signed = sign_state(self._engine, now, self._cookie.max_age)
        except OptionError as error:
            self._warn("secrets", str(error))
            return None
        if signed is None or (before is not None and signed.carried.is_same(before.carried)):
            return None
        return self._cookie.header(signed.token, self._scheme)

    def deletion(self) -> str | None:
        """The value of `Set-Cookie` that makes the browser forget the state; None where it has none."""
        return self._cookie.deletion(self._scheme) if self.is_there else None
