"""The JSON that a visitor's page starts with: `visitor.bootstrap(…)`.

What a variation contributes is the same for all visitors: its JSON is written once for each project, so that a page
costs little more than its decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from json.encoder import encode_basestring_ascii as json_text
from typing import NamedTuple
from weakref import WeakKeyDictionary

from ._core.decision import Decision, Reason, ResolvedFeature
from ._core.events import to_json
from ._core.facts import UNSEEN
from ._core.model import Variation
from ._core.state import VisitorState, state_for_browsers
from .project import Project

ELEMENT_ID = "convert-bootstrap"
_KEPT = frozenset({Reason.BUCKETED, Reason.STICKY, Reason.FORCED})
"""The reasons of variations that are the project's own; others may come from elsewhere, and are not kept."""
_NOTHING_REMEMBERED = to_json(state_for_browsers(UNSEEN, (), ()))


class Bootstrap(str):
    """JSON for a visitor's page, safe inside HTML: it has no `<`, `>`, `&`, and nothing but ASCII.

    >>> page = visitor.bootstrap(["checkout-layout"])
    >>> import json
    >>> sorted(json.loads(page))
    ['decisions', 'environment', 'features', 'revision', 'store', 'tracking', 'visitor_id']
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Bootstrap(…)"

    def script(self, nonce: str | None = None, *, id: str = ELEMENT_ID) -> ScriptElement:
        """The JSON in a `<script type="application/json">`, which a browser reads and does not run.

        Args:
            nonce: The nonce of the page's Content-Security-Policy; None for no such attribute.
            id: The id of the element.

        Raises:
            TypeError: For another type.

        >>> element = visitor.bootstrap([]).script("r4nd0m")
        >>> element.partition(">")[0]
        '<script type="application/json" id="convert-bootstrap" nonce="r4nd0m"'
        """
        allowed = "" if nonce is None else f' nonce="{_attribute("nonce", nonce)}"'
        head = f'<script type="application/json" id="{_attribute("id", id)}"{allowed}>'
        return ScriptElement(f"{head}{self}</script>")


class ScriptElement(str):
    """An element of HTML that a template shows as it is: Jinja, Django and others ask for `__html__`.

    >>> element = visitor.bootstrap([]).script()
    >>> element.__html__() == element
    True
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "ScriptElement(…)"

    def __html__(self) -> str:
        return str(self)


def _attribute(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    return escape(value)


class BootstrapContents(NamedTuple):
    """The things of one visitor that a page gets."""

    visitor_id: str
    decisions: Iterable[Decision]
    features: Iterable[str] | None
    """The keys that were asked for; None for the features that the decisions enable."""
    ask: Callable[[str], ResolvedFeature] | None
    """A look at one feature, where a preview or an override stands in place of a decision; None elsewhere."""
    state: VisitorState
    store_key: str
    environment: str | None
    tracking: bool
    withheld: bool
    """True for somebody who gets no variation at all, and whose state is not shown."""

    def __repr__(self) -> str:
        return f"BootstrapContents(environment={self.environment!r}, tracking={self.tracking})"


def write_bootstrap(project: Project | None, contents: BootstrapContents) -> Bootstrap:
    """The JSON of a page; without a project it has no decision and no state."""
    texts: list[str] = []
    enabled: dict[str, str] = {}
    revision, state = "null", "{}"
    if project is not None:
        texts, enabled = _decisions(_fragments(project), contents.decisions)
        revision = f'"{project.revision}"'
    if project is not None and not contents.withheld:
        state = f"{{{json_text(contents.store_key)}:{_state_json(project, contents.state)}}}"
    if contents.ask is not None:
        enabled = _asked_one_by_one(project, contents.features, contents.ask)
    if contents.features is not None:
        enabled = {key: enabled.get(key) or feature_json(key, None) for key in contents.features}
    environment = "null" if contents.environment is None else json_text(contents.environment)
    text = (
        f'{{"visitor_id":{json_text(contents.visitor_id)},"environment":{environment},"revision":{revision},'
        f'"tracking":{"true" if contents.tracking else "false"},"decisions":{{{",".join(texts)}}},'
        f'"features":{{{",".join(enabled.values())}}},"store":{state}}}'
    )
    return Bootstrap(_escaped(text))


def _state_json(project: Project, state: VisitorState) -> str:
    if state is UNSEEN:
        return _NOTHING_REMEMBERED
    return to_json(state_for_browsers(state, project.experiences.ids(), project.segments.ids()))


def _decisions(known: PageFragments, decisions: Iterable[Decision]) -> tuple[list[str], dict[str, str]]:
    """The JSON of the decisions with a variation, and of the features that they enable, by key."""
    texts: list[str] = []
    enabled: dict[str, str] = {}
    for decision in decisions:
        _, reason, _, variation, _ = decision
        fragment = known.get((variation, reason))
        if fragment is None:
            if not decision:
                continue
            fragment = _fragment(decision)
            if reason in _KEPT:
                known[variation, reason] = fragment
        texts.append(fragment.decision)
        for key, text in fragment.features:
            enabled.setdefault(key, text)
    return texts, enabled


def _asked_one_by_one(
    project: Project | None, keys: Iterable[str] | None, ask: Callable[[str], ResolvedFeature]
) -> dict[str, str]:
    if keys is None:
        keys = () if project is None else [each.key for each in project.features]
    found = [(key, ask(key)) for key in keys]
    return {key: feature_json(key, feature) for key, feature in found if feature}


class PageFragment(NamedTuple):
    """The JSON that a decision contributes to a page."""

    decision: str
    features: tuple[tuple[str, str], ...]
    """The features that it enables: the key and the JSON of each."""


PageFragments = dict[tuple[Variation | None, Reason], PageFragment]


def _fragment(decision: Decision) -> PageFragment:
    named = [(each.key, each) for each in decision.features if each.key is not None]
    return PageFragment(
        _decision_json(decision), tuple((key, feature_json(key, each)) for key, each in named)
    )


def _decision_json(decision: Decision) -> str:
    shown = {
        "variation_key": decision.variation_key,
        "variation_id": decision.variation_id,
        "experience_id": decision.experience_id,
        "reason": decision.reason.value,
    }
    return f"{json_text(decision.key)}:{to_json(shown)}"


def feature_json(key: str, feature: ResolvedFeature | None) -> str:
    """One feature by its key; None for one that nothing enables.

    >>> feature_json("pricing", visitor.feature("pricing"))
    '"pricing":{"enabled":true,"variables":{"discount":0.1}}'
    """
    variables = {} if feature is None else feature.variables
    return f"{json_text(key)}:{to_json({'enabled': bool(feature), 'variables': variables})}"


def _escaped(text: str) -> str:
    """JSON without the signs that mean something in HTML, which only stand inside its texts."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


_projects: WeakKeyDictionary[Project, PageFragments] = WeakKeyDictionary()


def _fragments(project: Project) -> PageFragments:
    known = _projects.get(project)
    return _projects.setdefault(project, {}) if known is None else known
