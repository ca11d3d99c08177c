"""An application's own client answers from a project of the test, and is afterwards as it was."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from convert_sdk import AsyncClient, Client, MemoryStore, OptionError, Project, Reason, VisitorState
from convert_sdk.observation import Decided, Observation
from convert_sdk.stores import Changes, Winners
from convert_sdk.testing import (
    RecordingClient,
    experience,
    goal,
    project,
    replaced,
    replaced_everywhere,
)
from tests.threads import client_threads

SHOP = project(experience("checkout", {"a": 100, "b": 0}), goal("purchase"))
OTHER = project(experience("checkout", {"c": 100}))


class Unreachable(httpx.BaseTransport):
    """A network that says that it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        raise httpx.ConnectError("no network in this test")


class NoStore(MemoryStore):
    """A store that must not be asked."""

    def load(self, key: str) -> VisitorState | None:
        raise AssertionError("the store is asked")

    def save(self, changes: Changes) -> Winners:
        raise AssertionError("the store is asked")


def test_the_same_object_answers_and_records() -> None:
    client = Client("1/2", store=NoStore())
    before = client_threads()
    with replaced(client, SHOP) as recorded:
        visitor = client.visitor("v-1")
        assert visitor.decide("checkout").variation_key == "a"
        assert visitor.track("purchase", revenue=5)
        client.start()
        assert client.wait_until_ready(timeout=0)
        client.flush()
        client.close()
        assert client.status().offline
    assert client_threads() <= before
    assert recorded.assert_exposed("v-1", "checkout", "a")
    assert recorded.assert_converted("v-1", "purchase", revenue=5)
    assert not client.status().offline
    assert not client.status().started
    assert client.project is None


def test_one_for_asyncio() -> None:
    client = AsyncClient("1/2", store=NoStore())

    async def shopping() -> None:
        async with client:
            visitor = await client.visitor("v-1")
            assert visitor.decide("checkout").variation_key == "a"
            assert len(asyncio.all_tasks()) == 1
            await client.flush()

    with replaced(client, SHOP) as recorded:
        asyncio.run(shopping())
    recorded.assert_exposed("v-1", "checkout", "a")
    assert not client.status().offline
    assert not client.status().started


def test_its_environment_hash_and_hooks_stay() -> None:
    heard: list[Observation] = []
    staged = project(experience("checkout", environment="staging"))
    client = Client("1/2", environment="staging", hash_seed=7, hooks=[heard.append])
    with replaced(client, staged):
        assert client.visitor("v-1").decide("checkout").reason is Reason.BUCKETED
        assert client.project is not None
        assert client.project.bucketing.seed == 7
    assert isinstance(heard[0], Decided)
    assert heard[0].visitor_id == "v-1"


def test_tracking_that_is_off_is_recorded_all_the_same() -> None:
    client = Client("1/2", tracking=False)
    with replaced(client, SHOP) as recorded:
        client.visitor("v-1").decide("checkout")
    recorded.assert_exposed("v-1", "checkout")


def test_it_is_as_before_after_a_failure_too() -> None:
    client = Client.offline(OTHER)
    with pytest.raises(LookupError), replaced(client, SHOP):
        raise LookupError
    assert client.project is not None
    assert client.visitor("v-1").decide("checkout").variation_key == "c"


def test_visitors_of_before_stay_with_what_they_had() -> None:
    client = Client.offline(OTHER)
    before = client.visitor("v-1")
    with replaced(client, SHOP) as recorded:
        assert before.decide("checkout").variation_key == "c"
        recorded.assert_nothing_sent()
        during = client.visitor("v-1")
    assert during.decide("checkout").variation_key == "a"


def test_its_overrides_hold() -> None:
    client = Client("1/2")
    with replaced(client, SHOP), client.override("checkout", "b"):
        assert client.visitor("v-1").decide("checkout").variation_key == "b"


def test_a_decorator_that_was_made_before_overrides_the_replaced_one() -> None:
    client = Client("1/2")

    @client.override("checkout", "b")
    def shown() -> str | None:
        return client.visitor("v-1").decide("checkout").variation_key

    with replaced(client, SHOP):
        assert shown() == "b"


def test_several_share_what_a_recording_client_has() -> None:
    convert = RecordingClient(SHOP)
    one, other = Client("1/2"), AsyncClient("1/2")

    async def shown() -> str | None:
        return (await other.visitor("v-2")).decide("checkout").variation_key

    with replaced(one, convert), replaced(other, convert):
        one.visitor("v-1").decide("checkout")
        assert asyncio.run(shown()) == "a"
        with convert.override("checkout", "b"):
            assert one.visitor("v-3").decide("checkout").variation_key == "b"
        with one.override("checkout", "b"):
            assert convert.visitor("v-3").decide("checkout").variation_key == "b"
        convert.serve(OTHER)
        assert one.visitor("v-4").decide("checkout").variation_key == "c"
        convert.clock.advance(60)
    assert [each.visitor_id for each in convert.exposures] == ["v-1", "v-2", "v-4"]
    assert convert.clock() == convert.exposures[0].time.timestamp() + 60


def test_an_inner_one_wins() -> None:
    client = Client("1/2")
    with replaced(client, SHOP) as outer:
        with replaced(client, OTHER) as inner:
            client.visitor("v-1").decide("checkout")
        client.visitor("v-2").decide("checkout")
    assert [each.variation for each in outer.exposures] == ["a"]
    assert [each.variation for each in inner.exposures] == ["c"]
    assert (len(outer.decisions), len(inner.decisions)) == (1, 1)


@pytest.mark.parametrize("wrong", [None, "client", Client])
def test_what_is_no_client_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="client must be a Client or an AsyncClient"), replaced(wrong, SHOP):
        pass


def test_what_is_no_project_is_refused() -> None:
    wrong: Any = {"account_id": "1"}
    with pytest.raises(TypeError, match="project must be what Project"), replaced(Client("1/2"), wrong):
        pass


def test_an_observer_of_the_applications_own_hears_at_a_flush() -> None:
    heard: list[Observation] = []
    client = Client("1/2", observe=[heard.append])
    with replaced(client, SHOP):
        client.visitor("v-1").decide("checkout")
        client.flush()
        assert repr(client).startswith("Client(")
    assert len(heard) >= 2


class TestEverywhere:
    def test_every_client_that_would_use_the_network(self) -> None:
        transport = Unreachable()
        made, other = Client("1/2", transport=transport), AsyncClient("1/2")
        offline = Client.offline(OTHER)
        with pytest.raises(OptionError):
            Client("1/2", flush_interval=0)  # its object is not whole

        async def shown() -> None:
            (await other.visitor("v-2")).decide("checkout")

        with replaced_everywhere(SHOP) as recorded:
            made.visitor("v-1").decide("checkout")
            asyncio.run(shown())
            assert offline.visitor("v-3").decide("checkout").variation_key == "c"
        assert [each.visitor_id for each in recorded.exposures] == ["v-1", "v-2"]
        assert transport.asked == 0
        assert not made.status().offline

    def test_those_that_are_made_meanwhile(self) -> None:
        async def shown(client: AsyncClient) -> None:
            (await client.visitor("v-2")).decide("checkout")

        with replaced_everywhere(SHOP) as recorded:
            made, keyless = Client("1/2", environment="qa"), Client.for_project(1, 2)
            other = AsyncClient("1/2")
            made.visitor("v-1").decide("checkout")
            asyncio.run(shown(other))
            keyless.visitor("v-3").decide("checkout")
        assert [each.visitor_id for each in recorded.exposures] == ["v-1", "v-2", "v-3"]
        for client in (made, other, keyless):
            assert not client.status().offline
            assert client.project is None
        assert repr(made) == "Client(environment='qa')"

    def test_those_of_an_earlier_test_again(self) -> None:
        with replaced_everywhere(SHOP):
            client = Client("1/2")
        with replaced_everywhere(OTHER) as recorded:
            client.visitor("v-1").decide("checkout")
        recorded.assert_exposed("v-1", "checkout", "c")

    def test_it_takes_a_recording_client(self) -> None:
        convert = RecordingClient(SHOP)
        client = Client("1/2")
        with replaced_everywhere(convert) as recorded:
            client.visitor("v-1").decide("checkout")
            convert.visitor("v-2").decide("checkout")
        assert recorded is convert
        assert [each.visitor_id for each in convert.exposures] == ["v-1", "v-2"]

    def test_a_project_may_be_read_from_a_file(self, tmp_path: Any) -> None:
        path = tmp_path / "shop.json"
        path.write_bytes(SHOP.source)
        client = Client("1/2")
        with replaced_everywhere(Project.load(path)) as recorded:
            client.visitor("v-1").decide("checkout")
        recorded.assert_exposed("v-1", "checkout")
