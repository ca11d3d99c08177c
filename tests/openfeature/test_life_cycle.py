"""The provider's states and events, with a server that answers as the test says."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from math import inf
from pathlib import Path
from threading import Condition

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
from openfeature.provider import ProviderStatus

from convert_sdk import AsyncClient, Client, Project
from convert_sdk._delivery.thread import ThreadWorker
from convert_sdk._delivery.worker import Worker
from convert_sdk.integrations.openfeature import ConvertProvider
from convert_sdk.options import OptionArguments
from tests.documents import Json, change, document, experience, feature, variation
from tests.openfeature.asking import Question, about, asked, asked_async
from tests.processes import running
from tests.reliability.collector import Answer, Collector
from tests.reliability.site import KEY
from tests.waiting import PATIENCE, eventually

READY, STALE, ERROR, CHANGED = (
    ProviderEvent.PROVIDER_READY,
    ProviderEvent.PROVIDER_STALE,
    ProviderEvent.PROVIDER_ERROR,
    ProviderEvent.PROVIDER_CONFIGURATION_CHANGED,
)
DOWN, DENIED = Answer(503), Answer(401)
QUESTION = Question("pricing.discount", "Float", 0.0)
SOON = 0.05


def shop(discount: float, *more: Json) -> Json:
    """A document in which everybody has this discount."""
    arm = variation("1", 100, changes=[change("81", discount=discount)])
    return document(
        experience("100", "sale", variations=[arm]),
        *more,
        features=[feature("81", "pricing", discount="float")],
    )


def given(content: Json) -> Answer:
    return Answer(200, {}, json.dumps(content).encode())


class Site:
    """A server whose answers a test changes, and the clients that ask it."""

    def __init__(self, server: Collector) -> None:
        self._server = server
        self.now = given(shop(0.1))
        server.answer = lambda received: self.now if received.method == "GET" else Answer()

    def options(
        self, refresh: float = 300.0, start_wait: float = PATIENCE, folder: Path | None = None
    ) -> OptionArguments:
        return {
            "config_endpoint": self._server.url,
            "track_endpoint": self._server.url,
            "refresh_interval": refresh,
            "start_wait": start_wait,
            "cache_dir": None if folder is None else str(folder),
        }


@pytest.fixture
def site() -> Iterator[Site]:
    with Collector() as server:
        yield Site(server)


class Events:
    """The events that an application hears of, in their order."""

    def __init__(self) -> None:
        self.seen: list[tuple[ProviderEvent, EventDetails]] = []
        self._told = Condition()
        for event in ProviderEvent:
            api.add_handler(event, self._handler(event))

    def _handler(self, event: ProviderEvent) -> Callable[[EventDetails], None]:
        def handle(details: EventDetails) -> None:
            with self._told:
                if details.provider_name == "Convert":  # and not the one that is there before
                    self.seen.append((event, details))
                self._told.notify_all()

        return handle

    @property
    def names(self) -> list[ProviderEvent]:
        return [event for event, _ in self.seen]

    def wait_for(self, *events: ProviderEvent) -> EventDetails:
        """The details of the last of these events, once all of them were seen, whichever came first."""
        with self._told:
            assert self._told.wait_for(
                lambda: sorted(map(str, self.names)) == sorted(map(str, events)), PATIENCE
            ), self.names
            return next(details for event, details in reversed(self.seen) if event is events[-1])


def fetch_now(client: Client) -> None:
    """Have the client fetch at once, and not in five minutes."""
    worker = client._worker
    assert isinstance(worker, ThreadWorker)
    poller = worker.runtime.poller
    eventually(lambda: poller.due() != inf)  # the end of a fetch would set it again
    poller._due = 0.0
    worker._poller.wake_event.notify()


def status() -> ProviderStatus:
    return api.get_client().get_provider_status()


def test_a_document_in_time_is_ready_and_nothing_else(site: Site) -> None:
    events = Events()
    with Client(KEY, **site.options()) as client:
        api.set_provider_and_wait(ConvertProvider(client))
        events.wait_for(READY)
        assert status() is ProviderStatus.READY
        assert asked(QUESTION).value == 0.1
        assert "stale" not in asked(QUESTION).flag_metadata


def test_a_document_from_disk_is_ready_then_stale_then_ready(site: Site, tmp_path: Path) -> None:
    with closing(Client(KEY, **site.options(folder=tmp_path))) as client:
        assert client.wait_until_ready(PATIENCE)
    site.now = DOWN
    events = Events()
    with closing(Client(KEY, **site.options(refresh=SOON, folder=tmp_path))) as client:
        api.set_provider_and_wait(ConvertProvider(client))
        events.wait_for(READY, STALE)
        assert status() is ProviderStatus.STALE
        details = asked(QUESTION)
        assert (details.value, details.flag_metadata["stale"]) == (0.1, True)
        site.now = given(shop(0.1))
        eventually(lambda: READY in events.names[1:] and status() is ProviderStatus.READY)
        assert "stale" not in asked(QUESTION).flag_metadata


def test_a_server_that_does_not_confirm_the_document_makes_it_stale(site: Site) -> None:
    events = Events()
    with closing(Client(KEY, **site.options(refresh=SOON))) as client:
        api.set_provider_and_wait(ConvertProvider(client))
        site.now = DOWN
        eventually(lambda: STALE in events.names and status() is ProviderStatus.STALE)
        site.now = given(shop(0.1))
        eventually(lambda: events.names[-1] is READY and status() is ProviderStatus.READY)


def test_no_document_in_time_is_an_error_and_ready_when_it_comes(site: Site) -> None:
    site.now = DOWN
    events = Events()
    with closing(Client(KEY, **site.options(start_wait=SOON))) as client:
        client.start()
        eventually(lambda: client.status().fetch_error)
        with pytest.raises(ProviderNotReadyError, match="the config endpoint answers 503"):
            api.set_provider_and_wait(ConvertProvider(client))
        details = events.wait_for(ERROR)
        assert (status(), details.error_code) == (ProviderStatus.ERROR, ErrorCode.PROVIDER_NOT_READY)
        assert asked(QUESTION).error_code is ErrorCode.PROVIDER_NOT_READY
        site.now = given(shop(0.1))
        fetch_now(client)
        assert events.wait_for(ERROR, READY).metadata["version"] == Project.parse(site.now.body).revision
        assert asked(QUESTION).value == 0.1


@pytest.mark.parametrize("answer", [401, 403, 404])
def test_a_refused_key_is_fatal(site: Site, answer: int) -> None:
    site.now = Answer(answer)
    events = Events()
    with closing(Client(KEY, **site.options(start_wait=PATIENCE))) as client:
        with pytest.raises(ProviderFatalError, match="key"):
            api.set_provider_and_wait(ConvertProvider(client))
        assert events.wait_for(ERROR).error_code is ErrorCode.PROVIDER_FATAL
        assert status() is ProviderStatus.FATAL
        assert asked(QUESTION).error_code is ErrorCode.PROVIDER_FATAL


def test_a_key_that_is_taken_after_all_is_ready(site: Site) -> None:
    site.now = DENIED
    events = Events()
    with closing(Client(KEY, **site.options())) as client:
        api.set_provider(ConvertProvider(client))
        events.wait_for(ERROR)
        site.now = given(shop(0.1))
        fetch_now(client)
        events.wait_for(ERROR, READY)
        assert asked(QUESTION).value == 0.1


def test_a_changed_document_names_its_flags(site: Site) -> None:
    events = Events()
    with closing(Client(KEY, **site.options())) as client:
        api.set_provider_and_wait(ConvertProvider(client))
        events.wait_for(READY)
        banner = experience("200", "banner")
        site.now = given({**shop(0.2, banner), "features": [feature("81", "pricing", discount="float")]})
        fetch_now(client)
        details = events.wait_for(READY, CHANGED)
        assert details.flags_changed == ["banner", "sale", "pricing"]
        assert asked(QUESTION).value == 0.2


def test_what_changed_before_ready_is_told_after_it(site: Site) -> None:
    """An event of before the registration would be lost, one from inside `initialize` overwritten."""
    events = Events()
    with closing(Client(KEY, **site.options())) as client:
        provider = ConvertProvider(client)
        assert client.wait_until_ready(PATIENCE)
        before = client.project
        site.now = given(shop(0.3))
        fetch_now(client)
        eventually(lambda: client.project is not before)
        eventually(lambda: provider._life_cycle._changed)  # what is to be told is seen nowhere else
        api.set_provider_and_wait(provider)
        assert events.wait_for(READY, CHANGED).flags_changed == ["sale", "pricing"]


def test_a_provider_of_its_own_client_closes_it_and_can_start_again(site: Site) -> None:
    provider = ConvertProvider(KEY, **site.options())
    for _ in range(2):
        api.set_provider_and_wait(provider)
        assert asked(QUESTION).value == 0.1
        client = provider.client
        api.clear_providers()
        assert isinstance(client, Client)
        assert not client.status().worker_alive


def test_an_applications_own_client_stays_open(site: Site) -> None:
    with Client(KEY, **site.options()) as client:
        api.set_provider_and_wait(ConvertProvider(client))
        api.clear_providers()
        assert client.status().worker_alive
        provider = ConvertProvider(client)
        api.set_provider_and_wait(provider)
        assert asked(QUESTION).value == 0.1


def test_a_provider_that_nobody_holds_is_not_told(site: Site) -> None:
    with Client(KEY, **site.options()) as client:
        worker = client._worker
        assert isinstance(worker, Worker)
        ConvertProvider(client)
        gc.collect()
        assert worker.runtime.followers == []


def test_a_shutdown_ends_the_wait_of_a_start(site: Site) -> None:
    """Whether it comes before the start, in the middle or at the end of it."""
    ended = threading.Event()

    class Noticed(ConvertProvider):
        def initialize(self, evaluation_context: EvaluationContext) -> None:
            try:
                super().initialize(evaluation_context)
            finally:
                ended.set()

    site.now = DOWN
    with closing(Client(KEY, **site.options(start_wait=10 * PATIENCE))) as client:
        api.set_provider(Noticed(client))
        api.clear_providers()
        assert ended.wait(PATIENCE)


FORKED = """
import os, sys, threading
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from convert_sdk import Client
from convert_sdk.integrations.openfeature import ConvertProvider
from tests.waiting import eventually

begun = threading.Event()

class Noticed(ConvertProvider):
    def initialize(self, evaluation_context):
        begun.set()
        super().initialize(evaluation_context)

client = Client("1/2", config_endpoint=sys.argv[1], track_endpoint=sys.argv[1], start_wait=60.0, refresh_interval=0.1)
api.set_provider(Noticed(client))
begun.wait()
child = os.fork()
if child:
    print("forked", flush=True)
flags = api.get_client()
visitor = EvaluationContext("v-1")
eventually(lambda: flags.get_float_value("pricing.discount", 0.0, visitor) == 0.1)
# Not at once: a document that was not confirmed for two refreshes is stale for a moment.
eventually(lambda: flags.get_provider_status().value == "READY")
# In one write: unbuffered, print makes two, and the other process may come between them.
os.write(1, b"READY\\n")
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
api.shutdown()
client.close()
"""


def test_a_process_that_is_forked_in_the_middle_of_a_start(site: Site) -> None:
    """Its parent's thread does not go on there: a look-up starts again."""
    site.now = DOWN
    url = site.options().get("config_endpoint")
    with running(FORKED, str(url)) as program:
        program.hear("forked")
        site.now = given(shop(0.1))
        assert [program.hear(), program.hear()] == ["READY", "READY"]


def test_a_closed_client_is_not_waited_for(site: Site) -> None:
    client = Client(KEY, **site.options(start_wait=10 * PATIENCE))
    client.close()
    with pytest.raises(ProviderNotReadyError, match="the client is closed"):
        api.set_provider_and_wait(ConvertProvider(client))


def test_an_asynchronous_client_that_nobody_starts(site: Site) -> None:
    client = AsyncClient(KEY, **site.options(start_wait=SOON))
    with pytest.raises(ProviderNotReadyError, match=r"await client\.start\(\) in its loop"):
        api.set_provider_and_wait(ConvertProvider(client))


def test_an_asynchronous_client_that_is_ready(site: Site) -> None:
    async def program() -> None:
        async with AsyncClient(KEY, **site.options()) as client:
            api.set_provider_and_wait(ConvertProvider(client))
            assert (await asked_async(QUESTION, about())).value == 0.1

    asyncio.run(program())


def test_an_asynchronous_client_in_a_loop_that_cannot_wait(site: Site) -> None:
    async def program() -> None:
        client = AsyncClient(KEY, **site.options())
        with pytest.raises(ProviderNotReadyError, match=r"await client\.wait_until_ready"):
            api.set_provider_and_wait(ConvertProvider(client))
        assert status() is ProviderStatus.ERROR
        await client.wait_until_ready(PATIENCE)
        while status() is not ProviderStatus.READY:
            await asyncio.sleep(0)
        assert (await asked_async(QUESTION)).value == 0.1
        await client.close()

    asyncio.run(program())


def test_an_asynchronous_client_that_starts_meanwhile(site: Site) -> None:
    async def program() -> None:
        client = AsyncClient(KEY, **site.options(start_wait=PATIENCE))
        api.set_provider(ConvertProvider(client))
        assert status() is ProviderStatus.NOT_READY
        await client.start()
        while status() is not ProviderStatus.READY:
            await asyncio.sleep(0)
        await client.close()

    asyncio.run(program())


def test_two_projects_in_two_domains(site: Site) -> None:
    other = Client.offline(Project.parse(json.dumps(shop(0.9))))
    with Client(KEY, **site.options()) as client:
        api.set_provider_and_wait(ConvertProvider(client), domain="shop")
        api.set_provider_and_wait(ConvertProvider(other), domain="outlet")
        found = {name: asked(QUESTION, client=api.get_client(name)).value for name in ("shop", "outlet")}
        assert found == {"shop": 0.1, "outlet": 0.9}
