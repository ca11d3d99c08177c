"""Whole runs: a document, a visitor, and the reference's operations as our verbs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from convert_sdk import ANYWHERE, Decision, FetchError, Reason, ResolvedFeature, Visitor
from convert_sdk._core.events import REPORT_KEYS, goal_datum, scalar
from convert_sdk._core.features import resolve_all
from convert_sdk._core.goals import ConversionRequest
from convert_sdk._core.javascript import js_string, truthy
from convert_sdk._core.state import VisitorState
from tests.waiting import PATIENCE

from .differences import CAST_STAYS, REFUSED, STORE_WINS, UNTRACKED_REMEMBERS, Between, Json
from .wire import Session, StoreWins, session

SENTINEL = {"error": "convert.com_variation_not_decided"}
_FRESH = {Reason.BUCKETED, Reason.FORCED}


def answered(case: Json, document: Json) -> Json:
    """What each step gives, what is remembered afterwards, and what was sent."""
    with session(case, document) as made:
        try:
            run = Run(made, case)
        except ValueError:  # nobody: the reference does nothing, we say so at once
            return REFUSED
        steps = [run.step(step) for step in case["steps"]]
        remembered = run.old_store.remembered() if run.old_store else None
        made.store.let_go.set()
        made.client.flush(PATIENCE)
        remembered = remembered or made.remembered(run.visitor.id)
        return shaped(case, {"steps": steps, "visitor_data": remembered, "requests": made.requests})


def shaped(case: Json, answer: Json) -> Json:
    """An answer without what is not compared.

    That is: empty parts of a state, also as they are sent with exposures and conversions, the default source,
    the order of goal data, offline the URL, and with a store, where lists are united, the order of locations.
    """
    options = case.get("options") or {}
    named, online = bool((options.get("network") or {}).get("source")), "sdk_key" in options
    stored = "store" in case or bool(options.get("data_store"))
    parts = dict(answer)
    if "visitor_data" in parts:
        parts["visitor_data"] = _state(parts["visitor_data"], stored=stored)
    if "requests" in parts:
        parts["requests"] = [_request(each, named=named, online=online) for each in parts["requests"]]
    return parts


def _state(remembered: Json, *, stored: bool) -> Json:
    held = {key: value for key, value in remembered.items() if value}
    if stored:
        locations = held.get("locations", [])
        held["locations"] = locations if isinstance(locations, Between) else sorted(locations)
    return held


def _request(request: Json, *, named: bool, online: bool) -> Json:
    shown = {"method": request["method"], "body": _body(request["body"], named=named)}
    if not online:
        return shown
    headers = {name.lower(): value for name, value in (request.get("headers") or {}).items()}
    return {**shown, "url": request["url"], "headers": headers}


def _body(body: Json, *, named: bool) -> Json:
    if body is None:
        return None
    visitors = [
        {
            **{name: part for name, part in visitor.items() if part or name != "segments"},
            "events": [_event(event) for event in visitor["events"]],
        }
        for visitor in body["visitors"]
    ]
    return {**body, "visitors": visitors, "source": body["source"] if named else None}


def _event(event: Json) -> Json:
    data = {name: part for name, part in event["data"].items() if part or name != "bucketingData"}
    if "goalData" in data:
        data["goalData"] = sorted(data["goalData"], key=lambda item: str(item["key"]))
    return {**event, "data": data}


class Run:
    """One visitor of one case, and how its steps are taken."""

    def __init__(self, made: Session, case: Json) -> None:
        self.client = client = made.client
        self.made = made
        self.case = case
        visitor_id = case["visitor_id"]
        known = visitor_id if isinstance(visitor_id, (str, int)) else js_string(visitor_id)
        self.visitor: Visitor = client.visitor(known, case.get("visitor_properties"))
        self.visitor.with_context()  # the reference remembers at once, we with the first verb
        self.previewing = False
        self.cast: set[str] = set()
        held = made.held(self.visitor.id) or VisitorState()
        self.old_store = StoreWins(self.visitor, held) if case.get(STORE_WINS) else None

    def _read(self) -> None:
        """What happens whenever the reference reads the visitor's state."""
        if self.old_store is not None:
            self.old_store.read()

    def step(self, step: Json) -> Json:
        """What one operation gives, in the reference's shape."""
        operation: Callable[[Json, Json], Json] = getattr(self, f"_{step['op']}")
        if step["op"] == "set_preview":
            self._load_preview(step)
        with self.visitor._engine.lock:  # what is being saved meanwhile is taken over before or after
            self._read()
            attributes = step.get("attributes") or {}
            if attributes.get("enable_tracking") is not False or not self.case.get(UNTRACKED_REMEMBERS):
                return operation(step, attributes)
            # No public way remembers what one call decides and sends nothing: it is a client without tracking.
            engine = self.visitor._engine
            queue, engine.queue = engine.queue, None
            try:
                return operation(step, {**attributes, "enable_tracking": True})
            finally:
                engine.queue = queue

    def _given(self, attributes: Json) -> Visitor:
        """The visitor with the facts of one call."""
        location = attributes.get("location_properties")
        return self.visitor.with_context(
            attributes=attributes.get("visitor_properties") or {},
            location=ANYWHERE if attributes.get("ignore_location_properties") is True else location,
            environment=attributes.get("environment"),
            tracking=False if attributes.get("enable_tracking") is False else None,
        )

    def _decided(self, attributes: Json, keys: Iterable[str] | None = None) -> list[Decision]:
        """Every experience or those of these keys, in the order of the document."""
        visitor = self._given(attributes)
        updating = attributes.get("update_visitor_properties")
        if self.previewing or (not updating and self.old_store is None):  # a preview stores nothing
            return visitor.decide_all(keys)
        listed = self.client.project.experiences if self.client.project else ()
        wanted = None if keys is None else set(keys)
        decisions = []
        for experience in listed:
            if wanted is None or experience.key in wanted:
                decisions.append(self._decide(visitor, experience.key))
                if updating:
                    self._update(visitor, decisions[-1])
        return decisions

    def _decide(self, visitor: Visitor, key: str, forced: str | int | None = None) -> Decision:
        self._read()
        return (
            visitor.force(key, variation_id=forced)
            if forced is not None and truthy(forced)
            else visitor.decide(key)
        )

    def _update(self, visitor: Visitor, decision: Decision) -> None:
        if decision.reason in _FRESH:
            self._read()
            visitor.set_segments(visitor._data())

    def _run_experience(self, step: Json, attributes: Json) -> Json:
        visitor = self._given(attributes)
        decision = self._decide(visitor, step["key"], attributes.get("force_variation_id"))
        if attributes.get("update_visitor_properties"):
            self._update(visitor, decision)
        if decision.reason is Reason.NOT_ALLOCATED or self._is_nameless(decision):
            return {"variation": SENTINEL}
        return {"variation": shown(decision) if decision else None}

    def _is_nameless(self, decision: Decision) -> bool:
        """Whether there are variations, none of which has an id: the reference goes as far as to the hash."""
        if decision.reason is not Reason.NO_VARIATIONS:
            return False
        listed = (
            x
            for x in self.made.document["experiences"]
            if isinstance(x, dict) and x.get("key") == decision.key
        )
        raw = next(listed)
        return bool(raw.get("id")) and bool(raw.get("variations"))

    def _run_experiences(self, step: Json, attributes: Json) -> Json:
        return {"variations": [shown(decision) for decision in self._decided(attributes) if decision]}

    def _run_feature(self, step: Json, attributes: Json) -> Json:
        key, keys = step["key"], attributes.get("experience_keys") or None  # no keys are no restriction
        raw = attributes.get("type_casting") is False
        feature = self.client.project.feature(key) if self.client.project else None
        if feature is None:
            return {"feature": self._feature(self._given(attributes).feature(key), raw=raw)}
        if self.previewing:  # which shows variations, not features
            found = [
                x
                for x in self._given(attributes).features()
                if x.decision and (not keys or x.decision.key in keys)
            ]
        else:
            found = [x for decision in self._decided(attributes, keys) for x in decision.features]
        enabled = [self._feature(x, raw=raw) for x in found if x.key == key]
        if len(enabled) > 1:
            return {"features": enabled}
        disabled = self._feature(ResolvedFeature.disabled(key, feature), raw=raw)
        return {"feature": enabled[0] if enabled else disabled}

    def _run_features(self, step: Json, attributes: Json) -> Json:
        raw = attributes.get("type_casting") is False
        project = self.client.project
        stepwise = attributes.get("update_visitor_properties") or self.old_store is not None
        if stepwise and not self.previewing and project is not None:
            features = resolve_all(project, self._decided(attributes))
        else:
            features = self._given(attributes).features()
        return {"features": [self._feature(feature, raw=raw) for feature in features]}

    def _feature(self, feature: ResolvedFeature, *, raw: bool) -> Json:
        """A feature as the reference shows it."""
        change = repr((feature.decision and feature.decision[2:4], feature.id, feature.raw))
        if not raw:
            self.cast.add(change)
        elif self.case.get(CAST_STAYS):
            raw = change not in self.cast
        return feature_shown(feature, raw=raw)

    def _track_conversion(self, step: Json, attributes: Json) -> Json:
        data = attributes.get("conversion_data")
        rule_data = attributes.get("rule_data")
        again = truthy((attributes.get("conversion_setting") or {}).get("forceMultipleTransactions"))
        keywords = expressed(data)
        if keywords is not None:
            self.visitor.track(step["goal_key"], rule_data=rule_data, allow_repeat=again, **keywords)
        elif isinstance(data, list) and not self.previewing:
            said = ",".join(goal_datum(json.dumps(item["key"])[1:-1], scalar(item["value"])) for item in data)
            request = ConversionRequest(said, rule_data, again)
            visitor = self.visitor
            visitor._engine.convert(
                visitor, visitor.project, step["goal_key"], request, tracking=visitor._tracking
            )
        return {"conversion": None}

    def _run_custom_segments(self, step: Json, attributes: Json) -> Json:
        before: dict[str, Any] = dict(self.visitor.segments)
        added = self.visitor.match_segments(step["segment_keys"], step.get("rule_data"))
        known = before.get("customSegments")
        custom = [*(known if isinstance(known, list) else ()), *(segment.id for segment in added)]
        return {"segments": {**before, "customSegments": custom} if added else None}

    def _set_default_segments(self, step: Json, attributes: Json) -> Json:
        given = step.get("segments") or {}
        self.visitor.set_segments({key: given[key] for key in given if key in REPORT_KEYS})
        return {}

    def _update_visitor_properties(self, step: Json, attributes: Json) -> Json:
        self.visitor.set_segments(step.get("properties") or {})
        return {}

    def _load_preview(self, step: Json) -> None:
        """Fetch the experience of a preview as the reference does: where the document does not have it."""
        experience_id, project = step.get("experience_id"), self.client.project
        if not (truthy(experience_id) and truthy(step.get("variation_id")) and self.client._options.sdk_key):
            return
        if project is not None and experience_id not in project.experiences.ids():
            with suppress(FetchError):  # the reference shows nothing then
                self.client.load_preview(experience_id)

    def _set_preview(self, step: Json, attributes: Json) -> Json:
        experience_id, variation_id = step.get("experience_id"), step.get("variation_id")
        if truthy(experience_id) and truthy(variation_id):
            self.previewing = self.visitor.preview(experience_id, variation_id)
        return {"preview_active": self.previewing}


def shown(decision: Decision) -> Json:
    """A decision as the reference's variation."""
    experience, variation = decision.experience, decision.variation
    assert experience is not None
    assert variation is not None
    return {
        "experience_id": experience.id,
        "experience_key": experience.key,
        "experience_name": experience.name,
        "variation_id": variation.id,
        "variation_key": variation.key,
        "variation_name": variation.name,
        "bucketing_allocation": decision.bucket_value,
    }


def feature_shown(feature: ResolvedFeature, *, raw: bool) -> Json:
    """A feature as the reference's."""
    names = {"feature_id": feature.id, "feature_key": feature.key, "feature_name": feature.name}
    if feature.decision is None or feature.decision.experience is None:
        return {**names, "status": "disabled"}
    experience = feature.decision.experience
    return {
        **names,
        "status": "enabled",
        "experience_id": experience.id,
        "experience_key": experience.key,
        "experience_name": experience.name,
        "variables": None if feature.raw is None else dict(feature.raw if raw else feature.variables),
    }


def expressed(data: object) -> Json | None:
    """Conversion data as the keywords of `track`; None for what they cannot say, as one key twice."""
    if not truthy(data):
        return {}
    if not isinstance(data, list) or not data or len({item["key"] for item in data}) < len(data):
        return None
    keywords: Json = {}
    for item in data:
        key, value = item["key"], item["value"]
        if key == "amount" and isinstance(value, (int, float)):
            keywords["revenue"] = value
        elif key == "productsCount" and isinstance(value, int):
            keywords["products"] = value
        elif key == "transactionId" and isinstance(value, str):
            keywords["transaction_id"] = value
        elif key.startswith("customDimension") and isinstance(value, str):
            dimensions = keywords.setdefault("dimensions", {})
            assert isinstance(dimensions, dict)
            dimensions[int(key[-1])] = value
        else:
            return None
    return keywords
