"""A flag looked up by OpenFeature, beside the same look-up by hand."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

from measure import Json, visitor_ids

from convert_sdk import Client, Project

CHUNK = 400
KEY, FEATURE, VARIABLE = "pricing.v2", "pricing", "v2"
Loop = Callable[[list[str]], object]


def attributes() -> dict[str, str | int]:
    return {"country": "DE", "visits": 7}


def flags(arguments: argparse.Namespace, ids: Iterator[list[str]]) -> Json:
    """Nanoseconds of a look-up by hand, and of one by OpenFeature beyond its own provider in memory.

    The three loops take turns in short pieces, so that what else the machine does meets all of them alike.
    """
    from openfeature import api
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

    from convert_sdk.integrations.openfeature import ConvertProvider

    client = Client.offline(Project.load(arguments.document), sink=lambda body: None)
    memory = InMemoryProvider({KEY: InMemoryFlag("on", {"on": 0.25})})
    api.set_provider_and_wait(ConvertProvider(client), "convert")
    api.set_provider_and_wait(memory, "memory")

    def by_hand(ids: list[str]) -> None:
        for visitor_id in ids:
            client.visitor(visitor_id, attributes()).feature(FEATURE).get(VARIABLE, 0.0)

    def by_openfeature(domain: str) -> Loop:
        look_up = api.get_client(domain).get_float_value

        def loop(ids: list[str]) -> None:
            for visitor_id in ids:
                look_up(KEY, 0.0, EvaluationContext(visitor_id, attributes()))

        return loop

    loops = {"hand": by_hand, "convert": by_openfeature("convert"), "memory": by_openfeature("memory")}
    for domain in ("convert", "memory"):
        assert api.get_client(domain).get_float_value(KEY, 0.0, EvaluationContext("a", attributes())) == 0.25
    spent = dict.fromkeys(loops, 0)
    pieces = arguments.n // CHUNK
    for number in range(pieces + 3):
        for name, loop in loops.items():
            piece = next(ids)
            began = time.perf_counter_ns()
            loop(piece)
            if number >= 3:  # warm
                spent[name] += time.perf_counter_ns() - began
            client.flush()
    hand, convert, in_memory = (spent[name] / (pieces * CHUNK) for name in loops)
    return {"hand": hand, "beyond": convert - in_memory, "times": (convert - in_memory) / hand}


def kept(arguments: argparse.Namespace) -> Json:
    """For visitors who have their decisions."""
    known = visitor_ids(CHUNK)
    return flags(arguments, iter(lambda: known, None))


def new(arguments: argparse.Namespace) -> Json:
    """For visitors of whom nothing is known: decided, remembered and reported."""
    return flags(arguments, (visitor_ids(CHUNK, start) for start in range(0, 10**9, CHUNK)))


WORKS = {"flags_kept": kept, "flags_new": new}
