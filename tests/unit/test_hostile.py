"""What the careless and the malicious send, piece by piece, and what each gets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import count, repeat
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from convert_sdk import (
    ANYWHERE,
    Client,
    ConversionReason,
    DocumentError,
    Project,
    Reason,
    bucket_value,
    matches,
)
from tests.documents import (
    LOW,
    Json,
    Sink,
    document,
    entity,
    every,
    experience,
    leaf,
    offline,
    problems,
    project,
    some,
    variation,
)

EXAMPLE = (Path(__file__).parents[1] / "fixtures" / "serving_document.json").read_bytes()
DEPTH = 100_000
MEGABYTE = "v" * (1 << 20)
BUY = entity("91", "buy")


def kind(value: object) -> str:
    """A short name for a test of a long value."""
    return type(value).__name__


class TestDocuments:
    @pytest.mark.parametrize("size", [0, 1, 100, len(EXAMPLE) // 2, len(EXAMPLE) - 3])
    def test_a_truncated_one_is_refused(self, size: int) -> None:
        with pytest.raises(
            DocumentError, match=r"^\$: expected JSON, found (a truncated document|an empty body)"
        ):
            Project.parse(EXAMPLE[:size])

    @pytest.mark.parametrize("brackets", [b"[]", (b'{"a":', b"}")])
    def test_one_of_great_depth_is_refused(self, brackets: Any) -> None:
        opening, closing = (brackets[:1], brackets[1:]) if isinstance(brackets, bytes) else brackets
        with pytest.raises(DocumentError, match="at most 200 levels"):
            Project.parse(opening * DEPTH + b"1" + closing * DEPTH)

    def test_depth_behind_half_an_emoji_is_refused(self) -> None:
        with pytest.raises(DocumentError, match="at most 200 levels"):
            Project.parse(b'["\\ud800",' + b"[" * DEPTH + b"]" * DEPTH + b"]")

    def test_of_duplicate_keys_in_an_object_the_last_counts(self) -> None:
        assert (
            Project.parse(b'{"account_id": "1", "account_id": "9", "project": {"id": "2"}}').account_id == "9"
        )

    def test_of_experiences_with_one_key_the_first_counts(self) -> None:
        compiled = project(experience("100"), experience("200"))
        found = compiled.experience("checkout")
        assert found is not None
        assert found.id == "100"
        assert "$.experiences[1].key" in {problem.path for problem in compiled.problems}

    def test_names_may_be_any_text(self) -> None:
        odd = "\ud800\0" + "é" * 10_000
        compiled = project(experience(odd, odd, variations=[variation(odd, 100)]))
        decision = Client.offline(compiled).visitor(odd).decide(odd)
        assert (decision.reason, decision.variation_id) == (Reason.BUCKETED, odd)

    def test_endless_numbers_are_problems(self) -> None:
        found = problems(experience(variations=[variation("1", inf), variation("2", -inf)], version=nan))
        assert "$.experiences[0].variations[0].traffic_allocation" in found
        assert "$.experiences[0].version" in found

    def test_a_number_of_a_million_digits_is_read(self) -> None:
        source = json.dumps(document(goals=[BUY])).replace('"91"', "9" * (1 << 20))
        assert Project.parse(source).goal("buy") is not None


class TestPatterns:
    @pytest.mark.parametrize(
        "pattern",
        ["^(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){12}", r"^(\d+)*$", "(x+x+)+y", "((a*)*)*$", r"(a*)*\1$"],
    )
    def test_a_catastrophic_one_gives_an_answer(self, pattern: str) -> None:
        rule = every(leaf("text", pattern, "regexMatches"))
        assert matches(rule, {"text": "a" * 50_000 + "!"}) in {True, False}

    @pytest.mark.parametrize("pattern", ["(", "[", "a**", "(?P<n>a)", "a{2,1}", "\\", "(?<n>a)(?<n>b)"])
    @pytest.mark.parametrize("negated", [True, False])
    def test_an_invalid_one_never_matches(self, pattern: str, negated: bool) -> None:
        assert not matches(every(leaf("text", pattern, "regexMatches", negated=negated)), {"text": "a"})
        assert problems(audiences=[entity("51", "a", every(leaf("text", pattern, "regexMatches")))])

    @pytest.mark.parametrize(
        "pattern", ["(?:" * 1000 + "a" + ")" * 1000, "(" * DEPTH, "a" * DEPTH, "(?:a{999}){999}"], ids=kind
    )
    def test_one_beyond_all_bounds_never_matches(self, pattern: str) -> None:
        assert not matches(every(leaf("text", pattern, "regexMatches")), {"text": "a"})


class TestVisitorIds:
    @pytest.mark.parametrize(
        "visitor_id",
        ["\ud800", "a\udc00b", "\0", "\0\0", MEGABYTE, " ", "😀", 0, -1, 2**70],
        ids=kind,
    )
    def test_any_text_and_any_int_is_decided_and_sent(self, visitor_id: str | int) -> None:
        sink = Sink()
        with offline(experience(), goals=[BUY], sink=sink) as client:
            decision = client.visitor(visitor_id).decide("checkout")
            assert client.visitor(visitor_id).track("buy")
        assert decision.bucket_value == bucket_value("100", str(visitor_id))
        assert {entry["visitorId"] for entry in sink.visitors} == {str(visitor_id)}

    def test_an_empty_one_is_refused(self) -> None:
        with pytest.raises(ValueError, match="must not be empty"):
            offline().visitor("")


class TestAttributes:
    def deep(self) -> Json:
        inner: Json = {}
        for _ in range(DEPTH):
            inner = {"plan": inner}
        return inner

    def test_great_depth_is_a_value_like_any_other(self) -> None:
        rules = some(*(leaf("plan", 1, each) for each in ("equals", "less", "contains", "isIn", "exists")))
        client = offline(
            experience(audiences=["51"], locations=["61"]),
            audiences=[entity("51", "a", rules)],
            locations=[entity("61", "b", rules)],
            segments=[entity("71", "c", rules)],
            goals=[BUY],
            sink=Sink(),
        )
        visitor = client.visitor(LOW, {"plan": self.deep(), "country": self.deep()}, location=self.deep())
        deeper = visitor.with_context(attributes=self.deep()).with_context(
            attributes=self.deep(), location=ANYWHERE
        )
        assert deeper.decide("checkout").reason is Reason.BUCKETED
        assert visitor.explain("checkout").to_json().isascii()
        deeper.match_segments(["c"], self.deep())
        deeper.track("buy", rule_data=self.deep())
        client.close()

    def test_a_list_of_great_depth_has_a_text(self) -> None:
        deep: list[object] = ["x"]
        for _ in range(DEPTH):
            deep = [deep]
        assert matches(every(leaf("plan", "x", "contains")), {"plan": deep})

    def test_what_holds_itself_has_a_text(self) -> None:
        endless: list[object] = ["x"]
        endless.append(endless)
        assert matches(every(leaf("plan", "x,", "equals")), {"plan": (endless, "y")}) is False
        assert matches(every(leaf("plan", "x,", "contains")), {"plan": endless})

    @pytest.mark.parametrize(
        "value", [object(), b"pro", {1, 2}, 10**5000, nan, Decimal("sNaN"), type, lambda: None], ids=kind
    )
    def test_objects_of_the_application_are_values(self, value: object) -> None:
        rules = some(
            *(leaf("plan", 1, each) for each in ("equals", "less", "contains", "isIn", "regexMatches"))
        )
        client = offline(experience(audiences=["51"]), audiences=[entity("51", "a", rules)], sink=Sink())
        visitor = client.visitor(LOW, {"plan": value, "country": value, "customSegments": value})
        assert visitor.decide("checkout").reason in Reason
        visitor.set_segments({"anything": value})
        assert str(visitor.explain("checkout"))
        assert visitor.explain("checkout").to_json()
        client.close()

    def test_a_mapping_of_the_applications_own_is_enough(self) -> None:
        class Headers(Mapping[str, object]):
            def __getitem__(self, key: str) -> object:
                return {"plan": "pro"}[key]

            def __iter__(self) -> Iterator[str]:
                return iter(["plan"])

            def __len__(self) -> int:
                return 1

        client = offline(experience(audiences=["51"]), audiences=[entity("51", "a", every(leaf()))])
        assert client.visitor(LOW, Headers()).decide("checkout").reason is Reason.BUCKETED

    def test_a_name_of_the_references_is_an_attribute_like_any_other(self) -> None:
        client = offline(experience(audiences=["51"]), audiences=[entity("51", "a", every(leaf()))])
        visitor = client.visitor(LOW, {"name": "RuleData", "plan": "pro"})
        assert visitor.decide("checkout").reason is Reason.BUCKETED


class Endless(Mapping[Any, Any]):
    """Keys without an end: new ones for ever, or one for ever."""

    def __init__(self, key: Any = None) -> None:
        self._keys = (f"k{number}" for number in count()) if key is None else repeat(key)

    def __getitem__(self, key: Any) -> Any:
        return "gold"

    def __iter__(self) -> Iterator[Any]:
        yield from self._keys

    def __len__(self) -> int:
        return 1


class EndlessDict(dict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        yield from Endless()

    def __getitem__(self, key: str) -> Any:
        return "gold"


class EndlessList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from count()


@pytest.mark.parametrize(
    "make", [Endless, EndlessDict, lambda: Endless("plan"), lambda: {"plan": EndlessList()}]
)
class TestWithoutAnEnd:
    def test_facts_are_read_up_to_a_bound(self, make: Any) -> None:
        client = offline(
            experience(), goals=[BUY], segments=[entity("71", "s", every(leaf("a", "b")))], sink=Sink()
        )
        visitor = client.visitor(LOW, make(), location=make())
        assert visitor.decide("checkout")
        assert visitor.with_context(attributes=make(), location=make()).peek("checkout")
        visitor.set_segments(make())
        assert visitor.match_segments(["s"], make()) == []
        assert visitor.track("buy", rule_data=make()).reason is ConversionReason.NO_RULES
        assert visitor.track("buy")
        assert str(visitor.explain("checkout"))
        assert client.flush().sent == 2


@pytest.mark.parametrize("make", [Endless, lambda: Endless("100")])
def test_attributions_without_an_end_are_read_up_to_a_bound(make: Any) -> None:
    assert offline(goals=[BUY], sink=Sink()).visitor(LOW).track("buy", attributed_to=make())


def test_dimensions_without_an_end_are_read_up_to_a_bound() -> None:
    visitor = offline(goals=[BUY], sink=Sink()).visitor(LOW)
    assert visitor.track("buy", dimensions=Endless(1))
    with pytest.raises(ValueError, match="numbered 1 to 5"):
        visitor.track("buy", dimensions=Endless())


class TestConversions:
    @pytest.mark.parametrize("revenue", [nan, inf, -inf, Decimal("NaN"), Decimal("sNaN"), 10**5000], ids=kind)
    def test_money_that_is_no_number_raises(self, revenue: Any) -> None:
        with pytest.raises(ValueError, match="revenue must be finite"):
            offline(goals=[BUY]).visitor(LOW).track("buy", revenue=revenue)

    @pytest.mark.parametrize("revenue", [True, "49.90", b"1", [1], 1j])
    def test_money_of_another_type_raises(self, revenue: Any) -> None:
        with pytest.raises(TypeError, match="revenue must be a Decimal or a number"):
            offline(goals=[BUY]).visitor(LOW).track("buy", revenue=revenue)

    def test_what_raised_counted_nothing(self) -> None:
        visitor = offline(goals=[BUY], sink=Sink()).visitor(LOW)
        with pytest.raises(ValueError, match="revenue"):
            visitor.track("buy", revenue=nan)
        assert visitor.track("buy").reason is ConversionReason.ACCEPTED

    def test_texts_may_be_anything(self) -> None:
        sink = Sink()
        with offline(goals=[BUY], sink=sink) as client:
            client.visitor(LOW).track("buy", transaction_id="\ud800\0", dimensions={1: MEGABYTE})
        assert sink.events[1]["data"] == {
            "goalId": "91",
            "goalData": [
                {"key": "transactionId", "value": "\ud800\0"},
                {"key": "customDimension1", "value": MEGABYTE},
            ],
        }

    @pytest.mark.parametrize("goal", ["", "\0", "nothing"])
    def test_a_goal_that_nobody_knows_is_an_answer(self, goal: str) -> None:
        assert offline(goals=[BUY]).visitor(LOW).track(goal).reason is ConversionReason.UNKNOWN_GOAL

    @pytest.mark.parametrize("goal_id", [-5, 0, "5", 10**4000], ids=kind)
    def test_a_goal_id_that_nobody_knows_is_an_answer(self, goal_id: str | int) -> None:
        assert (
            offline(goals=[BUY]).visitor(LOW).track(goal_id=goal_id).reason is ConversionReason.UNKNOWN_GOAL
        )
