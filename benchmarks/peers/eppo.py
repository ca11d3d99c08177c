"""One work a function for eppo-server-sdk, its flags given as bytes and no poller started."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import eppo_client  # pyright: ignore[reportMissingImports]  # only in this worker's own environment
from measure import Json, growth, loading, main, threaded, timed, versions, visitor_ids

ONE = "experience-0"


class Sink(eppo_client.AssignmentLogger):  # type: ignore[misc]
    """An assignment logger as an application has one; called by the caller's thread for each assignment."""

    def log_assignment(self, event: dict[str, Any]) -> None:
        pass


def client(configuration: bytes) -> Any:
    return eppo_client.init(
        eppo_client.ClientConfig(
            api_key="benchmark",
            assignment_logger=Sink(),
            poll_interval_seconds=None,
            initial_configuration=eppo_client.Configuration(flags_configuration=configuration),
        )
    )


def opened(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    made = client(Path(arguments.document).read_bytes())
    return made, sorted(made.get_flag_keys(), key=lambda key: int(key.rsplit("-")[-1]))


def w1(arguments: argparse.Namespace) -> Json:
    """One flag for each new subject."""
    assign = opened(arguments)[0].get_string_assignment
    new = arguments.attributes.copy

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            assign(ONE, visitor_id, new(), "")

    return timed(loop, visitor_ids(arguments.n))


def w1s(arguments: argparse.Namespace) -> Json:
    """The same; the document says whether assignments are logged. Eppo remembers nothing about a subject."""
    return w1(arguments)


def w2(arguments: argparse.Namespace) -> Json:
    """All flags for each new subject, per decision."""
    made, keys = opened(arguments)
    assign = made.get_string_assignment

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            attributes = {"country": "DE", "visits": 7}
            for key in keys:
                assign(key, visitor_id, attributes, "")

    return timed(loop, visitor_ids(arguments.n), operations=arguments.n * len(keys))


def w2s(arguments: argparse.Namespace) -> Json:
    return w2(arguments)


def w3(arguments: argparse.Namespace) -> Json:
    attributes = {
        "country": "DE",
        "visits": 7,
        "plan": "pro",
        "device": "phone",
        "spent": 12.5,
        "member": "yes",
    }

    def use(made: Any) -> None:
        for key in made.get_flag_keys():
            made.get_json_assignment(key, "visitor", attributes, None)

    return loading(arguments.document, client, use)


def w6(arguments: argparse.Namespace) -> Json:
    assign = opened(arguments)[0].get_string_assignment

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            assign(ONE, visitor_id, {"country": "DE", "visits": 7}, "")

    return threaded(loop, visitor_ids(arguments.n))


def w7(arguments: argparse.Namespace) -> Json:
    assign = opened(arguments)[0].get_string_assignment

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            assign(ONE, visitor_id, {"country": "DE", "visits": 7}, "")

    return growth(loop, lambda: None, arguments.n, fill=arguments.fill)


def feature(arguments: argparse.Namespace) -> Json:
    """A JSON flag of the same 20 values, parsed when the configuration was."""
    assign = opened(arguments)[0].get_json_assignment

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            assign(ONE, visitor_id, {"country": "DE", "visits": 7}, None)["v1"]

    return timed(loop, visitor_ids(arguments.n))


def explain(arguments: argparse.Namespace) -> Json:
    """An assignment with its evaluation details."""
    details = opened(arguments)[0].get_string_assignment_details

    def loop(ids: list[str]) -> None:
        for visitor_id in ids:
            details(ONE, visitor_id, {"country": "DE", "visits": 7}, "")

    return timed(loop, visitor_ids(arguments.n))


def decisions(arguments: argparse.Namespace) -> Json:
    """Which variation each subject gets of each flag."""
    made, keys = opened(arguments)
    given = {"country": "DE", "visits": 7}
    ids = visitor_ids(arguments.n)
    return {key: [made.get_string_assignment(key, one, given, "") or None for one in ids] for key in keys}


def about(_arguments: argparse.Namespace) -> Json:
    return versions(["eppo-server-sdk"])


if __name__ == "__main__":
    main(
        {
            "w1": w1,
            "w1s": w1s,
            "w2": w2,
            "w2s": w2s,
            "w3": w3,
            "w6": w6,
            "w7": w7,
            "feature": feature,
            "explain": explain,
            "decisions": decisions,
            "about": about,
        }
    )
