"""One work a function for this project, its defaults unless the function says otherwise."""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Mapping
from decimal import Decimal

from measure import (
    KINDS,
    Json,
    calls,
    chunked,
    growth,
    loading,
    main,
    threaded,
    timed,
    versions,
    visitor_ids,
)
from ours_flags import WORKS as FLAGS
from ours_web import WORKS as WEB

from convert_sdk import Client, Project, Visitor
from convert_sdk.typed_flags import generate_flags

ONE = "experience-0"
DRAIN = 30.0


def discard(body: bytes) -> None:
    """The sink of whoever wants no events."""


def opened(arguments: argparse.Namespace, *, tracking: bool = True) -> tuple[Client, list[str]]:
    project = Project.load(arguments.document)
    client = Client.offline(project, sink=discard, tracking=tracking)
    return client, [experience.key for experience in project.experiences]


def w1(arguments: argparse.Namespace) -> Json:
    """A new visitor and one decision, neither stored nor tracked."""
    visitor = opened(arguments)[0].visitor
    new = arguments.attributes.copy

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            visitor(visitor_id, new()).peek(ONE)

    return timed(loop, visitor_ids(arguments.n))


def w1s(arguments: argparse.Namespace) -> Json:
    """The same, remembered and reported to a sink that discards."""
    client = opened(arguments)[0]
    visitor = client.visitor
    new = arguments.attributes.copy

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            visitor(visitor_id, new()).decide(ONE)

    measured = chunked(loop, visitor_ids(arguments.n), lambda: client.flush(DRAIN), size=5_000)
    return {**measured, "dropped": client.status().events.dropped}


def w2(arguments: argparse.Namespace) -> Json:
    """All experiences for each new visitor, neither stored nor tracked, per decision."""
    client, keys = opened(arguments)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            peek = client.visitor(visitor_id, {"country": "DE", "visits": 7}).peek
            for key in keys:
                peek(key)

    return timed(loop, visitor_ids(arguments.n), operations=arguments.n * len(keys))


def w2_all(arguments: argparse.Namespace) -> Json:
    """The same by `peek_all`."""
    client, keys = opened(arguments)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            client.visitor(visitor_id, {"country": "DE", "visits": 7}).peek_all()

    return timed(loop, visitor_ids(arguments.n), operations=arguments.n * len(keys))


def w2s(arguments: argparse.Namespace) -> Json:
    """`decide_all`, remembered and reported to a sink that discards, per decision."""
    client, keys = opened(arguments)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            client.visitor(visitor_id, {"country": "DE", "visits": 7}).decide_all()

    measured = chunked(loop, visitor_ids(arguments.n), lambda: client.flush(DRAIN), size=50)
    return {"ns": measured["ns"] / len(keys), "dropped": client.status().events.dropped}


def page(arguments: argparse.Namespace) -> Json:
    """The JSON of a new visitor's page."""
    client = opened(arguments)[0]

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            client.visitor(visitor_id, {"country": "DE", "visits": 7}).bootstrap()

    return timed(loop, visitor_ids(arguments.n))


def page_by_hand(arguments: argparse.Namespace) -> Json:
    """The same decisions as JSON, in the one line that does it."""
    client = opened(arguments)[0]

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            visitor = client.visitor(visitor_id, {"country": "DE", "visits": 7})
            json.dumps({decision.key: decision.to_dict() for decision in visitor.peek_all()})

    return timed(loop, visitor_ids(arguments.n))


def w3(arguments: argparse.Namespace) -> Json:
    given = {"country": "DE", "visits": 7, "plan": "pro", "device": "phone", "spent": 12.5, "member": "yes"}

    def use(project: Project) -> None:
        Client.offline(project, tracking=False).visitor("visitor", given).decide_all()

    return loading(arguments.document, Project.parse, use)


def w5(arguments: argparse.Namespace) -> Json:
    """A decision and a conversion of each visitor, delivered by the worker to a collector.

    The same loop with tracking off comes first: the difference is what reporting adds to the caller.
    """
    quiet = opened(arguments, tracking=False)[0]
    without = spent(quiet, visitor_ids(arguments.n))
    address = f"http://127.0.0.1:{arguments.port}"
    client = Client("100123/200456", config_endpoint=address, track_endpoint=address, max_queue=200_000)
    client.visitor("first").peek(ONE)
    began = time.perf_counter()
    caller = spent(client, visitor_ids(arguments.n))
    client.flush(600)
    whole = time.perf_counter() - began
    dropped = client.status().events.dropped
    client.close()
    return {
        "caller": caller,
        "without": without,
        "whole": whole,
        "offered": 2 * arguments.n,
        "dropped": dropped,
    }


def spent(client: Client, ids: list[str]) -> float:
    began = time.perf_counter()
    for visitor_id in ids:
        visitor = client.visitor(visitor_id, {"country": "DE", "visits": 7})
        visitor.decide(ONE)
        visitor.track("purchase")
    return time.perf_counter() - began


def w6(arguments: argparse.Namespace) -> Json:
    client = opened(arguments)[0]

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            client.visitor(visitor_id, {"country": "DE", "visits": 7}).decide(ONE)

    return threaded(loop, visitor_ids(arguments.n))


def w7(arguments: argparse.Namespace) -> Json:
    client = opened(arguments)[0]

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            client.visitor(visitor_id, {"country": "DE", "visits": 7}).decide(ONE)

    return growth(loop, lambda: client.flush(DRAIN), arguments.n, fill=arguments.fill)


def idle(arguments: argparse.Namespace) -> Json:
    """The threads of a client that has its document and nothing to do."""
    before = threading.active_count()
    address = f"http://127.0.0.1:{arguments.port}"
    client = Client("100123/200456", config_endpoint=address, track_endpoint=address)
    client.visitor("visitor").decide(ONE)
    client.flush(DRAIN)
    threads = threading.active_count() - before
    client.close()
    return {"threads": threads}


def visitors(client: Client, count: int) -> Mapping[str, Visitor]:
    """Visitors who have their decision already, made before the clock starts."""
    ids = visitor_ids(count) + visitor_ids(2_000, start=90_000_000)
    ready = {one: client.visitor(one, {"country": "DE", "visits": 7}) for one in ids}
    for visitor in ready.values():
        visitor.decide(ONE)
    client.flush(DRAIN)
    return ready


def feature(arguments: argparse.Namespace) -> Json:
    client = opened(arguments)[0]
    ready = visitors(client, arguments.n)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            ready[visitor_id].feature("pricing").get("v1", 0)

    return timed(loop, visitor_ids(arguments.n))


def typed(arguments: argparse.Namespace) -> Json:
    """The same by generated flags."""
    client = opened(arguments)[0]
    ready = visitors(client, arguments.n)
    assert client.project is not None
    flags: Json = {"__name__": "flags"}
    exec(generate_flags(client.project), flags)  # noqa: S102  # what was generated just now
    pricing = flags["pricing"]

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            _ = pricing(ready[visitor_id]).v1

    return timed(loop, visitor_ids(arguments.n))


def track(arguments: argparse.Namespace) -> Json:
    client = opened(arguments)[0]
    ready = visitors(client, arguments.n)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            ready[visitor_id].track(
                "purchase", revenue=Decimal("49.90"), products=2, transaction_id=visitor_id
            )

    return calls(loop, visitor_ids(arguments.n), lambda: client.flush(DRAIN))


def explain(arguments: argparse.Namespace) -> Json:
    client = opened(arguments)[0]
    ready = visitors(client, arguments.n)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            ready[visitor_id].explain(ONE)

    return timed(loop, visitor_ids(arguments.n))


def decisions(arguments: argparse.Namespace) -> Json:
    """Which variation each visitor gets of each experience; `--fill` says how many kinds of attributes."""
    client, keys = opened(arguments)
    kinds = KINDS[: max(1, arguments.fill)]
    everybody = [
        client.visitor(one, kinds[place % len(kinds)]) for place, one in enumerate(visitor_ids(arguments.n))
    ]
    return {key: [visitor.peek(key).variation_key for visitor in everybody] for key in keys}


def about(_arguments: argparse.Namespace) -> Json:
    return versions(["convert-sdk", "httpx", "mmh3", "pydantic"])


if __name__ == "__main__":
    main(
        {
            "w1": w1,
            "w1s": w1s,
            "w2": w2,
            "w2_all": w2_all,
            "w2s": w2s,
            "page": page,
            "page_by_hand": page_by_hand,
            "w3": w3,
            "w5": w5,
            "w6": w6,
            "w7": w7,
            "idle": idle,
            "feature": feature,
            "typed": typed,
            "track": track,
            "explain": explain,
            "decisions": decisions,
            "about": about,
            **FLAGS,
            **WEB,
        }
    )
