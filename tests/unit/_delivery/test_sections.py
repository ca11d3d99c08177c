"""A document that loses what the project in use has: refused, or believed once it comes again and again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convert_sdk import Project
from convert_sdk._core.model import SECTIONS
from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.runtime import Runtime
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk._http.messages import Failure, Response
from convert_sdk.options import Options
from tests.documents import document, entity, experience

FULL: dict[str, Any] = {
    "audiences": [entity("51", "a")],
    "locations": [entity("61", "l")],
    "segments": [entity("71", "s")],
    "features": [entity("81", "f")],
    "goals": [entity("91", "g")],
}


def body(**changed: Any) -> bytes:
    whole = {**document(experience()), **FULL, **changed}
    return json.dumps({key: value for key, value in whole.items() if value is not MISSING}).encode()


MISSING = object()


def runtime(**options: Any) -> Runtime:
    engine = Engine(VisitorCache(10, stored=False), None)
    return Runtime(Options(sdk_key="k", **options), "k", engine, notify=lambda: None)


def served(subject: Runtime, answer: bytes | Response | Failure, *, late: float = 60.0) -> Project | None:
    """What is served after one fetch, so many seconds later than it was due."""
    now = subject.poller.due() + late
    assert subject.poller.next_request(now) is not None
    subject.poller.handle_response(Response(200, {}, answer) if isinstance(answer, bytes) else answer, now)
    return subject.engine.project


def warnings(subject: Runtime) -> list[str]:
    return [notice.text for notice in subject.poller.notices if notice.level == "warning"]


UNREADABLE: list[Any] = [
    "x",
    5,
    True,
    {},
    {"0": {"id": "1", "key": "k"}},
    [5],
    [None],
    [{"key": "k"}],
    [{"id": {}}],
]


@pytest.mark.parametrize("name", SECTIONS)
class TestEverySection:
    @pytest.mark.parametrize("value", UNREADABLE, ids=str)
    def test_one_that_cannot_be_read_replaces_nothing(self, name: str, value: Any) -> None:
        subject = runtime()
        good = served(subject, body())
        assert good is not None
        for _ in range(5):
            assert served(subject, body(**{name: value})) is good
        assert subject.poller.error == f"the section {name} of the document cannot be read"
        assert len(warnings(subject)) == 1
        newer = served(subject, body(name="newer"))
        assert newer is not good
        assert subject.poller.error is None

    @pytest.mark.parametrize("value", [[], [{"id": "1", "key": "k"}, 5, {"id": []}]], ids=["empty", "partly"])
    def test_one_that_is_empty_or_has_something_is_taken(self, name: str, value: Any) -> None:
        subject = runtime()
        served(subject, body())
        taken = served(subject, body(**{name: value}))
        assert taken is not None
        assert subject.poller.error is None
        assert taken.has(name) is bool(value)

    @pytest.mark.parametrize("value", [None, MISSING], ids=["null", "missing"])
    def test_one_that_is_gone_is_believed_the_third_time(self, name: str, value: Any) -> None:
        subject = runtime()
        good = served(subject, body())
        for _ in range(2):
            assert served(subject, body(**{name: value})) is good
            assert name in str(subject.poller.error)
        taken = served(subject, body(**{name: value}))
        assert taken is not None
        assert taken is not good
        assert subject.poller.error is None
        assert [problem.path for problem in taken.problems][:1] == [f"$.{name}"]
        (refused, accepted) = warnings(subject)
        assert name in refused
        assert accepted == f"{name} missing from 3 documents in a row: the entries are gone"
        again = served(subject, body(**{name: value}))
        assert again is not None
        assert len(warnings(subject)) == 2

    @pytest.mark.parametrize(
        "value", [*UNREADABLE, None, MISSING], ids=lambda v: "missing" if v is MISSING else str(v)
    )
    def test_a_first_one_is_served_with_its_problems(self, name: str, value: Any) -> None:
        subject = runtime()
        taken = served(subject, body(**{name: value}))
        assert taken is not None
        assert subject.poller.error is None
        assert bool(taken.problems) is (value is not None and value is not MISSING)
        assert served(subject, body(**{name: value})) is not taken  # there was nothing to lose


@pytest.mark.parametrize(
    "between",
    [body(name="good"), Response(304, {}, b""), body(goals=None, features=None)],
    ids=["a good one", "unchanged", "other sections"],
)
def test_another_document_between_them_starts_the_count_anew(between: bytes | Response) -> None:
    subject = runtime()
    served(subject, Response(200, {"etag": '"1"'}, body()))
    lost = body(goals=None)
    served(subject, lost)
    served(subject, lost)
    served(subject, between)
    before = subject.engine.project
    assert served(subject, lost) is before
    assert served(subject, lost) is before
    assert served(subject, lost) is not before


def test_a_fetch_that_fails_between_them_changes_nothing() -> None:
    subject = runtime()
    good = served(subject, body())
    for answer in (
        body(goals=None),
        Failure("undelivered", "refused"),
        body(goals=None),
        Response(503, {}, b""),
    ):
        assert served(subject, answer) is good
    assert served(subject, body(goals=None)) is not good


def test_fetches_of_one_minute_are_not_believed_however_many_they_are() -> None:
    subject = runtime()
    good = served(subject, body())
    lost = body(goals=None)
    assert served(subject, lost) is good
    first = subject.poller.answered
    times = 1
    while subject.poller.due() < first + 60.0:
        assert served(subject, lost, late=0.0) is good
        times += 1
    assert times >= 3
    assert served(subject, lost, late=0.0) is not good
    assert warnings(subject)[-1] == f"goals missing from {times + 1} documents in a row: the entries are gone"


def test_where_a_refresh_is_short_it_is_long_enough() -> None:
    subject = runtime(refresh_interval=2.0)
    good = served(subject, body(), late=0.0)
    lost = body(goals=None)
    assert served(subject, lost, late=0.0) is good
    assert str(subject.poller.error).endswith("believed once 2 more say the same and 2 s have passed")
    assert served(subject, lost, late=1.0) is good
    assert served(subject, lost, late=1.0) is not good


def test_parse_accepts_what_it_always_did() -> None:
    for name in SECTIONS:
        for value in UNREADABLE:
            assert Project.parse(body(**{name: value})).problems
