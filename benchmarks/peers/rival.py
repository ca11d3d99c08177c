"""One work a function for convert-python-sdk.

Its defaults are `Core(SDKConfig(data=…)).initialize()`: every decision is stored in its memory and queued
as an event, and every tenth event makes the caller's thread build a body and post it. Here that post goes to
a transport that answers 200 without encoding or sending (less work than its own); in `w5` it travels.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import httpx
from measure import KINDS, Json, calls, chunked, growth, loading, main, threaded, timed, versions, visitor_ids

theirs: Any = import_module("convert_sdk")
"""Not this project: in this worker's own environment their package has the same name."""
transports: Any = import_module(".adapters.transport.httpx_transport", "convert_sdk")

ONE = "experience-0"
QUIET = {"enable_tracking": False, "enable_storage": False}


class Answer(Protocol):
    """Their decision."""

    variation_key: str


class Feature(Protocol):
    """Their feature."""

    variables: Mapping[str, object]


class Context(Protocol):
    """Their visitor."""

    def run_experience(
        self, key: str, *, enable_tracking: bool = ..., enable_storage: bool = ...
    ) -> Answer | None: ...

    def run_experiences(self, *, enable_tracking: bool = ..., enable_storage: bool = ...) -> object: ...

    def run_feature(self, key: str) -> Feature: ...

    def track_conversion(
        self, goal: str, *, revenue: float = ..., conversion_data: Mapping[str, object] = ...
    ) -> object: ...

    def diagnose_experience(self, key: str) -> object: ...


class Config(Protocol):
    """Their project."""

    experiences: Sequence[Mapping[str, object]]


class Core(Protocol):
    """Their client."""

    current_config: Config

    def create_context(self, visitor_id: str, attributes: Mapping[str, object]) -> Context: ...

    def flush(self) -> object: ...


class NoSend:
    """Its transport port, answering at once."""

    events = 0

    def send_tracking(self, payload: dict[str, Any], *, sdk_key: str) -> int:
        self.events += sum(len(visitor["events"]) for visitor in payload["visitors"])
        return 200

    def close(self) -> None:
        pass


class Plain(httpx.HTTPTransport):
    """It refuses http:// addresses; this spares it the encryption that nobody else here pays."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme="http")
        return super().handle_request(request)


def core(raw: bytes, transport: Any = None) -> Core:
    made = theirs.Core(theirs.SDKConfig(data=json.loads(raw)), transport=transport or NoSend())
    initialized: Core = made.initialize()
    return initialized


def opened(arguments: argparse.Namespace) -> tuple[Core, list[str]]:
    made = core(Path(arguments.document).read_bytes())
    return made, [str(entry["key"]) for entry in made.current_config.experiences]


def w1(arguments: argparse.Namespace) -> Json:
    """A new visitor and one decision, neither stored nor tracked."""
    create = opened(arguments)[0].create_context
    new = arguments.attributes.copy

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            create(visitor_id, new()).run_experience(ONE, enable_tracking=False, enable_storage=False)

    return timed(loop, visitor_ids(arguments.n))


def w1s(arguments: argparse.Namespace) -> Json:
    """The same with its defaults."""
    made = opened(arguments)[0]
    create = made.create_context
    new = arguments.attributes.copy

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            create(visitor_id, new()).run_experience(ONE)

    return chunked(loop, visitor_ids(arguments.n), made.flush, size=5_000)


def w2(arguments: argparse.Namespace) -> Json:
    """All experiences for each new visitor, neither stored nor tracked, per decision."""
    made, keys = opened(arguments)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            run = made.create_context(visitor_id, {"country": "DE", "visits": 7}).run_experience
            for key in keys:
                run(key, enable_tracking=False, enable_storage=False)

    return timed(loop, visitor_ids(arguments.n), operations=arguments.n * len(keys))


def w2_all(arguments: argparse.Namespace) -> Json:
    """The same by `run_experiences`."""
    made, keys = opened(arguments)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            made.create_context(visitor_id, {"country": "DE", "visits": 7}).run_experiences(**QUIET)

    return timed(loop, visitor_ids(arguments.n), operations=arguments.n * len(keys))


def w2s(arguments: argparse.Namespace) -> Json:
    """`run_experiences` with its defaults, per decision."""
    made, keys = opened(arguments)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            made.create_context(visitor_id, {"country": "DE", "visits": 7}).run_experiences()

    measured = chunked(loop, visitor_ids(arguments.n), made.flush, size=50)
    return {"ns": measured["ns"] / len(keys)}


def w3(arguments: argparse.Namespace) -> Json:
    given = {"country": "DE", "visits": 7, "plan": "pro", "device": "phone", "spent": 12.5, "member": "yes"}

    def use(made: Core) -> None:
        made.create_context("visitor", given).run_experiences(**QUIET)

    return loading(arguments.document, core, use)


def w5(arguments: argparse.Namespace) -> Json:
    """A decision and a conversion of each visitor, posted ten events at a time by the caller."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    config = theirs.TransportConfig(track_base_url=f"https://127.0.0.1:{arguments.port}")
    travels = transports.HttpxTransport(config, client=httpx.Client(transport=Plain(), trust_env=False))
    raw = Path(arguments.document).read_bytes()
    spent(core(raw), visitor_ids(arguments.n))  # ours is warmed up by as many visitors
    made = core(raw, travels)
    began = time.perf_counter()
    caller = spent(made, visitor_ids(arguments.n))
    made.flush()
    return {"caller": caller, "whole": time.perf_counter() - began, "offered": 2 * arguments.n, "dropped": 0}


def spent(made: Core, ids: list[str]) -> float:
    began = time.perf_counter()
    for visitor_id in ids:
        context = made.create_context(visitor_id, {"country": "DE", "visits": 7})
        context.run_experience(ONE)
        context.track_conversion("purchase")
    return time.perf_counter() - began


def w6(arguments: argparse.Namespace) -> Json:
    create = opened(arguments)[0].create_context

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            create(visitor_id, {"country": "DE", "visits": 7}).run_experience(ONE)

    return threaded(loop, visitor_ids(arguments.n))


def w7(arguments: argparse.Namespace) -> Json:
    made = opened(arguments)[0]

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            made.create_context(visitor_id, {"country": "DE", "visits": 7}).run_experience(ONE)

    return growth(loop, made.flush, arguments.n, fill=arguments.fill)


def contexts(made: Core, count: int) -> dict[str, Context]:
    """Visitors who have their decision already, made before the clock starts."""
    ready = {one: made.create_context(one, {"country": "DE", "visits": 7}) for one in ids_and_warm_up(count)}
    for context in ready.values():
        context.run_experience(ONE)
    made.flush()
    return ready


def ids_and_warm_up(count: int) -> list[str]:
    return visitor_ids(count) + visitor_ids(2_000, start=90_000_000)


def feature(arguments: argparse.Namespace) -> Json:
    made = opened(arguments)[0]
    ready = contexts(made, arguments.n)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            ready[visitor_id].run_feature("pricing").variables["v1"]

    return timed(loop, visitor_ids(arguments.n))


def track(arguments: argparse.Namespace) -> Json:
    made = opened(arguments)[0]
    ready = contexts(made, arguments.n)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            ready[visitor_id].track_conversion(
                "purchase", revenue=49.9, conversion_data={"productsCount": 2, "transactionId": visitor_id}
            )

    return calls(loop, visitor_ids(arguments.n), made.flush)


def explain(arguments: argparse.Namespace) -> Json:
    """Its diagnosis: one reason of a closed list, no rules."""
    made = opened(arguments)[0]
    ready = contexts(made, arguments.n)

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            ready[visitor_id].diagnose_experience(ONE)

    return timed(loop, visitor_ids(arguments.n))


def decisions(arguments: argparse.Namespace) -> Json:
    """Which variation each visitor gets of each experience; `--fill` says how many kinds of attributes."""
    made, keys = opened(arguments)
    kinds = KINDS[: max(1, arguments.fill)]
    runs = [
        made.create_context(one, kinds[place % len(kinds)]).run_experience
        for place, one in enumerate(visitor_ids(arguments.n))
    ]
    answers = {key: [run(key, **QUIET) for run in runs] for key in keys}
    return {
        key: [answer.variation_key if answer else None for answer in given] for key, given in answers.items()
    }


def about(_arguments: argparse.Namespace) -> Json:
    return versions(["convert-python-sdk", "httpx"])


if __name__ == "__main__":
    main(
        {
            "w1": w1,
            "w1s": w1s,
            "w2": w2,
            "w2_all": w2_all,
            "w2s": w2s,
            "w3": w3,
            "w5": w5,
            "w6": w6,
            "w7": w7,
            "feature": feature,
            "track": track,
            "explain": explain,
            "decisions": decisions,
            "about": about,
        }
    )
