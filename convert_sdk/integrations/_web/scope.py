"""One request: its visitor, made when it is first asked for, and what that does to the response.

Theory of operation
-------------------
A scope costs next to nothing until somebody asks for the visitor. Then the application's callables are asked, the
request is judged, an id is found or made, and the visitor is made of it: `Answers` → `Plan` → `Visitor`. A framework
with a loop does the same ahead of the application where something has to be awaited (`prepare`); the visitor is then
there, but counts as asked for only when the application asks.

The response learns of it when its headers are about to leave. A visitor that is asked for after that cannot get a
cookie any more, so that nothing is stored and nothing sent of it; nor of one who agrees after that, if the browser does
not have the id.

The scope holds the visitor, and the visitor knows nothing of the scope: without a cycle both go when the request ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple

from convert_sdk._core.consent import Consent
from convert_sdk._core.decision import Decision, Reason
from convert_sdk._core.layers import Layered
from convert_sdk._core.state import NOTHING
from convert_sdk._delivery.consent import VisitorConsent
from convert_sdk._delivery.task import TaskWorker
from convert_sdk._scope import OUTSIDE, VISITOR_SCOPE, VisitorScope, open_scope
from convert_sdk.async_client import AsyncClient
from convert_sdk.client import Client
from convert_sdk.visitor import Visitor, bare_visitor

from .bots import is_without_view
from .cookies import Cookie
from .identity import cookie_id, new_id
from .override_tokens import OverrideTokens
from .previews import PreviewLink
from .request import WebRequest
from .response import ResponseChanges
from .state_cookie import StateInCookie
from .verdict import Verdict
from .web import Web

if TYPE_CHECKING:
    from convert_sdk._tokens.handover import Handover

_GRANTED = Consent.GRANTED


def forget_visitor(client: Client | AsyncClient | None = None) -> str | None:
    """The value of `Set-Cookie` with which the device's next request has a new visitor. Raises LookupError."""
    found = open_scope(client)
    if found is None:
        raise LookupError(OUTSIDE)
    return found.forget()


class Answers(NamedTuple):
    """The answers of the application's callables."""

    user: str | None
    consent: Consent
    attributes: Layered
    """Over the facts of the request."""

    def __repr__(self) -> str:
        return "Answers(…)"


class Plan(NamedTuple):
    """The visitor to make."""

    id: str
    former: str | None
    """The id in the request's cookie."""
    verdict: Verdict
    answers: Answers
    stable: bool
    """The id is the user's own, and will be the same in the next request."""
    preview: PreviewLink | None = None
    """The variation that the address asks for, where previews are on: nothing is stored or sent then."""
    handed: Handover | None = None
    """The visitor whom another service has handed over."""
    override: Mapping[str, str] | None = None
    """The variations that a signed token shows, keys by key of experience: nothing is stored or sent then."""

    def __repr__(self) -> str:
        return "Plan(…)"

    @property
    def tracked(self) -> bool:
        """True if what happens may be stored and sent."""
        return self.answers.consent is _GRANTED and self.verdict.withheld is None

    @property
    def switched(self) -> bool:
        """True if a user's own id takes the place of the device's."""
        if not self.stable or not self.tracked or self.verdict.quiet:
            return False
        return self.former is not None and self.former != self.id


class RequestScope:
    """One request of one client's middleware."""

    __slots__ = (
        "_lock",
        "_plan",
        "_state",
        "_visitor",
        "ended",
        "forgotten",
        "headers_left",
        "request",
        "used",
        "web",
    )

    def __init__(self, web: Web, request: WebRequest) -> None:
        self.web = web
        self.request = request
        self.used = False
        """True once the application has asked for the visitor."""
        self.headers_left = self.ended = self.forgotten = False
        self._visitor: Visitor | None = None
        self._plan: Plan | None = None
        self._state: StateInCookie | None = None
        self._lock = threading.RLock()

    def entry(self) -> VisitorScope:
        """This scope, as `current_visitor` finds it."""
        outer = VISITOR_SCOPE.get()
        return VisitorScope(self.web.client, self.visitor, self.glance, self.is_open, self.forget, outer)

    def is_open(self) -> bool:
        """True until the request has ended."""
        return not self.ended

    def visitor(self) -> Visitor:
        """The visitor; the first call makes it."""
        if self.used and self._visitor is not None:
            return self._visitor
        with self._lock:
            visitor = self.glance()
            if not self.used:
                self.used = True
                if self.headers_left:
                    visitor._wants_tracking = False
                    self.web.warn("late", _LATE)
            return visitor

    def glance(self) -> Visitor:
        """The visitor, without counting as asked for."""
        with self._lock:
            if self._visitor is None:
                self._make()
            visitor = self._visitor
            assert visitor is not None  # noqa: S101  # made just now
            return visitor

    # Making the visitor.

    def _make(self) -> None:
        web, options = self.web, self.web.options
        user = web.ask("identify", options.identify, self.request)
        consent = web.ask("consent", options.consent, self.request)
        attributes = web.ask("attributes", options.attributes, self.request)
        plan = self._planned(user, consent, attributes)
        if web.overrides is not None:
            plan = self._with_override(plan, web.overrides)
        if self._is_to_alias(plan):
            plan = plan._replace(id=web.aliases.of(plan.answers.user or "", plan.id))
        client = web.client
        if isinstance(client, Client):
            loads = plan.answers.consent if plan.verdict.withheld is None else Consent.DENIED
            asked = None if loads is _GRANTED else loads  # no store may hear of an id before
            visitor = client.visitor(plan.id, plan.answers.attributes, consent=asked)
            if plan.switched:
                client.visitor(plan.former or "")
        else:  # it is ready, and there is nothing to load: otherwise `prepare` was here
            visitor = bare_visitor(
                client._engine, plan.id, plan.answers.attributes, plan.answers.attributes.laid_over(NOTHING)
            )
        self._equip(visitor, plan)

    async def prepare(self) -> None:
        """Make the visitor ahead of the application, where something has to be awaited for that."""
        from asyncio import to_thread

        web, options = self.web, self.web.options
        user = await self._awaited("identify", options.identify)
        consent = await self._awaited("consent", options.consent)
        attributes = await self._awaited("attributes", options.attributes)
        plan = self._planned(user, consent, attributes)
        if web.overrides is not None:
            plan = self._with_override(plan, web.overrides)
        if self._is_to_alias(plan):
            plan = plan._replace(id=await web.aliases.of_awaited(plan.answers.user or "", plan.id))
        client = web.client
        loads = plan.answers.consent if plan.verdict.withheld is None else Consent.DENIED
        asked = None if loads is _GRANTED else loads
        if isinstance(client, AsyncClient):
            visitor = await client.visitor(plan.id, plan.answers.attributes, consent=asked)
            if plan.switched:
                await client.visitor(plan.former or "")
        else:
            visitor = await to_thread(client.visitor, plan.id, plan.answers.attributes, consent=asked)
            if plan.switched:
                await to_thread(client.visitor, plan.former or "")
        self._equip(visitor, plan)

    async def _awaited(self, name: str, asked: Callable[[Any], object] | None) -> object:
        answer = self.web.ask(name, asked, self.request, ahead=True)
        if not isawaitable(answer):
            return answer
        try:
            return await answer
        except Exception as error:  # noqa: BLE001  # the application's own
            self.web.raised(name, error, ahead=True)
            return None

    def _planned(self, user_answer: object, consent_answer: object, attributes: object) -> Plan:
        web, options, request = self.web, self.web.options, self.request
        user = web.user_id(user_answer)
        consent = _GRANTED if options.consent is None else web.consent(consent_answer)
        answers = Answers(user, consent, web.attributes(request, attributes))
        handed = web.handed(request) if options.accept_handover else None
        if handed is not None:
            return handed_plan(request, answers, handed)
        verdict = web.judge(request, consent, answers.attributes)
        former = cookie_id(request, options.cookie)
        preview = web.preview(request)
        if preview is not None or (options.cookie is None and user is None):
            verdict = verdict._replace(quiet=True)  # without a cookie, nobody's next request has the same id
        if user is not None and (options.cookie is None or options.on_login == "switch"):
            return Plan(user, former, verdict, answers, True, preview)
        return Plan(former or new_id(), former, verdict, answers, False, preview)

    def _with_override(self, plan: Plan, overrides: OverrideTokens) -> Plan:
        """The plan for somebody who tests, where the request has a token for that."""
        variations = overrides.variations(self.request)
        if variations is None:
            return plan
        return plan._replace(override=variations, preview=None, verdict=plan.verdict._replace(quiet=True))

    def _is_to_alias(self, plan: Plan) -> bool:
        if self.web.options.on_login != "alias" or plan.answers.user is None or not plan.tracked:
            return False
        client = self.web.client
        return not plan.verdict.quiet and client.ready and client._options.store is not None

    def _equip(self, visitor: Visitor, plan: Plan) -> None:
        """Give the visitor its consent, and the decisions that it brings along."""
        handed = plan.handed
        before_consent = self.web.options.before_consent
        if handed is not None and handed.consent is not None:
            before_consent = handed.consent.before_consent
        consent = VisitorConsent(
            visitor._engine,
            plan.id,
            plan.answers.consent,
            before_consent=before_consent,
            stable=plan.stable,
            withheld=plan.verdict.withheld,
        )
        visitor._give_consent(consent)
        if plan.verdict.quiet:
            visitor._wants_tracking = False
        if handed is not None:
            visitor._take_up_decisions(handed)
        elif self.web.state_cookie is not None:
            self._take_up_state(visitor, plan, self.web.state_cookie)
        if plan.switched:
            take_decisions(visitor, plan.former or "")
        if plan.override is not None:
            visitor._show(plan.override)
        elif plan.preview is not None:
            visitor.preview(*plan.preview)
        self._plan = plan
        self._visitor = visitor

    def _take_up_state(self, visitor: Visitor, plan: Plan, cookie: Cookie) -> None:
        """Go on where the cookie says; what a device brought counts for the user who takes its place."""
        self._state = carried = StateInCookie(self.web.client, cookie, self.request, self.web.warn)
        if plan.verdict.withheld is not None or plan.answers.consent is Consent.DENIED:
            return
        own, former = carried.of(plan.id), plan.former
        if own is not None:
            visitor._bring(own)
        elif plan.switched and former is not None and (brought := carried.of(former)) is not None:
            visitor._engine.take_up(former, brought)

    @property
    def needs_preparation(self) -> bool:
        """True if something has to be awaited before the visitor can be made."""
        client = self.web.client
        if self.web.options.awaited or not client.ready or client._options.store is not None:
            return True
        worker = client._worker
        if isinstance(client, Client):
            return not client._worker.started[0]
        return isinstance(worker, TaskWorker) and not worker.is_alive

    # The response.

    def begin_response(self) -> ResponseChanges | None:
        """The changes to the headers that are about to leave; None where the visitor changes nothing in them."""
        self.headers_left = True
        visitor, plan, vary = self._visitor, self._plan, self.web.vary
        ended = self._ended_state() if self.forgotten else ()
        if not self.used or visitor is None or plan is None:
            return ResponseChanges(ended, vary=vary) if ended else None
        if plan.preview is not None or plan.override is not None:
            return ResponseChanges(ended, store=False, vary=vary)
        if plan.verdict.withheld is not None or visitor._consent is None or plan.handed is not None:
            return ResponseChanges(ended, vary=vary)
        answer, scheme, cookie = visitor._consent.consent, self.request.scheme, self.web.options.cookie
        if cookie is not None and answer is not _GRANTED and not self._is_kept(plan, answer):
            visitor._consent.too_late = partial(self.web.warn, "late consent", _LATE_CONSENT)
        set_cookies = [*ended] if self.forgotten else [self._state_header(visitor, plan, answer)]
        if cookie is not None and not self.forgotten:
            if answer is Consent.DENIED and cookie.name in self.request.cookies:
                set_cookies.append(cookie.deletion(scheme))
            elif answer is _GRANTED and plan.id != plan.former and not plan.verdict.quiet:
                set_cookies.append(cookie.header(plan.id, scheme))
        return ResponseChanges(tuple(value for value in set_cookies if value is not None), vary=vary)

    def _is_kept(self, plan: Plan, answer: Consent) -> bool:
        """True if a later request has the id of a visitor who had not agreed when the headers left."""
        if plan.stable:
            return True
        return plan.id == plan.former and answer is Consent.UNKNOWN and not self.forgotten

    def _ended_state(self) -> tuple[str, ...]:
        """The value of `Set-Cookie` that ends the state in the browser; nothing where it has none."""
        cookie = self.web.state_cookie
        if cookie is None or cookie.name not in self.request.cookies:
            return ()
        return (cookie.deletion(self.request.scheme),)

    def _state_header(self, visitor: Visitor, plan: Plan, answer: Consent) -> str | None:
        """The value of `Set-Cookie` that keeps or ends the state in the browser; None where nothing changes there."""
        carried = self._state
        if carried is None or plan.verdict.quiet:
            return None
        if answer is Consent.DENIED:
            return carried.deletion()
        if answer is not _GRANTED or visitor._engine.project is None:
            return None
        return carried.header(plan.id, visitor._engine.states.get(plan.id) or visitor._state)

    def forget(self) -> str | None:
        """The value of `Set-Cookie` that ends the visitor on this device; None without a cookie."""
        self.forgotten = True
        cookie = self.web.options.cookie
        return None if cookie is None else cookie.deletion(self.request.scheme)

    def end(self) -> None:
        """End the request: what waits for consent in it is given up."""
        self.ended = True
        visitor = self._visitor
        if visitor is not None and visitor._consent is not None:
            visitor._consent.end()


_LATE = (
    "the visitor was first asked for after the headers of a response had left: nothing is stored or sent of such "
    "a visitor; ask before the response begins"
)
_LATE_CONSENT = (
    "a visitor agreed after the headers of a response had left without a cookie: nothing is stored or sent of an id "
    "that ends with its request; call set_consent before the response begins"
)


def handed_plan(request: WebRequest, answers: Answers, handed: Handover) -> Plan:
    """The plan for a visitor whom another service handed over: it has judged, and asked for consent."""
    withheld = None
    if handed.consent is not None:
        answers, withheld = answers._replace(consent=handed.consent.answer), handed.consent.withheld
    verdict = Verdict(withheld, quiet=not handed.tracking or is_without_view(request))
    return Plan(handed.id, None, verdict, answers, True, handed=handed)


def take_decisions(visitor: Visitor, former: str) -> None:
    """Remember the decisions of a former id where the visitor has none, and report them as the visitor's."""
    project, state = visitor.project, visitor._engine.states.get(former)
    if project is None or state is None:
        return
    taken = []
    for experience_id, variation_id in [*state.bucketing.items()]:
        experience = project.experiences.of_id(experience_id)
        variation = experience.variations.get(variation_id) if experience is not None else None
        if experience is not None and variation is not None:
            taken.append(Decision(experience.key, Reason.BUCKETED, experience, variation))
    if taken:
        visitor._engine.remember(visitor, taken)
