"""`convert-sdk commerce`: orders of store systems as conversions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from convert_sdk import AsyncClient, Client, ConvertError

if TYPE_CHECKING:
    from convert_sdk.commerce.bridge import Bridge, Report, SyncReport
    from convert_sdk.commerce.bridge import SyncProgress as Pulled
    from convert_sdk.commerce.bridge.sources import Source

commerce_app = typer.Typer(no_args_is_help=True, help="Store systems: their orders as conversions.")

_PATIENCE = 60.0

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object in place of the tables.")]


@commerce_app.command()
def demo(
    *,
    shoppers: Annotated[int, typer.Option(min=1, max=10_000)] = 500,
    seed: Annotated[int, typer.Option(help="Another number, other shoppers.")] = 42,
    as_json: AsJson = False,
) -> None:
    """Let shoppers order in local stores, lose and repeat webhooks, kill the process, and compare both ends.

    The Serving API, the stores and the shop's process are real and talk over loopback; only the clock is put
    ahead. The exit code is 1 if an order is lost, doubled or credited wrongly.
    """
    from convert_sdk.demo.commerce.scenario import set_up
    from convert_sdk.demo.commerce.tables import show_result

    console = Console(stderr=as_json)
    with set_up(shoppers, seed, lambda text: console.print(f"[dim]•[/] {text}", highlight=False)) as scenario:
        result = scenario.run()
    if as_json:
        print(json.dumps(result.figures()))
    else:
        show_result(console, result)
    if not result.is_good:
        raise typer.Exit(1)


@commerce_app.command()
def sync(
    context: typer.Context,
    *,
    app: Annotated[
        str,
        typer.Option(
            metavar="MODULE:NAME",
            help="The application's bridge, or a function that makes it, found from this folder: "
            "its ledger, stores, goals and policy count, and no option but --allow-late and --json goes with it.",
        ),
    ] = "",
    ledger: Annotated[
        Path | None,
        typer.Option(help="A file of this command's own. For the ledger of an application give --app."),
    ] = None,
    goal: Annotated[str, typer.Option(help="The key of the goal that orders count for.")] = "purchase",
    website: Annotated[str, typer.Option(help="The website's domain.")] = "",
    website_key: Annotated[str, typer.Option(envvar="CONVERT_WEBSITE_KEY", show_envvar=True)] = "",
    account: Annotated[str, typer.Option(help="A name for the Convictional account.")] = "",
    convictional_key: Annotated[str, typer.Option(envvar="CONVERT_CONVICTIONAL_KEY", show_envvar=True)] = "",
    convictional_url: Annotated[str, typer.Option(hidden=True)] = "",
    secret: Annotated[str, typer.Option(envvar="CONVERT_BRIDGE_SECRET", show_envvar=True)] = "",
    pepper: Annotated[str, typer.Option(envvar="CONVERT_BRIDGE_PEPPER", show_envvar=True)] = "",
    hold_hours: Annotated[float, typer.Option(min=0.0, help="Wait so long for cancellations.")] = 0.0,
    allow_late: Annotated[
        bool, typer.Option("--allow-late", help="Count orders older than a week too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pull orders from the stores, and send what counts. Without --app the SDK key comes from CONVERT_SDK_KEY.

    Cut off, the next run goes on at the same page. The exit code is 1 if a store or Convert could not be reached.
    """
    from convert_sdk.commerce.bridge import Bridge, Goals, Identity, Ledger, Policy, recording

    console = Console(stderr=as_json)
    try:
        with ExitStack() as stack:
            if app:
                _refuse_beside_app(context)
                bridge = _application_bridge(app)
            else:
                if ledger is None:
                    raise typer.BadParameter("give --app, or --ledger")
                _demand(secret, "--secret", "CONVERT_BRIDGE_SECRET")
                _demand(pepper, "--pepper", "CONVERT_BRIDGE_PEPPER")
                ledger_file = Ledger(ledger, policy=Policy(hold_for=hold_hours * 3600))
                stack.callback(ledger_file.close)
                sources = [
                    *_website_sources(stack, website, website_key),
                    *_buyer_sources(stack, account, convictional_key, convictional_url),
                ]
                if not sources:
                    raise typer.BadParameter("give --website or --account, or both")
                identity = Identity(secret, pepper=pepper)
                client = stack.enter_context(Client(observe=[recording(ledger_file)]))
                bridge = Bridge(client, ledger_file, goals=Goals(goal), identity=identity, sources=sources)
            is_complete = _pull(console, bridge, allow_late=allow_late, as_json=as_json)
    except ConvertError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if not is_complete:
        typer.echo("error: Convert could not be reached; the conversions are kept for the next run", err=True)
        raise typer.Exit(1)


def _refuse_beside_app(context: typer.Context) -> None:
    """Raise BadParameter for what the application's bridge has of its own; variables may be set for others."""
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        is_given = source is not None and source.name == "COMMANDLINE"
        if is_given and each.name not in ("app", "allow_late", "as_json"):
            raise typer.BadParameter("the bridge of --app has its own: leave it out", param_hint=each.opts[0])


def _application_bridge(app: str) -> Bridge:
    """The bridge at `module:name`, or the one that a function there makes."""
    from convert_sdk.commerce.bridge import Bridge

    module, _, name = app.partition(":")
    if not (module and name):
        raise typer.BadParameter(
            f"expected MODULE:NAME, such as shop.orders:bridge, found {app!r}", param_hint="--app"
        )
    sys.path.insert(0, str(Path.cwd()))  # as servers of applications do
    try:
        loaded = import_module(module)
    except ImportError as error:
        raise typer.BadParameter(f"{module} cannot be imported: {error}", param_hint="--app") from error
    try:
        found = attrgetter(name)(loaded)
    except AttributeError:
        raise typer.BadParameter(f"{module} has no {name}", param_hint="--app") from None
    bridge = found() if callable(found) else found
    if not isinstance(bridge, Bridge):
        raise typer.BadParameter(
            f"{app}: expected a Bridge, or a function without arguments that makes one, "
            f"found {type(bridge).__name__}",
            param_hint="--app",
        )
    if isinstance(bridge.client, AsyncClient):
        raise typer.BadParameter(f"{app}: its client is for asyncio: give it a Client", param_hint="--app")
    return bridge


def _pull(console: Console, bridge: Bridge, *, allow_late: bool, as_json: bool) -> bool:
    """Pull, send and print; False if Convert did not take everything of this run.

    Other processes may have claims in the same ledger: theirs say nothing of this run.
    """
    client = cast("Client", bridge.client)  # one for asyncio is refused above
    with _progress_bars(console) as pulled:
        found = bridge.sync(allow_late=allow_late, progress=pulled)
    bridge.tick()  # the document may have come since the pull looked
    left = client.flush(_PATIENCE).pending
    bridge.tick()  # and deliveries that a busy ledger did not take are written
    _say(console, bridge, found, as_json=as_json)
    with bridge.ledger.transaction() as transaction:
        is_undone = bool(transaction.due(bridge.ledger.clock(), 1))
    return not left and (client.ready or not is_undone)


def _demand(value: str, option: str, variable: str) -> None:
    """Raise BadParameter for what is missing, and name both places that it may come from."""
    if not value.strip():
        raise typer.BadParameter(f"give it, or set {variable}", param_hint=option)


def _website_sources(stack: ExitStack, domain: str, key: str) -> Iterator[Source]:
    from convert_sdk.commerce.bridge import WebsiteSource
    from convert_sdk.commerce.website import WebsiteClient

    if domain:
        _demand(key, "--website-key", "CONVERT_WEBSITE_KEY")
        yield WebsiteSource(stack.enter_context(WebsiteClient(domain, key)))


def _buyer_sources(stack: ExitStack, account: str, key: str, url: str) -> Iterator[Source]:
    from convert_sdk.commerce.bridge import ConvictionalSource
    from convert_sdk.commerce.convictional import BuyerClient

    if account:
        _demand(key, "--convictional-key", "CONVERT_CONVICTIONAL_KEY")
        client = BuyerClient(key, base_url=url) if url else BuyerClient(key)
        yield ConvictionalSource(stack.enter_context(client), account)


def _say(console: Console, bridge: Bridge, found: SyncReport, *, as_json: bool) -> None:
    report = bridge.report()
    if as_json:
        both = {**report._asdict(), **found._asdict(), "unreadable_orders": report.unreadable}
        print(json.dumps(both))
        return
    console.print(
        f"{found.orders:,} orders read, {found.new:,} of them new, {found.too_old:,} too old to count"
    )
    if found.unsettled:
        console.print(f"{found.unsettled} lists moved while they were read: the next run reads them again")
    _show_report(console, report)


def _show_report(console: Console, report: Report) -> None:
    """Print the ledger: conversions by state and reason."""
    table = Table("state", "reason", title="The ledger", title_justify="left", box=None)
    table.add_column("conversions", justify="right")
    for state, count in sorted(report.states.items()):
        reasons = {"waiting": report.waiting, "dropped": report.dropped}.get(state) or {"": count}
        for reason, number in sorted(reasons.items()):
            table.add_row(state, reason, f"{number:,}")
    console.print(table)
    for told, names in (
        ("Orders whose visitor nothing leads to", report.unresolved),
        ("Orders that cannot be read", report.unreadable),
        ("Orders that came to less after they were counted", report.reduced),
    ):
        if names:
            console.print(f"{told}: {len(names):,}", highlight=False)
            for name in names[:20]:
                console.print(f"  {name}", markup=False, highlight=False)


@contextmanager
def _progress_bars(console: Console) -> Iterator[_Bars]:
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console
    ) as progress:
        yield _Bars(progress)


class _Bars:
    """A bar for each list."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, pulled: Pulled) -> None:
        name = f"{pulled.source} {pulled.stream}"
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=None)
        total = pulled.total if pulled.total is not None else pulled.read
        self._progress.update(self._tasks[name], completed=pulled.read, total=total)
