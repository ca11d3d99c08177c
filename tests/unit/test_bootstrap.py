"""What a visitor's page starts with: decisions, features and the state for the browser SDK, safe in HTML."""

from __future__ import annotations

import gc
import json
from html.parser import HTMLParser
from typing import Any
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import Client, Consent, Project, Visitor
from tests.documents import (
    HIGH,
    LOW,
    Sink,
    change,
    entity,
    every,
    experience,
    exposure,
    feature,
    leaf,
    offline,
    remembering,
    variation,
)

PRICED = [
    variation("1", changes=[change("81", discount="0.1")]),
    variation("2", changes=[change("81", discount="0.2")]),
]
DOCUMENT: dict[str, Any] = {
    "features": [feature("81", "pricing", discount="float"), feature("82", "search", on="boolean")],
    "audiences": [entity("51", "professionals", every(leaf()))],
    "segments": [entity("71", "spenders", every(leaf("spent", 5)))],
    "goals": [entity("7", "purchase")],
}


def shop(sink: Sink | None = None, **more: Any) -> Client:
    checkout = experience("100", "checkout", variations=PRICED)
    banner = experience("200", "banner", variations=[variation("21", 100)])
    closed = experience("300", "secret", audiences=["51"])
    return offline(checkout, banner, closed, sink=Sink() if sink is None else sink, **DOCUMENT, **more)


def read(visitor: Visitor, *experiences: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(visitor.bootstrap(experiences or None, **more))
    return found


def test_it_has_the_visitor_s_decisions_and_features() -> None:
    client = shop()
    page = read(client.visitor(LOW))
    assert list(page["decisions"]) == ["checkout", "banner"]
    assert page["decisions"]["checkout"] == {
        "variation_key": "arm-1",
        "variation_id": "1",
        "experience_id": "100",
        "reason": "bucketed",
    }
    assert page["features"] == {"pricing": {"enabled": True, "variables": {"discount": 0.1}}}
    assert client.project is not None
    assert (page["visitor_id"], page["revision"]) == (LOW, client.project.revision)
    assert page["tracking"] is True


def test_the_features_that_are_named_are_all_there_and_bring_their_carriers() -> None:
    page = read(shop().visitor(HIGH), "banner", features=["search", "pricing", "no such"])
    assert list(page["decisions"]) == ["checkout", "banner"]
    assert page["features"] == {
        "search": {"enabled": False, "variables": {}},
        "pricing": {"enabled": True, "variables": {"discount": 0.2}},
        "no such": {"enabled": False, "variables": {}},
    }


def test_nothing_is_stored_or_sent() -> None:
    sink = Sink()
    with shop(sink) as client:
        visitor = client.visitor(LOW, {"country": "DE"})
        page = read(visitor)
        assert page["store"] == {f"1-2-{LOW}": {"bucketing": {}, "goals": {}, "segments": {}}}
        assert client.status().visitors == 0
        assert visitor.peek("checkout").reason.value == "bucketed"
    assert sink == []


def test_what_was_decided_and_counted_is_in_the_store() -> None:
    sink = Sink()
    with shop(sink) as client:
        visitor = client.visitor(LOW, {"country": "DE", "plan": "free"})
        visitor.decide("checkout")
        visitor.track("purchase")
        visitor.match_segments(["spenders"], {"spent": 5})
        page = read(client.visitor(LOW))
    assert page["store"][f"1-2-{LOW}"] == {
        "bucketing": {"100": "1"},
        "goals": {"purchase": True},
        "segments": {"customSegments": ["71"]},
    }
    assert page["decisions"]["checkout"]["reason"] == "sticky"
    assert exposure("200", "21") not in sink.events


def test_expose_decides_first() -> None:
    sink = Sink()
    with shop(sink) as client:
        page = read(client.visitor(LOW), "banner", expose=True)
    assert page["store"][f"1-2-{LOW}"]["bucketing"] == {"200": "21"}
    assert sink.events == [exposure("200", "21")]


def test_decisions_of_an_earlier_document_are_left_out() -> None:
    client = shop(store=remembering(LOW, bucketing={"100": "2", "900": "1"}))
    assert read(client.visitor(LOW))["store"][f"1-2-{LOW}"]["bucketing"] == {"100": "2"}


def test_attributes_names_and_rules_are_nowhere() -> None:
    visitor = shop().visitor(LOW, {"plan": "the-plan", "country": "the-country", "source": "the-source"})
    visitor.set_segments({"campaign": "the-campaign"})
    text = visitor.bootstrap(expose=True)
    for absent in ("the-", "Checkout", "Arm", "Pricing", "professionals", "secret", "spent", "spenders"):
        assert absent not in text


class TestWithoutTracking:
    def test_a_visitor_who_is_not_asked_yet_has_nothing(self) -> None:
        client = shop()
        client.visitor(LOW).decide("checkout")
        page = read(client.visitor(LOW, consent=Consent.UNKNOWN), features=["pricing"], expose=True)
        assert (page["decisions"], page["store"], page["tracking"]) == ({}, {}, False)
        assert page["features"] == {"pricing": {"enabled": False, "variables": {}}}

    def test_consent_brings_it(self) -> None:
        visitor = shop().visitor(LOW, consent=Consent.UNKNOWN)
        visitor.set_consent(Consent.GRANTED)
        assert read(visitor)["tracking"] is True
        assert list(read(visitor)["decisions"]) == ["checkout", "banner"]

    def test_what_waits_for_consent_is_the_server_s_to_report(self) -> None:
        sink = Sink()
        with shop(sink) as client:
            visitor = client.visitor(LOW, consent=Consent.UNKNOWN, before_consent="decide")
            visitor.decide("checkout")
            before = read(visitor)
            visitor.set_consent(Consent.GRANTED)
            after = read(visitor)
        assert (before["tracking"], after["tracking"]) == (False, True)
        assert before["store"] == after["store"]
        assert after["store"][f"1-2-{LOW}"]["bucketing"] == {"100": "1"}
        assert sink.events == [exposure("100", "1")]

    def test_an_untracked_visitor_keeps_their_decisions_in_the_page(self) -> None:
        sink = Sink()
        with shop(sink) as client:
            page = read(client.visitor(LOW).with_context(tracking=False), "checkout", expose=True)
            assert client.status().visitors == 0
        assert page["store"][f"1-2-{LOW}"]["bucketing"] == {"100": "1"}
        assert page["tracking"] is False
        assert sink == []


def test_a_preview_is_shown_and_changes_no_feature() -> None:
    visitor = shop().visitor(LOW)
    assert visitor.preview("100", "2")
    page = read(visitor)
    assert page["decisions"]["checkout"]["variation_key"] == "arm-2"
    assert page["decisions"]["checkout"]["reason"] == "preview"
    assert page["features"]["pricing"]["variables"] == visitor.peek_feature("pricing").variables
    assert page["tracking"] is False


def test_an_override_is_shown_and_not_in_the_store() -> None:
    client = shop()
    with client.override("checkout", "arm-2"), client.override(feature="search", enabled=True):
        page = read(client.visitor(LOW), expose=True)
        named = read(client.visitor(LOW), features=["search"])
    assert page["decisions"]["checkout"]["reason"] == "override"
    assert list(page["features"]) == ["pricing", "search"]
    assert page["features"]["pricing"]["variables"] == {"discount": 0.2}
    assert named["features"] == {"search": {"enabled": True, "variables": {}}}
    assert page["store"][f"1-2-{LOW}"]["bucketing"] == {"200": "21"}
    assert read(client.visitor(HIGH))["decisions"]["checkout"]["reason"] == "bucketed"


def test_before_the_first_document_it_is_empty() -> None:
    with Client(
        "1/2", start_wait=0, config_endpoint="http://127.0.0.1:9", track_endpoint="http://127.0.0.1:9"
    ) as client:
        page = read(client.visitor(LOW), "checkout")
    assert page["revision"] is None
    assert page["decisions"] == page["features"] == page["store"] == {}


def test_a_project_that_is_gone_leaves_nothing() -> None:
    def gone() -> ref[Project]:
        client = shop()
        client.visitor(LOW).bootstrap(expose=True)
        assert client.project is not None
        return ref(client.project)

    left = gone()
    gc.collect()
    assert left() is None


def test_misuse_says_so() -> None:
    visitor = shop().visitor(LOW)
    with pytest.raises(TypeError, match=r"keys must be several, as in \['pricing'\]"):
        visitor.bootstrap(features="pricing")
    with pytest.raises(TypeError, match="keys must be several"):
        visitor.bootstrap("checkout")
    with pytest.raises(TypeError, match="must be True or False"):
        visitor.bootstrap(expose=1)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(TypeError, match="nonce must be a str, not int"):
        visitor.bootstrap().script(1)  # type: ignore[arg-type]  # on purpose


def test_its_repr_names_nobody() -> None:
    page = shop().visitor("somebody").bootstrap()
    assert "somebody" not in f"{page!r} {page.script()!r}"


class Page(HTMLParser):
    """Reads the elements of a page, and the text of the last one, as a browser does."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(
    visitor_id=st.text(min_size=1), value=st.text(), nonce=st.text(), mark=st.sampled_from("<>&\u2028\u2029")
)
def test_no_text_gets_out_of_the_element(visitor_id: str, value: str, nonce: str, mark: str) -> None:
    evil = f"</script><!--<script>{mark}{value}"
    arms = [variation("1", 100, key=evil, changes=[change("81", text=evil)])]
    client = offline(
        experience("100", evil, variations=arms), features=[feature("81", evil, text="string")], sink=Sink()
    )
    visitor = client.visitor(f"{visitor_id}{evil}")
    visitor.decide(evil)
    script = visitor.bootstrap().script(nonce, id=evil)
    page = Page(script)
    assert [name for name, _ in page.elements] == ["script"]
    assert page.elements[0][1].keys() == {"type", "id", "nonce"}
    assert page.text.isascii()
    assert not set("<>&") & set(page.text)
    found = json.loads(page.text)
    assert found["visitor_id"] == visitor.id
    assert found["decisions"][evil]["variation_key"] == evil
    assert found["features"][evil]["variables"] == {"text": evil}
    assert found["store"][f"1-2-{visitor.id}"]["bucketing"] == {"100": "1"}


def test_a_template_shows_the_element_as_it_is() -> None:
    markupsafe = pytest.importorskip("markupsafe", reason="needs Jinja: pip install convert-sdk[flask]")
    element = shop().visitor(LOW).bootstrap().script()
    assert markupsafe.escape(element) == element
    assert markupsafe.escape(element.upper()) != element.upper()


def test_numbers_that_json_lacks_are_null() -> None:
    arms = [variation("1", 100, changes=[change("81", rate="Infinity", weights={"a": [1, None]})])]
    client = offline(
        experience(variations=arms), features=[feature("81", "pricing", rate="float", weights="json")]
    )
    assert read(client.visitor(LOW))["features"]["pricing"]["variables"] == {
        "rate": None,
        "weights": {"a": [1, None]},
    }
