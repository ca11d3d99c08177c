"""What `observe` hears: everything once, off the request path unless asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from threading import Event, get_ident

import pytest

from convert_sdk import AsyncClient, Client, FlushReport
from convert_sdk.observation import Converted, Decided, Delivered, Exposed, Incident, Observation
from tests.reliability.collector import Answer
from tests.reliability.site import KEY, site
from tests.waiting import eventually


class Ear:
    """Remembers what it hears, and in which thread."""

    def __init__(self) -> None:
        self.heard: list[Observation] = []
        self.threads: set[int] = set()

    def __call__(self, observation: Observation) -> None:
        self.heard.append(observation)
        self.threads.add(get_ident())

    def those(self, kind: type[Observation]) -> list[Observation]:
        return [each for each in self.heard if isinstance(each, kind)]


def client_of(url: str, **options: object) -> Client:
    given = {"start_wait": 120.0, "shutdown_timeout": 120.0, **options}
    return Client(KEY, config_endpoint=url, track_endpoint=url, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("spooled", [False, True])
def test_everything_is_told_exactly_once_and_elsewhere(spooled: bool, tmp_path: object) -> None:
    ear, here = Ear(), get_ident()
    with site() as convert:
        spool = str(tmp_path) if spooled else None
        client = client_of(convert.url, observe=[ear], flush_interval=0.01, spool=spool)
        uuids = []
        for n in range(50):
            visitor = client.visitor(f"v{n}")
            visitor.decide("button-10")
            visitor.decide("button-10")
            visitor.peek("button-11")
            uuids.append(visitor.track("goal-1", revenue=1).uuid)
            visitor.track("goal-1")
        assert here not in ear.threads
        client.close()
        delivered = Counter(
            uuid
            for each in ear.those(Delivered)
            if isinstance(each, Delivered) and each.outcome == "sent"
            for uuid in each.uuids
        )
    exposed = {each.uuid for each in ear.heard if isinstance(each, Exposed)}
    assert len(ear.those(Decided)) == 100
    assert len(exposed) == len(ear.those(Exposed)) == 50
    reasons = Counter(each.reason.value for each in ear.heard if isinstance(each, Converted))
    assert reasons == {"accepted": 50, "duplicate": 50}
    assert set(delivered) == exposed | {f"{uuid}.{part}" for uuid in uuids for part in (0, 1)}
    assert set(delivered.values()) == {1}


def test_inline_hears_at_once_in_the_callers_thread() -> None:
    ear = Ear()
    with (
        site() as convert,
        client_of(convert.url, hooks=[ear]) as client,
    ):
        visitor = client.visitor("v")
        decision = visitor.decide("button-10")
        assert {type(each) for each in ear.heard} == {Exposed, Decided}
        assert [each[:2] for each in ear.those(Decided)] == [("v", decision)]
        assert ear.threads == {get_ident()}


@pytest.mark.parametrize("how", ["observe", "hooks"])
def test_a_callback_that_raises_is_counted_and_stops_nothing(how: str) -> None:
    def broken(_: Observation) -> None:
        raise RuntimeError("of the application")

    with site() as convert:
        client = client_of(convert.url, **{how: [broken], "flush_interval": 3600})
        visitor = client.visitor("v")
        assert visitor.decide("button-10").variation is not None
        assert visitor.track("goal-1")
        assert client.close().sent == 2
        assert client.status().incidents[how] >= 4


def test_a_callback_that_uses_the_client_does_not_deadlock() -> None:
    reports: list[FlushReport] = []

    def nosy(observation: Observation) -> None:
        if isinstance(observation, Converted) and observation.goal == "goal-1":
            client.visitor("other").track("goal-2")
            reports.append(client.flush(120))
            client.status()

    with site() as convert:
        client = client_of(convert.url, observe=[nosy])
        client.visitor("v").track("goal-1")
        assert convert.wait_for(2)
        client.close()
        assert len(reports) == 1


def test_a_callback_that_hangs_holds_up_no_request_and_no_end() -> None:
    stuck, let_go = Event(), Event()

    def hang(_: Observation) -> None:
        stuck.set()
        let_go.wait(120)

    with site() as convert:
        client = client_of(convert.url, observe=[hang])
        client.visitor("v").track("goal-1")
        assert stuck.wait(120)
        assert client.visitor("w").track("goal-1")
        assert client.flush(120).pending == 0
        assert len(convert.events) == 2
        assert client.close(0.5).pending == 0
        assert not let_go.is_set(), "it came back while the callback still hung"
        let_go.set()


def test_lapses_are_heard_of() -> None:
    ear = Ear()
    with site(lambda _: Answer(503, {"Retry-After": "300"})) as convert:
        client = client_of(convert.url, observe=[ear], spool="/proc/nowhere", flush_interval=3600)
        client.visitor("v").track("goal-1")
        eventually(lambda: client.flush(0.1) and client.status().retries)
        client.close(5)  # it asks once more: the answer must be there when the time is over
    texts = " ".join(each.text for each in ear.heard if isinstance(each, Incident))
    assert "the spool cannot be used" in texts
    assert "the tracking endpoint fails" in texts
    assert "1 events were not delivered" in texts
    fates = [each.outcome for each in ear.heard if isinstance(each, Delivered)]
    assert fates == ["dropped"]


def test_an_asyncio_client_tells_off_the_loop() -> None:
    ear = Ear()

    async def use(url: str) -> None:
        async with AsyncClient(
            KEY, config_endpoint=url, track_endpoint=url, start_wait=120, observe=[ear]
        ) as client:
            visitor = await client.visitor("v")
            visitor.decide("button-10")
            visitor.track("goal-1")
            await client.flush(120)

    with site() as convert:
        asyncio.run(use(convert.url))
    assert get_ident() not in ear.threads
    assert {type(each) for each in ear.heard} == {Decided, Exposed, Converted, Delivered}


def test_conversions_attributed_elsewhere_travel_apart() -> None:
    bodies: list[bytes] = []

    def note(received: object) -> Answer:
        bodies.append(received.body)  # type: ignore[attr-defined]
        return Answer()

    with (
        site(note) as convert,
        client_of(convert.url) as client,
    ):
        visitor = client.visitor("v")
        visitor.track("goal-1", attributed_to={"10": "102"})
        visitor.track("goal-2")
        client.flush(120)
    assert sorted((b'"enrichData":false' in body, b'{"10":"102"}' in body) for body in bodies) == [
        (False, False),
        (True, True),
    ]
