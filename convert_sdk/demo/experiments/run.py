"""The run of the demonstration: from the SDK key to what the server recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Timer
from time import perf_counter
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from convert_sdk import Client
from convert_sdk.server import DEMO_SDK_KEY, LocalServer, Registry, demo_document, running

from .result import ExperimentsResult
from .shoppers import CHECKOUT, Tally, shopper, walk

_EVENTS_EACH = 20
"""More than any visitor makes."""
_KNOCK = 0.1
_PATIENCE = 90.0
_SECRET = "demonstration"  # noqa: S105 # it guards a made-up shop


class DemoPage(NamedTuple):
    """The page of the demonstration's server."""

    opened: Callable[[str], object]
    """Called with its address before the first visitor."""
    looked_at: Callable[[ExperimentsResult], object]
    """Called with the result; the server goes when it returns."""


def run(
    visitors: int,
    seed: int,
    console: Console,
    *,
    kill_server: bool,
    fail_for: float,
    page: DemoPage | None = None,
    port: int = 0,
) -> ExperimentsResult:
    """Serve the shop, send `visitors` visitors through it, deliver every event, and count both ends.

    `seed` chooses the visitors. `kill_server` stops the server from half of them to three quarters; `fail_for` lets it
    answer 503 for so many seconds. `page` is opened before the first visitor, and looked at for as long as it likes.

    Raises:
        OSError: The port is taken.
    """
    registry = Registry()
    shop = registry.add(demo_document(), sdk_key=DEMO_SDK_KEY, secret=_SECRET)
    tally = Tally()
    with (
        running(registry, port=port) as server,
        ExitStack() as trouble,
        _client(DEMO_SDK_KEY, server.url, visitors, shop.place if page is not None else None) as client,
    ):
        if page is not None:
            page.opened(f"{server.url}/")
        plan = (
            _stopped(visitors, client, server)
            if kill_server
            else _failing(visitors, server, trouble, fail_for)
        )
        start = perf_counter()
        with _progress(console) as progress:
            for number in progress.track(range(visitors), description="visitors"):
                plan.get(number, _nothing)()
                walk(client, shopper(number, seed), tally)
        seconds = perf_counter() - start
        project = client.project
        if project is None:
            raise RuntimeError(f"no document arrived: {client.status().fetch_error}")
        first = shopper(0, seed)
        explanation = client.visitor(first.id, first.attributes, location=CHECKOUT).explain("checkout-layout")
        with console.status("delivering the rest"):
            client.close(timeout=fail_for + _PATIENCE)  # which tries again until it is delivered
        summary = shop.record.summary()
        result = ExperimentsResult(project, tally, client.status(), summary, explanation, seconds)
        if page is not None:
            page.looked_at(result)
        return result


def _client(key: str, url: str, visitors: int, reported: str | None) -> Client:
    """A client that ignores the variables of the shell: they belong to another project."""
    return Client(
        key,
        sdk_secret=_SECRET,
        config_endpoint=url,
        track_endpoint=url,
        start_wait=_PATIENCE,  # every visitor is to meet the document, on the slowest machine
        max_queue=visitors * _EVENTS_EACH,  # a shop's day in seconds, and the server may be down
        trust_env=False,
        status_url=None if reported is None else f"{url}/_status/{reported}",
    )


def _stopped(visitors: int, client: Client, server: LocalServer) -> Mapping[int, Callable[[], object]]:
    """Stop the server before the visitor in the middle, and start it again three quarters through."""

    def come_back() -> None:
        client.flush(timeout=_KNOCK)  # so that a few visitors meet a closed door too
        server.start()

    half = visitors // 2
    return {half: server.stop, half + (visitors - half) // 2: come_back}


def _failing(
    visitors: int, server: LocalServer, trouble: ExitStack, seconds: float
) -> Mapping[int, Callable[[], object]]:
    """Let the server fail from the visitor in the middle on."""

    def fail() -> None:
        trouble.enter_context(server.failing(503))
        Timer(seconds, trouble.close).start()

    return {visitors // 2: fail} if seconds else {}


def _nothing() -> None:
    """Do nothing: most visitors come undisturbed."""


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


@contextmanager
def _log_shown(console: Console) -> Iterator[None]:
    """Show the log of the SDK above the progress bar."""
    from rich.logging import RichHandler

    logger = logging.getLogger("convert_sdk")
    handler = RichHandler(console=console, show_path=False)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
