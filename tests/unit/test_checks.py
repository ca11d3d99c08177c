from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from convert_sdk import Client, OptionError
from tests.documents import LOW, Sink, entity, experience, offline, project

MISUSE: list[tuple[Callable[[Any], object], str]] = [
    (lambda visitor: visitor.decide(7), "an experience's key must be a str, not int"),
    (lambda visitor: visitor.peek(None), "an experience's key must be a str, not NoneType"),
    (lambda visitor: visitor.decide_all("checkout"), r"several, as in \['checkout'\]"),
    (lambda visitor: visitor.decide_all(["checkout", 7]), "a key must be a str, not int"),
    (lambda visitor: visitor.peek_all([b"checkout"]), "a key must be a str, not bytes"),
    (lambda visitor: visitor.feature(7), "a key must be a str, not int"),
    (lambda visitor: visitor.match_segments([71]), "a key must be a str, not int"),
    (lambda visitor: visitor.match_segments("loyal"), r"several, as in \['loyal'\]"),
    (lambda visitor: visitor.match_segments(["loyal"], 5), "rule_data must be a mapping, not int"),
    (
        lambda visitor: visitor.force("checkout"),
        "a variation is needed: give its key, or its id as variation_id=",
    ),
    (lambda visitor: visitor.force("checkout", 2), "by its key, a str, not int; give an id as variation_id="),
    (lambda visitor: visitor.force("checkout", b"a"), "by its key, a str, not bytes$"),
    (lambda visitor: visitor.force("checkout", "a", variation_id=2), "key or by variation_id=, not by both"),
    (
        lambda visitor: visitor.force("checkout", variation_id=True),
        "variation_id must be a str or an int, not bool",
    ),
    (
        lambda visitor: visitor.explain("checkout", 2),
        "by its key, a str, not int; give an id as variation_id=",
    ),
    (lambda visitor: visitor.explain("checkout", "a", variation_id=2), "not by both"),
    (lambda visitor: visitor.track(None), "a goal is needed: give its key, or its id as goal_id="),
    (lambda visitor: visitor.track(91), "by its key, a str, not int; give an id as goal_id="),
    (lambda visitor: visitor.track("buy", goal_id=91), "by its key or by goal_id=, not by both"),
    (lambda visitor: visitor.track(goal_id=True), "goal_id must be a str or an int, not bool"),
    (lambda visitor: visitor.with_context(environment=5), "environment must be a str, not int"),
    (lambda visitor: visitor.with_context(tracking="no"), "tracking must be True or False, not str"),
]


@pytest.mark.parametrize(("call", "message"), MISUSE)
def test_a_verb_refuses_what_is_no_key_no_goal_and_no_switch(
    call: Callable[[Any], object], message: str
) -> None:
    visitor = offline(experience(), goals=[entity("91", "buy")]).visitor(LOW)
    with pytest.raises(TypeError, match=message):
        call(visitor)


@pytest.mark.parametrize("wrong", ["buy", "", "٩١", "9" * 101])
def test_a_goal_id_is_a_number(wrong: str) -> None:
    with pytest.raises(ValueError, match="goal_id must be a number such as 100342"):
        offline(goals=[entity("91", "buy")]).visitor(LOW).track(goal_id=wrong)


def test_a_goal_is_named_by_its_key_or_its_id() -> None:
    visitor = offline(goals=[entity("91", "buy")], sink=Sink()).visitor(LOW)
    assert visitor.track("buy").reason.value == "accepted"
    for same in (91, "91"):
        assert visitor.track(goal_id=same).reason.value == "duplicate"


@pytest.mark.parametrize("wrong", [None, {}, "project.json"])
def test_offline_wants_a_project(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"project must be what Project\.load or Project\.parse gives"):
        Client.offline(wrong)


def test_a_sink_is_callable() -> None:
    sink: Any = []
    with pytest.raises(TypeError, match="sink must be a callable that takes bytes, not list"):
        Client.offline(project(), sink)


@pytest.mark.parametrize("id", [None, "", "1/2", "1 2", True])
def test_a_project_without_a_key_is_named_by_two_ids(id: Any) -> None:
    with pytest.raises(OptionError, match="are numbers such as"):
        Client.for_project("10035569", id)


def test_what_the_application_gave_may_be_used_again() -> None:
    attributes, place = {"country": "DE"}, {"url": "/cart"}
    client = offline(experience())
    visitors = [client.visitor(LOW, attributes, location=place)]
    visitors += [visitors[0].with_context(attributes=attributes, location=place)]
    attributes["country"] = place["url"] = "changed"
    assert [visitor._data()["country"] for visitor in visitors] == ["DE", "DE"]
    assert [visitor.location for visitor in visitors] == [{"url": "/cart"}, {"url": "/cart"}]
