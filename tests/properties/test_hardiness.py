"""Whatever a document or an application holds, the host goes on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import Client, ConversionResult, DocumentError, Project, matches
from convert_sdk._core.facts import Place
from tests import strategies as draw
from tests.documents import Json, Sink
from tests.strategies import Guest, parsed


def every_verb(client: Client, visitor_id: str, attributes: Json, location: Place, more: Json) -> None:
    """Use a client as an application would, with whatever it holds."""
    visitor = client.visitor(visitor_id, attributes, location=location)
    for key in (*draw.KEYS, "nowhere"):
        visitor.peek(key)
        visitor.explain(key).to_json()
        str(visitor.explain(key))
        visitor.decide(key)
        visitor.force(key, variation_id="2")
    visitor.decide_all(["two"])
    deeper = visitor.with_context(attributes=more, location=more, environment="qa")
    deeper.set_segments(more)
    deeper.decide_all()
    deeper.match_segments(["vip", "none"], more)
    for feature in [*deeper.features(), deeper.feature("banner"), deeper.peek_feature("none")]:
        feature.get("size", 0)
    assert isinstance(deeper.track("buy", rule_data=more), ConversionResult)
    deeper.track("buy", revenue=1, allow_repeat=True)
    deeper.track(goal_id=91)
    deeper.preview("100", "1")
    deeper.decide("one")
    deeper.track("buy")


@given(draw.documents(), draw.visitor_ids, draw.attributes, draw.attributes, st.sampled_from([None, {}]))
def test_no_verb_raises_for_any_attributes(
    raw: Json, visitor_id: str, attributes: Json, more: Json, location: Place
) -> None:
    with Client.offline(parsed(raw), Sink()) as client:
        every_verb(client, visitor_id, attributes, location, more)


def compiled(source: bytes) -> Project | None:
    """The project of some bytes; None where they are refused, by the path of what is wrong."""
    try:
        return Project.parse(source)
    except DocumentError as error:
        refused = error
    assert refused.path.startswith("$")
    assert refused.expected
    return None


@given(draw.damaged(), draw.guests)
def test_a_damaged_document_compiles_or_is_refused_by_its_path(source: bytes, guest: Guest) -> None:
    project = compiled(source)
    if project is None:
        return
    assert [problem for problem in project.problems if not problem.path.startswith("$")] == []
    with Client.offline(project, Sink()) as client:
        every_verb(client, guest.id, guest.attributes, guest.location, guest.segments)


@given(st.binary(max_size=40))
def test_any_bytes_compile_or_are_refused(source: bytes) -> None:
    project = compiled(source)
    assert project is None or project.source == source


@given(draw.values, draw.values)
def test_anything_can_be_tried_as_a_rule_set(rule_set: object, data: object) -> None:
    assert matches(rule_set, data) is False
