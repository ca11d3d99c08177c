"""The time that one call spends on regular expressions, told by what the engine was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest
import regex

from convert_sdk import Visitor, explain_rules
from convert_sdk._core.js_regex import budget, pattern
from convert_sdk._core.js_regex.budget import LIMIT, current, one_call
from convert_sdk._core.js_regex.pattern import JsRegex, compile_pattern
from tests.documents import Json, entity, every, experience, leaf, offline, some

CATASTROPHE = r"^(a|aa)+$"
TEXT = "a" * 200 + "b"
STEP = 2**-7
"""Seconds that a search takes here which is given up; sums of it are exact."""


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> Iterator[None]:
    budget._timed_out.clear()  # of this process, whatever other tests searched
    yield
    budget._timed_out.clear()


class Clock:
    """The time of a thread: a search that is given up takes as long as it may, any other nothing."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The searches without a bound that the engine is asked for, by pattern."""
    counted: Counter[str] = Counter()
    clock = Clock()
    real = JsRegex._timed_search

    def search(self: JsRegex, subject: str) -> Any:
        counted[self.source] += 1
        compiled = self._search

        def engine(text: str, **options: Any) -> regex.Match[str] | None:
            if "a|aa" in self.source:
                clock.now += STEP
                raise TimeoutError
            return compiled(text, **options)

        self._search = engine  # type: ignore[assignment]  # the part of it that is called
        try:
            return real(self, subject)
        finally:
            self._search = compiled

    monkeypatch.setattr(pattern, "thread_time", clock)
    monkeypatch.setattr(JsRegex, "_timed_search", search)
    return counted


def matching(source: str) -> Json:
    return leaf("k", source, "regexMatches")


def visitor(*rule_sets: Json, text: str = TEXT, **more: Any) -> Visitor:
    audiences = [entity(str(n), f"a{n}", rules) for n, rules in enumerate(rule_sets, 1)]
    each = experience(audiences=[audience["id"] for audience in audiences])
    return offline(each, audiences=audiences, **more).visitor("v", {"k": text})


AFFORDED = ceil(LIMIT / STEP)


def test_a_call_spends_no_more_than_its_time(asked: Counter[str]) -> None:
    visitor(*(every(matching(f"{CATASTROPHE}|{n}")) for n in range(100))).peek("checkout")
    assert sum(asked.values()) == AFFORDED


def test_the_next_call_has_time_again_and_asks_for_none_that_timed_out(asked: Counter[str]) -> None:
    someone = visitor(*(every(matching(f"{CATASTROPHE}|{n}")) for n in range(25)))
    for seen in (AFFORDED, 2 * AFFORDED, 3 * AFFORDED, 25, 25):
        someone.peek("checkout")
        assert sum(asked.values()) == seen
    assert set(asked.values()) == {1}


def test_a_search_with_a_bound_is_asked_when_the_time_is_spent(asked: Counter[str]) -> None:
    patterns = [matching(f"{CATASTROPHE}|{n}") for n in range(25)]
    assert visitor(some(*patterns, matching("^a"))).peek("checkout")
    assert not visitor(some(*patterns, matching("b.*a|a.*b$"))).peek("checkout")  # it has none for this text


def test_a_search_that_ends_is_charged_and_never_changed(asked: Counter[str]) -> None:
    assert visitor(some(matching(CATASTROPHE), matching("(a|b)+$"))).peek("checkout")


@pytest.mark.parametrize("verb", ["decide_all", "peek_all", "features"])
def test_several_experiences_are_one_call(asked: Counter[str], verb: str) -> None:
    audiences = [entity(str(n), f"a{n}", every(matching(f"{CATASTROPHE}|{n}"))) for n in range(1, 101)]
    each = [experience(id=str(n), key=f"x{n}", audiences=[str(n)]) for n in range(1, 101)]
    getattr(offline(*each, audiences=audiences).visitor("v", {"k": TEXT}), verb)()
    assert sum(asked.values()) == AFFORDED


def test_equal_patterns_share_a_verdict_within_a_call(asked: Counter[str]) -> None:
    slow = "(a|b)*$"
    each = [experience(id=str(n), key=f"x{n}", site_area=every(matching(slow))) for n in range(1, 51)]
    someone = offline(*each).visitor("v", location={"k": TEXT})
    assert all(someone.peek_all())
    assert asked == {slow: 1}
    someone.peek("x1")
    assert asked == {slow: 2}  # it had ended, and nothing keeps it


def test_what_follows_from_a_decision_is_a_part_of_its_call(asked: Counter[str]) -> None:
    slow = "(a|b)*$"
    each = experience(locations=["6"])
    client = offline(each, locations=[entity("6", "here", every(matching(slow)))])
    someone = client.visitor("v", location={"k": TEXT})
    assert someone.decide("checkout")
    assert someone._state.locations == ("here",)
    assert asked == {slow: 1}


def test_explain_counts_what_was_given_up_and_shows_it(asked: Counter[str]) -> None:
    explanation = visitor(*(every(matching(f"{CATASTROPHE}|{n}")) for n in range(25))).explain("checkout")
    notes = Counter(
        trace.leaves[0][0][0].note
        for gate in explanation.gates
        if gate.passed is False
        for trace in gate.rules
    )
    assert notes == {
        "the search took too long and was given up": AFFORDED,
        "not searched, as this call had spent its time for regular expressions": 25 - AFFORDED,
    }
    assert explanation.given_up == 25
    assert "25 searches took too long, or had no time left" in str(explanation)
    assert '"given_up":25' in explanation.to_json()


def test_rules_alone_are_one_call(asked: Counter[str]) -> None:
    rules = some(*(matching(f"{CATASTROPHE}|{n}") for n in range(25)))
    assert not explain_rules(rules, {"k": TEXT}).verdict
    assert sum(asked.values()) == AFFORDED
    client = offline(goals=[entity("7", "buy", rules)], segments=[entity("8", "in", rules)])
    assert client.visitor("v").track("buy", rule_data={"k": TEXT}).reason.value == "rules"
    assert sum(asked.values()) == 2 * AFFORDED
    assert client.visitor("v").match_segments(["in"], {"k": TEXT}) == []
    assert sum(asked.values()) == 3 * AFFORDED


def test_a_thousand_time_outs_are_remembered(asked: Counter[str]) -> None:
    compiled = compile_pattern(CATASTROPHE)
    texts = [f"{TEXT}{n}" for n in range(1_001)]
    for text in texts[:1_000]:
        compiled.search(text)
    compiled.search(texts[0])  # asked for again, and so not the one to be forgotten
    assert asked[CATASTROPHE] == 1_000
    compiled.search(texts[1_000])
    compiled.search(texts[0])
    assert asked[CATASTROPHE] == 1_001
    compiled.search(texts[1])
    assert asked[CATASTROPHE] == 1_002


def test_a_call_within_a_call_is_a_part_of_it() -> None:
    assert current() is None
    with one_call() as outer:
        with one_call() as inner, one_call(resume=True) as resumed:
            assert current() is inner is outer is resumed
        assert current() is outer
    assert current() is None
    with one_call() as other:
        assert other is not outer
    with one_call(resume=True) as resumed:
        assert resumed is other


def test_outside_of_a_call_a_search_has_its_own_limit_only(asked: Counter[str]) -> None:
    for number in range(2 * AFFORDED):
        assert compile_pattern(f"{CATASTROPHE}|{number}").search(TEXT) is False
    assert sum(asked.values()) == 2 * AFFORDED
