"""A visitor that somebody asks about on the page: facts, what is remembered, and what stands in place of decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from typing import NamedTuple

from starlette.exceptions import HTTPException

from convert_sdk._core.facts import ANYWHERE, Place
from convert_sdk._core.state import store_key
from convert_sdk.analysis import Kind, find, named_state
from convert_sdk.client import Client
from convert_sdk.errors import UnknownNameError
from convert_sdk.project import Project
from convert_sdk.stores import Changes
from convert_sdk.stores.memory import MemoryStore
from convert_sdk.visitor import Visitor

_FIELDS = frozenset(
    {
        "visitor_id",
        "attributes",
        "location",
        "environment",
        "state",
        "segments",
        "bucketing_id",
        "instead",
        "experience",
    }
)


class InsteadHow(StrEnum):
    """The way in which somebody names a variation in place of a decision."""

    FORCE = "force"
    PREVIEW = "preview"
    OVERRIDE = "override"


class Instead(NamedTuple):
    """A variation, or a state of a feature, in place of one decision."""

    how: InsteadHow
    experience: str | None
    variation: str | None
    feature: str | None = None
    enabled: bool = True
    variables: Mapping[str, object] | None = None


class VisitorQuestion(NamedTuple):
    """Everything that is known of the visitor who is asked about."""

    visitor_id: str
    attributes: Mapping[str, object]
    location: Place
    environment: str | None
    state: Mapping[str, object]
    """Experiences and variations by keys or ids."""
    segments: tuple[str, ...]
    """Custom segments by keys or ids."""
    bucketing_id: str | None
    instead: tuple[Instead, ...]

    def __repr__(self) -> str:
        return "VisitorQuestion(…)"

    def of(self, key: str) -> Instead | None:
        """The stand-in for the decision on an experience; the last one named counts."""
        return next((each for each in reversed(self.instead) if each.experience == key), None)


def read_question(body: Mapping[str, object]) -> VisitorQuestion:
    """The question in a body; what is no such question is refused."""
    unknown = body.keys() - _FIELDS
    if unknown:
        raise HTTPException(400, f"unknown {', '.join(sorted(unknown))}")
    visitor_id = body.get("visitor_id")
    if not isinstance(visitor_id, str) or not visitor_id:
        raise HTTPException(400, "visitor_id must be text that is not empty")
    location: Place = {}
    given = body.get("location", {})
    if given == "anywhere":
        location = ANYWHERE
    else:
        location = None if given is None else _object(body, "location")
    segments = body.get("segments") or ()
    if not isinstance(segments, (list, tuple)) or not all(isinstance(each, str) for each in segments):
        raise HTTPException(400, "segments must be a list of keys")
    return VisitorQuestion(
        visitor_id,
        _object(body, "attributes"),
        location,
        _maybe_text(body, "environment"),
        _object(body, "state"),
        tuple(segments),
        _maybe_text(body, "bucketing_id"),
        tuple(_read_instead(body.get("instead"))),
    )


@contextmanager
def asked_visitor(project: Project, asked: VisitorQuestion) -> Iterator[Visitor]:
    """The visitor who is asked about, while overrides and previews hold."""
    remembered = named_state(project, asked.state)
    custom = [_segment_id(project, name) for name in asked.segments]
    segments: dict[str, object] = {**remembered.segments}
    if custom:
        segments["customSegments"] = custom
    store = MemoryStore()
    key = store_key(project.account_id, project.id, asked.visitor_id)
    store.save(Changes(key, remembered.bucketing, remembered.goals, segments, remembered.locations))
    with ExitStack() as held:
        client = held.enter_context(Client.offline(project, store=store, environment=asked.environment))
        for each in asked.instead:
            if each.how is not InsteadHow.OVERRIDE:
                continue
            if each.feature is not None:
                held.enter_context(
                    client.override(feature=each.feature, variables=each.variables, enabled=each.enabled)
                )
            elif each.experience is not None and each.variation is not None:
                held.enter_context(client.override(each.experience, each.variation))
            elif each.experience is not None:
                held.enter_context(client.override(each.experience, enabled=False))
        visitor = client.visitor(asked.visitor_id, asked.attributes, location=asked.location)
        if asked.bucketing_id is not None:
            visitor = visitor.with_context(bucketing_id=asked.bucketing_id)
        for each in asked.instead:
            if each.how is InsteadHow.PREVIEW and each.experience is not None:
                _preview(project, visitor, each)
        yield visitor


def _preview(project: Project, visitor: Visitor, wanted: Instead) -> None:
    experience = project.experiences.get(wanted.experience or "")
    arm = None if experience is None or wanted.variation is None else experience.variation(wanted.variation)
    if experience is None or arm is None:
        raise UnknownNameError(wanted.variation or "", f"variation of {wanted.experience}")
    visitor.preview(experience.id, arm.id)


def _segment_id(project: Project, name: str) -> str:
    return find(project, name, [Kind.SEGMENT]).entity.id


def _object(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise HTTPException(400, f"{name} must be an object")
    return value


def _maybe_text(body: Mapping[str, object], name: str) -> str | None:
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise HTTPException(400, f"{name} must be text")
    return value


def _read_instead(given: object) -> Iterator[Instead]:
    if given is None:
        return
    if not isinstance(given, list):
        raise HTTPException(400, "instead must be a list")
    for each in given:
        if not isinstance(each, Mapping):
            raise HTTPException(400, "instead must be a list of objects")
        try:
            how = InsteadHow(str(each.get("how")))
        except ValueError:
            raise HTTPException(400, f"instead: how must be one of {', '.join(InsteadHow)}") from None
        experience, feature = _maybe_text(each, "experience"), _maybe_text(each, "feature")
        variation = _maybe_text(each, "variation")
        if (experience is None) is (feature is None):
            raise HTTPException(400, "instead: name an experience or a feature")
        if how is not InsteadHow.OVERRIDE and variation is None:
            raise HTTPException(400, f"instead: a {how.value} needs a variation")
        yield Instead(
            how,
            experience,
            variation,
            feature,
            each.get("enabled", True) is not False,
            _object(each, "variables") or None,
        )
