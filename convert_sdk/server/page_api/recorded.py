"""The recorded decisions of a visitor beside the answers of the page, and why the two differ where they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from convert_sdk._core.explain import Explanation
from convert_sdk._core.model import Experience
from convert_sdk.errors import UnknownNameError
from convert_sdk.project import Project
from convert_sdk.server.activity import Activity
from convert_sdk.server.record import Exposure
from convert_sdk.server.registry import ServedProject

from .visitor_question import VisitorQuestion, asked_visitor

_FACT_GATES = ("location", "audience", "segment")


class RecordedDecision(NamedTuple):
    """The variation of one experience that was recorded for a visitor last."""

    variation_id: str
    at: float | None
    """In seconds since the epoch; None where the event is no longer kept."""
    segments: tuple[str, ...]
    """The keys of the custom segments that came with it."""


def recorded(
    served: ServedProject, activity: Activity, visitor_id: str, experience_id: str
) -> RecordedDecision | None:
    """The decision that was recorded for a visitor; None where there is none."""
    known = served.record.known(visitor_id)
    variation_id = known.bucketing.get(experience_id)
    if variation_id is None:
        return None
    at = next(
        (
            entry.at
            for entry in activity.backwards(None)
            if isinstance(entry.detail, Exposure)
            and entry.place == served.place
            and entry.detail[:3] == (visitor_id, experience_id, variation_id)
        ),
        None,
    )
    custom = known.segments.get("customSegments")
    ids = {str(each) for each in custom} if isinstance(custom, (list, tuple)) else set()
    keys = tuple(each.key for each in served.current.project.segments if each.id in ids)
    return RecordedDecision(variation_id, at, keys)


class Comparison(NamedTuple):
    """A recorded decision, and the answer of the page to the same question."""

    found: RecordedDecision
    served: ServedProject
    asked: VisitorQuestion
    experience: Experience
    explained: Explanation


def recorded_row(compared: Comparison) -> dict[str, object]:
    """A recorded decision as values of JSON, with the reasons why the present answer is another."""
    found, _, _, experience, explained = compared
    arm = experience.variations.get(found.variation_id)
    is_same = explained.decision.variation_id == found.variation_id
    reasons = [] if is_same else [*_reasons(compared)]
    return {
        "variation_id": found.variation_id,
        "variation_key": None if arm is None else arm.key,
        "variation_name": None if arm is None else arm.name,
        "at": found.at,
        "segments": found.segments,
        "same": is_same,
        "reasons": reasons,
    }


def _reasons(compared: Comparison) -> Iterator[str]:
    found, _, asked, experience, explained = compared
    instead = asked.of(experience.key)
    if instead is not None:
        yield f"Here a {instead.how.value} stands in place of the decision."
        return
    if found.variation_id not in experience.variations:
        yield "The document that is served now has no such variation."
    if explained.stored_variation_id is not None:
        yield "Here the visitor is said to remember another decision."
    if asked.bucketing_id is not None:
        yield "Here another id than the visitor's is hashed."
    closed = [gate.name for gate in explained.gates if gate.passed is False]
    facts = [name for name in closed if name in _FACT_GATES]
    if facts:
        yield (
            f"The SDK knew facts that open the {_listed(facts)}, and this page does not: a server is told ids and "
            "segments of a visitor, never attributes or where they are."
        )
    if found.segments and "segment" in closed:
        yield f"The SDK reported these segments: {', '.join(found.segments)}."
    if "environment" in closed:
        yield "The SDK asks for another environment."
    yield from _by_hash(compared)


def _by_hash(compared: Comparison) -> Iterator[str]:
    """The verdict of the hash on the recorded variation, now and under the document of that time."""
    found, served, asked, experience, explained = compared
    if explained.hashed is not None:
        given = experience.split.pick(explained.hashed.bucket_value)
        if given == found.variation_id:
            yield "The hash gives the recorded variation, as soon as the gates are open."
            return
    earlier = _earlier(found, served)
    if earlier is not None:
        given = _hash_of(earlier.project, asked, experience.key)
        what = "the hash gave what was recorded" if given == found.variation_id else "it may decide otherwise"
        yield f"Another document was served at the time, revision {earlier.name}: {what}."
        if given == found.variation_id:
            return
    if found.at is None and len(served.history):
        yield "Another document may have been served at the time: the event is no longer kept."
    yield (
        "The hash gives another variation, or none, whatever the facts. The SDK was told otherwise: by a force, an "
        "override, a decision that it remembered, another bucketing id, or a document that it had from before."
    )


class _Earlier(NamedTuple):
    name: str
    project: Project


def _earlier(found: RecordedDecision, served: ServedProject) -> _Earlier | None:
    """The document that was served when something was recorded, where that is another one."""
    current = served.current
    if found.at is None or found.at >= current.at:
        return None
    past = next((each for each in served.history.listed() if each.at <= found.at), None)
    if past is None or past.name == current.name:  # undone, or edited back: the same document again
        return None
    return _Earlier(past.name, Project.parse(past.source))


def _hash_of(project: Project, asked: VisitorQuestion, key: str) -> str | None:
    """The variation that the hash gives a visitor in another document."""
    experience = project.experiences.get(key)
    if experience is None:
        return None
    try:
        with asked_visitor(project, asked) as visitor:
            hashed = visitor.explain(key).hashed
    except UnknownNameError:  # what is asked about is not in that document
        return None
    return None if hashed is None else experience.split.pick(hashed.bucket_value)


def recorded_keys(served: ServedProject, visitor_id: str) -> Mapping[str, str]:
    """The recorded variations of a visitor, keys by keys, as far as the document has them."""
    project, found = served.current.project, {}
    for experience_id, variation_id in served.record.known(visitor_id).bucketing.items():
        experience = project.experiences.of_id(experience_id)
        arm = None if experience is None else experience.variations.get(variation_id)
        if experience is not None and arm is not None:
            found[experience.key] = arm.key
    return found


def _listed(names: list[str]) -> str:
    return " and the ".join(names)
