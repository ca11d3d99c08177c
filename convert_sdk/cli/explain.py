"""`convert-sdk explain`: why a visitor gets what they get, and what an entity asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from convert_sdk import ANYWHERE, Client, MemoryStore, Project, VisitorState
from convert_sdk._core.events import to_json
from convert_sdk._core.facts import Place
from convert_sdk._core.model import Experience, Feature
from convert_sdk._core.state import store_key
from convert_sdk.analysis import (
    Kind,
    NamedEntity,
    counterfactual,
    describe,
    description_html,
    explanation_html,
    find,
    kinds_of,
    named_state,
    trace_html,
)
from convert_sdk.errors import UnknownNameError
from convert_sdk.stores import Changes

from .source import AsJson, SdkKey, fail, read_file, read_source


class Output(NamedTuple):
    """The answer for people, for tools, and as a page."""

    text: str
    json: str
    html: str


def explain(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DOCUMENT] NAME [VISITOR]",
            help="The document (- is standard input), an entity's key or id, and a visitor's id for an experience.",
        ),
    ] = None,
    *,
    sdk_key: SdkKey = None,
    kind: Annotated[Kind | None, typer.Option(help="What NAME is, where several entities have it.")] = None,
    facts: Annotated[
        str,
        typer.Option(
            "--facts", "--attributes", help='A JSON object such as {"country": "DE"}, or @FILE with one.'
        ),
    ] = "",
    location: Annotated[
        str, typer.Option(help='A JSON object such as {"path": "/cart"}, @FILE, or "anywhere".')
    ] = "",
    state: Annotated[
        str,
        typer.Option(
            help='What is remembered, by keys or ids: {"bucketing": {"checkout": "one-page"}}, or @FILE.'
        ),
    ] = "",
    environment: Annotated[str | None, typer.Option(help="By default the document's own default.")] = None,
    as_json: AsJson = False,
    html: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, allow_dash=True, help="Write a page to this file; - is standard output."
        ),
    ] = None,
) -> None:
    """Say why: each gate, rule, hash input and range, and the smallest change of facts that lets a visitor take part.

    Without facts and visitor, say in words what an entity asks and sets. An unknown name gives exit code 2.
    """
    source = read_source(words, sdk_key, least=1, most=2)
    project = source.project()
    name, *rest = source.words
    found = _found(project, name, kind)
    if isinstance(found.entity, Experience) and rest:
        place = ANYWHERE if location == "anywhere" else _object("--location", location)
        asked = _Asked(rest[0], _object("--facts", facts), place, _object("--state", state), environment)
        output = _decision(project, found.entity, asked)
    elif rest:
        raise typer.BadParameter(f"a {found.kind} is asked without a visitor", param_hint="VISITOR")
    elif (facts or location) and not isinstance(found.entity, (Experience, Feature)):
        given = {**_object("--facts", facts), **_object("--location", location)}
        trace, described = found.entity.explain(given), describe(project, found)
        output = Output(str(trace), trace.to_json(), trace_html(trace, described))
    elif facts or location or state:
        raise typer.BadParameter("give a visitor's id after the name", param_hint="VISITOR")
    else:
        described = describe(project, found)
        output = Output(str(described), described.to_json(), description_html(described))
    if html is not None and str(html) == "-":
        if as_json:
            raise typer.BadParameter("standard output takes the page or the JSON", param_hint="--html")
        typer.echo(output.html.encode("utf-8", "backslashreplace"), nl=False)
        return
    if html is not None:
        html.write_text(output.html, "utf-8", "backslashreplace")  # of half a surrogate pair
        typer.echo(f"written: {html}", err=True)
    if html is None or as_json:
        typer.echo(output.json if as_json else output.text)


class _Asked(NamedTuple):
    """The visitor that is asked about."""

    visitor_id: str
    facts: Mapping[str, object]
    location: Place
    state: Mapping[str, object]
    environment: str | None


def _decision(project: Project, experience: Experience, asked: _Asked) -> Output:
    if not asked.visitor_id:
        raise typer.BadParameter("it must not be empty", param_hint="VISITOR")
    try:
        remembered = named_state(project, asked.state)
    except UnknownNameError as error:
        fail(str(error), 2)
    store = _store(project, asked.visitor_id, remembered)
    with Client.offline(project, store=store, environment=asked.environment) as client:
        visitor = client.visitor(asked.visitor_id, asked.facts, location=asked.location)
        explanation = visitor.explain(experience.key)
        needed = None if explanation.decision else counterfactual(visitor, experience.key)
    text = str(explanation) if needed is None else f"{explanation}\n{needed}"
    both = {
        **explanation.to_dict(),
        "counterfactual": None if needed is None else needed.to_dict(),
    }
    return Output(text, to_json(both), explanation_html(explanation, needed))


def _store(project: Project, visitor_id: str, state: VisitorState) -> MemoryStore:
    store = MemoryStore()
    key = store_key(project.account_id, project.id, visitor_id)
    store.save(Changes(key, state.bucketing, state.goals, state.segments, state.locations))
    return store


def _found(project: Project, name: str, kind: Kind | None) -> NamedEntity:
    named = kinds_of(project, name) if kind is None else [kind]
    if len(named) > 1 and Kind.EXPERIENCE not in named:
        raise typer.BadParameter(
            f"{name!r} is the key of a {' and of a '.join(named)}: say which", param_hint="--kind"
        )
    try:
        return find(project, name, named or Kind)
    except UnknownNameError as error:
        fail(str(error), 2)


def _object(option: str, text: str) -> dict[str, object]:
    if not text:
        return {}
    given = read_file(text[1:]).decode("utf-8", "replace") if text.startswith("@") else text
    try:
        value: object = json.loads(given)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter("a JSON object is needed", param_hint=option)
    return value
