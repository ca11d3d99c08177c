"""A request's facts under those that were given, and what only a visitor's memory knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from convert_sdk import ANYWHERE, Client, Reason, Visitor, matches
from convert_sdk._core.layers import CookieKey, Layered, Underlay
from convert_sdk._core.values import MISSING, FactKey
from convert_sdk._core.visitor_facts import with_visitor
from tests.documents import (
    LOW,
    Json,
    Sink,
    bucketed_into,
    entity,
    every,
    experience,
    leaf,
    offline,
    project,
    some,
    variation,
)


class Request(Underlay):
    """Facts by name, one of them a cookie; it counts what it is asked."""

    def __init__(self, reported: Mapping[str, object] | None = None, **facts: object) -> None:
        self.facts = facts
        self.segments = reported or {}
        self.asked: list[str] = []

    def answer(self, key: object) -> object:
        if isinstance(key, CookieKey):
            return {"session": "abc"}.get(key, MISSING)
        name = key.fact if isinstance(key, FactKey) else str(key)
        self.asked.append(name)
        return self.segments.get(name, self.facts.get(name, MISSING))

    def key_of(self, fact: str) -> str | None:
        return None if fact == "host" else fact

    def reported(self) -> Mapping[str, object]:
        return self.segments


class NoPeeking(Mapping[str, object]):
    """An application's mapping that answers whatever it is asked."""

    def __getitem__(self, key: object) -> object:
        return "chrome"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "NoPeeking()"


def keyless(rule_type: str, value: object, *, negated: bool = False, match_type: str = "equals") -> Json:
    """A condition that names no key."""
    return {
        "rule_type": rule_type,
        "value": value,
        "matching": {"match_type": match_type, "negated": negated},
    }


CHROME = every(keyless("browser_name", "chrome"))


def client_of(rules: Json, **more: object) -> Client:
    """An experience for one audience of these rules."""
    audiences = [entity("51", "some", rules)]
    return Client.offline(project(experience(audiences=["51"]), audiences=audiences, **more))


def visitor(client: Client, request: Underlay, **attributes: object) -> Visitor:
    return client.visitor(LOW, Layered(attributes, request))


class TestKeysOfFacts:
    @pytest.mark.parametrize(
        "data", [{}, {"browser_name": "chrome"}, {"": "chrome"}, ["chrome"], NoPeeking()], ids=repr
    )
    @pytest.mark.parametrize("negated", [True, False])
    def test_no_mapping_of_an_application_holds_one(self, data: Any, negated: bool) -> None:
        assert not matches(every(keyless("browser_name", "chrome", negated=negated)), data)

    @pytest.mark.parametrize(("negated", "verdict"), [(True, True), (False, False)])
    def test_existence_is_asked_of_nothing(self, negated: bool, verdict: bool) -> None:
        rules = every(keyless("browser_name", None, negated=negated, match_type="exists"))
        assert matches(rules, {"browser_name": "chrome"}) is verdict

    def test_such_a_condition_is_no_problem_and_others_are(self) -> None:
        assert project(experience(), audiences=[entity("51", "some", CHROME)]).problems == ()
        beyond = every(keyless("visitor_type", "new"))
        (problem,) = project(experience(), audiences=[entity("51", "some", beyond)]).problems
        assert (
            problem.message
            == "expected a key; without one, 'visitor_type' cannot be answered from a web request"
        )

    def test_a_request_answers(self) -> None:
        assert matches(CHROME, Request(browser_name="chrome"))
        assert not matches(CHROME, Request(browser_name="firefox"))
        assert not matches(every(keyless("browser_name", "chrome", negated=True)), Request())

    def test_what_was_given_under_the_usual_key_is_over_it(self) -> None:
        request = Request(browser_name="firefox", host="shop.example")
        assert matches(CHROME, Layered({"browser_name": "chrome"}, request))
        assert not matches(every(keyless("host", "given")), Layered({"host": "given"}, request))

    def test_a_cookie_is_a_key_like_any_other_to_a_mapping(self) -> None:
        rules = every({**leaf("session", "abc"), "rule_type": "cookie"})
        assert matches(rules, {"session": "abc"})
        assert matches(rules, Request())
        assert not matches(rules, Layered({"session": "given"}, Request()))
        assert not matches(every(leaf("session", "abc")), Request(session="of the query"))


class TestLayers:
    def test_a_request_is_asked_by_key_and_only_on_a_miss(self) -> None:
        request = Request(plan="free", path="/cart")
        client = client_of(every(leaf("plan"), leaf("path", "/cart")))
        assert visitor(client, request, plan="pro").decide("checkout")
        assert request.asked == ["path"]

    def test_none_was_given_too(self) -> None:
        assert Layered({"plan": None}, Request(plan="pro")).get("plan", "default") is None

    def test_locations_are_asked_of_it_too(self) -> None:
        place = experience(locations=["61"])
        with offline(place, locations=[entity("61", "cart", every(leaf("path", "/cart")))]) as client:
            asking = visitor(client, Request(path="/cart"))
            assert asking.peek("checkout")
            assert asking.with_context(location={"page": "other"}).peek("checkout")
            assert not asking.with_context(location={"path": "/"}).peek("checkout")
            assert not asking.with_context(location=None).peek("checkout")
            assert asking.with_context(location=ANYWHERE).peek("checkout")
            assert client.visitor(LOW, location=Request(path="/cart")).peek("checkout")

    def test_the_facts_of_a_call_are_over_it(self) -> None:
        client = client_of(every(leaf("plan")))
        asking = visitor(client, Request(plan="pro"))
        assert asking.with_context(attributes={"other": 1}).peek("checkout")
        assert not asking.with_context(attributes={"plan": "free"}).peek("checkout")

    def test_a_call_may_bring_the_request(self) -> None:
        client = client_of(every(leaf("plan"), leaf("tier", "gold")))
        later = client.visitor(LOW, {"tier": "gold"}).with_context(attributes=Request(plan="pro"))
        assert later.peek("checkout")
        assert not later.with_context(attributes=Layered({"tier": "tin"}, Request(plan="pro"))).peek(
            "checkout"
        )

    def test_remembered_segments_are_over_it(self) -> None:
        client = client_of(every(leaf("group", "a")))
        asking = visitor(client, Request(group="b"))
        assert not asking.peek("checkout")
        asking.set_segments({"group": "a"})
        assert asking.peek("checkout")

    def test_it_lists_what_was_given(self) -> None:
        data = Layered({"plan": "pro"}, Request({"browser": "CH"}, path="/"))
        assert dict(data) == {"browser": "CH", "plan": "pro"}
        assert (len(data), data["path"], "path" in data, "city" in data) == (2, "/", True, False)
        with pytest.raises(KeyError):
            data["city"]
        assert repr(data) == "Layered(…)"

    def test_a_request_lists_what_it_reports(self) -> None:
        request = Request({"browser": "CH"}, path="/")
        assert (dict(request), len(request), "path" in request) == ({"browser": "CH"}, 1, True)
        with pytest.raises(KeyError):
            request["city"]

    def test_all_at_once_agree_with_one_by_one(self) -> None:
        client = client_of(some(CHROME["OR"][0]["AND"][0]["OR_WHEN"][0]))  # type: ignore[index]  # as written above
        asking = visitor(client, Request(browser_name="chrome"))
        assert asking.peek_all() == [asking.peek("checkout")]


class TestReporting:
    def test_what_is_reported_is_remembered_as_an_attribute_is(self) -> None:
        sink = Sink()
        with offline(experience(), sink=sink) as client:
            visitor(client, Request({"browser": "CH"})).decide("checkout")
        assert [entry["segments"] for entry in sink.visitors] == [{"browser": "CH"}]

    def test_it_takes_the_place_of_an_earlier_one(self) -> None:
        client = client_of(every(leaf("country", "FR")))
        visitor(client, Request({"country": "DE"})).set_segments({"tier": "gold"})
        asking = visitor(client, Request({"country": "FR"}))
        assert asking.peek("checkout")
        assert asking.segments == {"country": "FR", "tier": "gold"}
        assert asking.peek("checkout")

    def test_what_was_given_is_reported_in_its_place(self) -> None:
        client = offline(experience())
        assert visitor(client, Request({"country": "DE"}), country="FR").segments == {"country": "FR"}


class TestMemory:
    """Conditions about what is remembered of a visitor: only over a request, as plain data never held them."""

    def fits(self, rules: Json, before: str = "") -> bool:
        client = client_of(
            rules,
            goals=[entity("91", "buy"), entity("92", "pay")],
            segments=[entity("71", "large", every(leaf("spent", 5)))],
        )
        asking = visitor(client, Request(), spent=5)
        if before == "goal":
            asking.track("buy")
        elif before == "segment":
            asking.match_segments(["large"])
        found = bool(asking.peek("checkout"))
        assert found is bool(asking.decide_all()[0])
        assert found is asking.explain("checkout").gates[4].rules[0].verdict
        assert not client.visitor("plain", {"spent": 5}).peek("checkout")
        return found

    def test_the_visitor_id(self) -> None:
        assert self.fits(every(keyless("visitor_id", "v-", match_type="startsWith")))

    @pytest.mark.parametrize("value", ["91", 91])
    def test_a_goal_by_its_id(self, value: object) -> None:
        assert self.fits(every(keyless("goal_triggered", value)), "goal")
        assert not self.fits(every(keyless("goal_triggered", value)))
        assert not self.fits(every(keyless("goal_triggered", 92)), "goal")
        assert self.fits(every(keyless("goal_triggered", 92, negated=True)), "goal")

    @pytest.mark.parametrize("value", ["71", 71])
    def test_a_segment_by_its_id(self, value: object) -> None:
        assert self.fits(every(keyless("bucketed_into_segment", value)), "segment")
        assert not self.fits(every(keyless("bucketed_into_segment", value)))

    @pytest.mark.parametrize(
        ("value", "negated", "first", "then"),
        [
            (True, False, False, True),
            (False, False, True, False),
            ("200", False, False, True),
            (200, True, True, False),
            ("300", False, False, False),
        ],
    )
    def test_an_experience(self, value: object, negated: bool, first: bool, then: bool) -> None:
        rules = every(keyless("bucketed_into_experience", value, negated=negated))
        client = offline(
            experience("200", "other", variations=[variation("3", 100)]),
            experience(audiences=["51"]),
            audiences=[entity("51", "some", rules)],
        )
        asking = visitor(client, Request())
        assert bool(asking.peek("checkout")) is first
        assert [bool(each) for each in asking.decide_all()] == [True, then]

    def test_a_location_by_an_experiences_key(self) -> None:
        rules = every({**bucketed_into("other"), "key": None})
        client = offline(
            experience("200", "other", variations=[variation("3", 100)]),
            experience(locations=["61"]),
            locations=[entity("61", "after", rules)],
        )
        asking = visitor(client, Request())
        assert [each.reason for each in asking.decide_all()] == [Reason.BUCKETED, Reason.BUCKETED]
        assert asking.explain("checkout").gates[3].passed
        assert asking._state.locations == ("after",)
        assert [each.reason for each in client.visitor("plain").decide_all()] == [
            Reason.BUCKETED,
            Reason.LOCATION,
        ]

    def test_a_name_that_the_document_does_not_have_is_a_problem(self) -> None:
        rules = every(keyless("goal_triggered", "buy"))
        (problem,) = project(experience(), audiences=[entity("51", "some", rules)]).problems
        assert problem.message == "the document has nothing of the name 'buy'; no visitor has it either"
        assert self.fits(every(keyless("goal_triggered", "gone", negated=True)))


class TestExplaining:
    def test_the_rule_type_stands_for_the_key(self) -> None:
        audience = project(experience(), audiences=[entity("51", "some", CHROME)]).audience("some")
        assert audience is not None
        assert str(audience.explain(Request(browser_name="firefox"))).endswith(
            'NO  browser_name equals "chrome", the visitor has "firefox"'
        )
        assert "nothing; the request does not tell" in str(audience.explain(Request()))
        assert "nothing; answered only from a web request's facts" in str(
            audience.explain({"browser_name": "x"})
        )


def test_a_visitors_memory_over_a_request_is_the_mapping_that_was_given() -> None:
    visitor = client_of(CHROME).visitor(LOW)
    data = Layered({"plan": "pro"}, Request(browser_name="chrome"))
    known = with_visitor(data, visitor)
    assert known is not data
    assert (known["plan"], [*known], len(known)) == ("pro", [*data], len(data))
    assert ("plan" in known, "absent" in known) == (True, False)
    own, others = FactKey("visitor_id"), FactKey("browser_name")
    asked: Any = known
    assert (own in asked, asked.get(own), asked.get(others)) == (True, LOW, "chrome")
    assert with_visitor({"plan": "pro"}, visitor) == {"plan": "pro"}
    assert repr(own) == "FactKey('visitor_id')"
