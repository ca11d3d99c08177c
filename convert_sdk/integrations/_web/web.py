"""One client's web integration: what all of its requests share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convert_sdk._core.consent import Consent
from convert_sdk._core.layers import Layered
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.errors import OptionError
from convert_sdk.integrations._handover import VISITOR_HEADER

from .aliases import Aliases
from .bots import is_declared_bot
from .facts import RequestFacts, fact_options
from .identity import cookie_id, usable_id
from .options import WebOptions
from .override_tokens import OVERRIDE_HEADER, OverrideTokens
from .previews import PreviewFetches, PreviewLink, preview_link
from .request import WebRequest
from .state_cookie import state_cookie
from .verdict import BOT, Verdict, judge

if TYPE_CHECKING:
    from convert_sdk._tokens.handover import Handover

_log = logging.getLogger("convert_sdk")


class Web:
    """The client and the options of one middleware, and what it remembers beyond one request.

    Args:
        client: Asked at each request, as a test may have replaced what is in it.
        options: Those of the middleware.
        native: Gives the framework's own request, for the application's callables.
    """

    def __init__(
        self, client: Client | AsyncClient, options: WebOptions[Any], native: Callable[[WebRequest], object]
    ) -> None:
        self.client = client
        self.options = options
        self.facts = fact_options(options.geo, options.fact_names, options.report)
        self.native = native
        self._said: set[str] = set()
        self.aliases = Aliases(client, self.warn)
        self.previews = PreviewFetches(client, self.warn) if options.preview == "drafts" else None
        self.state_cookie = state_cookie(options)
        """The cookie with the visitors' state; None where they are remembered elsewhere."""
        self.overrides = OverrideTokens(client, options.cookie) if options.accept_override else None
        """The tokens of people who test in production; None where none is taken."""
        self.vary: tuple[str, ...] = ("Cookie",)
        """The headers of a request that decide about a response."""
        if options.accept_handover:
            self.vary += (VISITOR_HEADER,)
        if options.accept_override:
            self.vary += (OVERRIDE_HEADER,)
        self._admits = _test_of(options.only)

    def admits(self, request: WebRequest) -> bool:
        """True if a request has a visitor: `only=`."""
        if self._admits is None:
            return True
        if isinstance(self.options.only, Sequence):
            return self._admits(request.path)
        try:
            return bool(self._admits(self.native(request)))
        except Exception as error:  # noqa: BLE001  # the application's own
            self.warn("only", f"only= raised {type(error).__name__}: the request is admitted")
            return True

    def warn(self, name: str, text: str) -> None:
        """Log a warning, once for each name."""
        if name not in self._said:
            self._said.add(name)
            _log.warning("web integration: %s", text)

    def preview(self, request: WebRequest) -> PreviewLink | None:
        """The variation that a preview link asks for; None where previews are off, or nothing of it is known.

        An experience that is not known only asks to be fetched; its own link leaves no trace, all the same.
        """
        link = preview_link(request.query) if self.options.preview else None
        if link is None:
            return None
        engine, fetches = self.client._engine, self.previews
        project = engine.project
        experience = engine.experience_of(link.experience_id, project)
        if fetches is not None and (project is None or project.experiences.of_id(link.experience_id) is None):
            fetches.ask(link.experience_id)
            return link
        known = experience is not None and link.variation_id in experience.variations
        return link if known else None

    def handed(self, request: WebRequest) -> Handover | None:
        """The visitor whom another service handed over; None where there is none."""
        token = request.header(VISITOR_HEADER.lower())
        if token is None:
            return None
        from convert_sdk._tokens.handover import read_handover

        try:
            reading = read_handover(self.client._engine, token)
        except OptionError as error:
            self.warn("secrets", str(error))
            return None
        if reading.flaw is None:
            return reading.handover
        self.warn(
            f"handover {reading.flaw}",
            f"a visitor was handed over by a token that is refused: {reading.flaw}",
        )
        return None

    # What the application's callables answered.

    def user_id(self, answer: object) -> str | None:
        """The user's id; None where nobody is logged in, or the answer is no id."""
        if answer is None:
            return None
        usable = usable_id(answer)
        if usable is None:
            self.warn("identify", "identify= gave no id of 1 to 255 printable characters: it is ignored")
        return usable

    def consent(self, answer: object) -> Consent:
        """The visitor's answer; UNKNOWN for anything else."""
        if isinstance(answer, Consent):
            return answer
        if answer is not None:
            kind = type(answer).__name__
            self.warn("consent", f"consent= gave a {kind} in place of a Consent: it counts as unknown")
        return Consent.UNKNOWN

    def attributes(self, request: WebRequest, answer: object) -> Layered:
        """The attributes of a visitor, over the facts of the request."""
        new = "source" in self.facts.report and cookie_id(request, self.options.cookie) is None
        engine = self.client._engine
        facts = RequestFacts(request, self.facts, engine.project, new=new, clock=engine.wall_clock)
        if answer is None or isinstance(answer, Mapping):
            return facts.under(answer)
        kind = type(answer).__name__
        self.warn("attributes", f"attributes= gave a {kind} in place of a mapping: it is ignored")
        return facts.under()

    def judge(self, request: WebRequest, consent: Consent, attributes: Layered) -> Verdict:
        """The verdict on a request; a bot is counted."""
        engine = self.client._engine
        if self._is_bot(request):
            engine.note_bot()
            return BOT
        project = engine.project
        settings = None if project is None else project.web
        wins = self.options.cookie_consent_wins
        return judge(request, consent, attributes, settings, cookie_consent_wins=wins)

    def _is_bot(self, request: WebRequest) -> bool:
        test = self.options.is_bot
        if test is None:
            return is_declared_bot(request.header("user-agent"))
        try:
            return bool(test(self.native(request)))
        except Exception as error:  # noqa: BLE001  # the application's own
            self.raised("is_bot", error)
            return False

    def ask(
        self, name: str, asked: Callable[[Any], object] | None, request: WebRequest, *, ahead: bool = False
    ) -> object:
        """The answer of a callable of the application; None where it raises. `ahead` says: before the application."""
        if asked is None:
            return None
        try:
            return asked(self.native(request))
        except Exception as error:  # noqa: BLE001  # the application's own
            self.raised(name, error, ahead=ahead)
            return None

    def raised(self, name: str, error: Exception, *, ahead: bool = False) -> None:
        """Log that a callable of the application raised, once for each, and the likely cause."""
        text = f"{name}= raised {type(error).__name__}: it counts as no answer"
        if ahead and isinstance(error, _MISSING):
            text += (
                "; it is asked where ConvertMiddleware begins, so have the middleware that brings what it reads, such "
                "as sessions and logins, run before that"
            )
        self.warn(f"{name} raised", text)


_MISSING = (AttributeError, LookupError, AssertionError)
"""Errors of a request that some middleware has not reached yet; the last one is Starlette's."""


def _test_of(only: Sequence[str] | Callable[[Any], bool] | None) -> Callable[[Any], bool] | None:
    if only is None or callable(only):
        return only
    prefixes = tuple(only)
    return lambda path: path.startswith(prefixes)
