"""The clients that cases run through, and what leaves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from threading import Event
from typing import Any

import httpx

from convert_sdk import Client, MemoryStore, Project, Visitor
from convert_sdk._core.events import SOURCE
from convert_sdk._core.facts import UNSEEN, deep_merge
from convert_sdk._core.state import Changes, VisitorState, Winners
from tests.waiting import PATIENCE

from .differences import Between, Json, OneOf
from .hashes import bucketing_of

HEADERS = ("Authorization", "User-Agent", "Content-Type", "convert-debug-token")


class HeldStore(MemoryStore):
    """A store that holds up every save until it is let go: what was tracked is then sent by one request, not by two."""

    def __init__(self, *, shared: bool) -> None:
        super().__init__(shared=shared)
        self.let_go = Event()
        self.let_go.set()

    def save(self, changes: Changes) -> Winners:
        self.let_go.wait(PATIENCE)
        return super().save(changes)


class Session:
    """A client, its store, and the requests that it makes."""

    def __init__(self, client: Client, document: Json, store: HeldStore, requests: list[Json]) -> None:
        self.client = client
        self.document = document
        self.store = store
        self.requests = requests

    def held(self, visitor_id: str) -> VisitorState | None:
        """What the store holds of a visitor."""
        project = self.client.project
        return self.store.load(store_key(project, visitor_id)) if project is not None else None

    def remembered(self, visitor_id: str) -> Json:
        """The same in the reference's shape."""
        return remembered(self.held(visitor_id) or VisitorState())


def store_key(project: Project, visitor_id: str) -> str:
    """Where a visitor is in a store."""
    return f"{project.account_id}-{project.id}-{visitor_id}"


def remembered(state: VisitorState) -> Json:
    """A state in the reference's shape, in which a goal is just marked."""
    held = {**state.to_dict(), "goals": dict.fromkeys(state.goals, True)}
    return {key: value for key, value in held.items() if key != "version"}


class StoreWins:
    """A store as the reference reads it: what it held at first comes back at every read.

    Which of the values that a name had is remembered in the end hangs on the reference's queue.
    """

    def __init__(self, visitor: Visitor, held: VisitorState) -> None:
        self.visitor = visitor
        self.held = held
        self.ever: dict[str, dict[str, list[Json]]] = {"bucketing": {}, "segments": {}}
        self.places: dict[str, None] = {}
        self._note(held)

    def read(self) -> None:
        """Bring back what the store held."""
        assert self.visitor.segments is not None  # reading them remembers what is reported of the attributes
        state, held = self.visitor._state, self.held
        self._note(state)
        if state is not UNSEEN:
            state.bucketing.update(held.bucketing)
            state.goals = {**state.goals, **held.goals}
            state.segments = deep_merge(state.segments, held.segments)

    def remembered(self) -> Json:
        """What may be remembered in the end: of each name one of its values, and any locations that were left."""
        self.read()
        last = remembered(self.visitor._state)
        values = {part: {name: OneOf(each) for name, each in self.ever[part].items()} for part in self.ever}
        return {**last, **values, "locations": Between(last["locations"], self.places)}

    def _note(self, state: VisitorState) -> None:
        self.places.update(dict.fromkeys(state.locations))
        for part, names in self.ever.items():
            for name, value in getattr(state, part).items():
                names.setdefault(name, []).append(value)


@contextmanager
def session(case: Json, document: Json) -> Iterator[Session]:
    """A client for a case: with a transport where it has an SDK key, otherwise offline."""
    options = case.get("options") or {}
    shared = "store" in case or bool(options.get("data_store"))
    store = HeldStore(shared=shared)
    requests: list[Json] = []
    arguments = {**_arguments(options), "store": store}
    source = json.dumps(document)
    _fill(store, compiled(source), case.get("store") or {})
    store.let_go.clear()
    if "sdk_key" in options:
        transport = httpx.MockTransport(_endpoints(source, case.get("preview_configs") or {}, requests))
        client = Client(
            options["sdk_key"],
            transport=transport,
            flush_interval=3600,  # what is sent together is compared
            start_wait=PATIENCE,
            shutdown_timeout=PATIENCE,
            **arguments,
        )
    else:
        client = Client.offline(
            compiled(source),
            lambda body: requests.append({"method": "POST", "body": json.loads(body)}),
            **arguments,
        )
    with client:
        try:
            yield Session(client, document, store, requests)
        finally:
            store.let_go.set()


@lru_cache(256)
def compiled(source: str) -> Project:
    """The project of a document, compiled once for all the cases that refer to it."""
    return Project.parse(source)


def _arguments(options: Json) -> dict[str, Any]:
    bucketing = bucketing_of(options.get("bucketing") or {})
    network = options.get("network") or {}
    return {
        "environment": options.get("environment", "staging") or None,
        "hash_seed": bucketing.seed,
        "max_traffic": bucketing.max_traffic,
        "exclude_experience_id": bucketing.exclude_experience_id,
        "tracking": network.get("tracking") is not False,
        "source": network.get("source") or SOURCE,
        "cache": "low" if network.get("cacheLevel") == "low" else "default",
        **({"sdk_secret": options["sdk_key_secret"]} if options.get("sdk_key_secret") else {}),
        **({"debug_token": options["debug_token"]} if options.get("debug_token") else {}),
    }


def _fill(store: MemoryStore, project: Project, states: Mapping[str, Json]) -> None:
    for visitor_id, stored in states.items():
        state = VisitorState.from_dict(stored)
        key = store_key(project, visitor_id)
        store.save(Changes(key, state.bucketing, state.goals, state.segments, state.locations))


def _endpoints(
    source: str, previews: Mapping[str, Json], requests: list[Json]
) -> Callable[[httpx.Request], httpx.Response]:
    """Both endpoints of Convert: the document, previews by their `exp`, and an open ear for events."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
        body = json.loads(request.content) if request.content else None
        requests.append({"method": request.method, "url": str(request.url), "headers": headers, "body": body})
        if request.method == "POST":
            return httpx.Response(200, json={"code": 200, "message": "ok"})
        wanted = request.url.params.get("exp")
        if wanted is None:
            return httpx.Response(200, text=source)
        return httpx.Response(200, json=previews[wanted]) if wanted in previews else httpx.Response(404)

    return answer
