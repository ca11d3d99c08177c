"""Copies of a visitor to take along: as a test, as a row of a table, as overrides, as a link."""

from __future__ import annotations

import csv
import json
import keyword
import re
from collections.abc import Iterator, Mapping
from io import StringIO
from urllib.parse import quote, urlencode

from convert_sdk._core.decision import Decision
from convert_sdk._core.events import to_json
from convert_sdk._core.facts import ANYWHERE
from convert_sdk._core.state import store_key
from convert_sdk.analysis import Kind, explanation_html, find, named_state
from convert_sdk.project import Project
from convert_sdk.server.revisions import ServedRevision

from .visitor_answers import decision_of, explained_visitor
from .visitor_question import Instead, InsteadHow, VisitorQuestion, asked_visitor


def copies(revision: ServedRevision, asked: VisitorQuestion, key: str) -> dict[str, object]:
    """All copies; raises UnknownNameError for what the document lacks."""
    project = revision.project
    experience = find(project, key, [Kind.EXPERIENCE]).entity
    with asked_visitor(project, asked) as visitor:
        decision = decision_of(visitor, asked, experience.key)
        explained, needed = explained_visitor(visitor, asked, experience.key)
    cells = _cells(project, asked, decision)
    return {
        "revision": revision.name,
        "pytest": pytest_text(project, asked, decision),
        "table_row": _csv_row(cells),
        "yaml_row": _yaml_row(cells),
        "overrides": json.dumps(_overrides(asked), indent=2, ensure_ascii=False),
        "link": link(asked, experience.key),
        "html": explanation_html(explained, needed),
    }


def pytest_text(project: Project, asked: VisitorQuestion, decision: Decision) -> str:
    """A test for pytest that holds while the visitor gets the same; `convert_project` is a fixture of the plugin."""
    return "\n".join(_test_lines(project, asked, decision)) + "\n"


def link(asked: VisitorQuestion, key: str) -> str:
    """The address of the page that asks the same."""
    place: object = dict(asked.location) if isinstance(asked.location, Mapping) else None
    query: dict[str, str] = {"visitor": asked.visitor_id}
    if asked.attributes:
        query["attributes"] = to_json(dict(asked.attributes))
    if asked.location is ANYWHERE:
        query["location"] = "anywhere"
    elif place != {}:
        query["location"] = to_json(place)
    if asked.environment is not None:
        query["environment"] = asked.environment
    if asked.state:
        query["state"] = to_json(dict(asked.state))
    if asked.segments:
        query["segments"] = to_json(asked.segments)
    if asked.bucketing_id is not None:
        query["bucketing_id"] = asked.bucketing_id
    if asked.instead:
        query["instead"] = to_json([_instead_row(each) for each in asked.instead])
    return f"/#/visitor/{quote(key, safe='')}?{urlencode(query, quote_via=quote)}"


def _instead_row(instead: Instead) -> dict[str, object]:
    if instead.feature is None:
        return {"experience": instead.experience, "how": instead.how.value, "variation": instead.variation}
    return {
        "feature": instead.feature,
        "how": instead.how.value,
        "enabled": instead.enabled,
        "variables": dict(instead.variables or {}),
    }


def _test_lines(project: Project, asked: VisitorQuestion, decision: Decision) -> Iterator[str]:
    state = named_state(project, asked.state)
    segments = [find(project, each, [Kind.SEGMENT]).entity.id for each in asked.segments]
    remembered = bool(state.bucketing or segments)
    anywhere = asked.location is ANYWHERE
    names = [
        *(["ANYWHERE"] if anywhere else []),
        "Client",
        *(["MemoryStore"] if remembered else []),
        "Project",
    ]
    yield f"from convert_sdk import {', '.join(names)}"
    if remembered:
        yield "from convert_sdk.stores import Changes"
    yield from ("", "")
    yield f"def test_{_identifier(decision.key)}_for_{_identifier(asked.visitor_id)}(convert_project: Project) -> None:"
    options = ""
    if remembered:
        yield "    store = MemoryStore()"
        key = store_key(project.account_id, project.id, asked.visitor_id)
        parts = [repr(key), f"bucketing={dict(state.bucketing)!r}"]
        if segments:
            parts.append(f"segments={{'customSegments': {segments!r}}}")
        yield f"    store.save(Changes({', '.join(parts)}))"
        options += ", store=store"
    if asked.environment is not None:
        options += f", environment={asked.environment!r}"
    yield f"    client = Client.offline(convert_project{options})"
    yield f"    visitor = client.visitor({', '.join(_visitor_arguments(asked))})"
    if asked.bucketing_id is not None:
        yield f"    visitor = visitor.with_context(bucketing_id={asked.bucketing_id!r})"
    verb = f"visitor.peek({decision.key!r})"
    indent = "    "
    for each in asked.instead:
        if each.how is InsteadHow.OVERRIDE:
            yield f"{indent}with client.override({_override_arguments(each)}):"
            indent += "    "
        elif each.experience == decision.key and each.how is InsteadHow.FORCE:
            verb = f"visitor.force({decision.key!r}, {each.variation!r})"
        elif each.experience == decision.key and decision.variation is not None:
            yield f"{indent}visitor.preview({decision.experience_id!r}, {decision.variation_id!r})"
    yield f"{indent}decision = {verb}"
    if decision.variation_key is None:
        yield f"{indent}assert decision.variation_key is None"
    else:
        yield f"{indent}assert decision.variation_key == {decision.variation_key!r}"
    yield f"{indent}assert decision.reason.value == {decision.reason.value!r}"


def _visitor_arguments(asked: VisitorQuestion) -> Iterator[str]:
    yield repr(asked.visitor_id)
    if asked.attributes:
        yield repr(dict(asked.attributes))
    if asked.location is ANYWHERE:
        yield "location=ANYWHERE"
    elif asked.location is None:
        yield "location=None"
    elif asked.location:
        yield f"location={dict(asked.location)!r}" if isinstance(asked.location, Mapping) else ""


def _override_arguments(instead: Instead) -> str:
    if instead.feature is not None:
        if not instead.enabled:
            return f"feature={instead.feature!r}, enabled=False"
        return f"feature={instead.feature!r}, variables={dict(instead.variables or {})!r}"
    if instead.variation is None:
        return f"{instead.experience!r}, enabled=False"
    return f"{instead.experience!r}, {instead.variation!r}"


def _identifier(text: str) -> str:
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()[:60] or "it"
    return f"{name}_" if keyword.iskeyword(name) else name


def _cells(project: Project, asked: VisitorQuestion, decision: Decision) -> dict[str, object]:
    """The row of a table of rule tests, by columns."""
    cells: dict[str, object] = {
        "name": f"{decision.key} for {asked.visitor_id}",
        "visitor": asked.visitor_id,
    }
    if asked.environment is not None:
        cells["environment"] = asked.environment
    cells |= {f"attributes.{key}": value for key, value in asked.attributes.items()}
    if isinstance(asked.location, Mapping):
        cells |= {f"location.{key}": value for key, value in asked.location.items()}
    else:
        cells["location"] = "unknown" if asked.location is None else "anywhere"
    for experience_id, variation_id in named_state(project, asked.state).bucketing.items():
        experience = project.experiences.of_id(experience_id)
        if experience is not None and variation_id in experience.variations:
            cells[f"state.{experience.key}"] = experience.variations[variation_id].key
    for name in asked.segments:
        cells[f"segments.{find(project, name, [Kind.SEGMENT]).entity.key}"] = True
    cells[f"expect.variation.{decision.key}"] = decision.variation_key
    cells[f"expect.reason.{decision.key}"] = decision.reason.value
    return cells


def _csv_row(cells: Mapping[str, object]) -> str:
    """A header, with types where a cell is no plain text, and the row."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_csv_heading(name, value) for name, value in cells.items()])
    writer.writerow([_csv_cell(value) for value in cells.values()])
    return text.getvalue()


def _csv_heading(name: str, value: object) -> str:
    """The name with its type; text says its own where a part of the name would be read as one."""
    return name + (_csv_type(value) or (":text" if ":" in name else ""))


def _csv_type(value: object) -> str:
    if value in ("", "null"):  # as plain text they are a missing value, and null
        return ":json"
    if value is None or isinstance(value, str):
        return ""
    if isinstance(value, bool):
        return ":boolean"
    return ":number" if isinstance(value, (int, float)) else ":json"


def _csv_cell(value: object) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) and not _csv_type(value) else to_json(value)


def _yaml_row(cells: Mapping[str, object]) -> str:
    """An entry of `rows`; JSON is YAML, so that every value stands as it is."""
    listed = [f"{json.dumps(name, ensure_ascii=False)}: {to_json(value)}" for name, value in cells.items()]
    return "  - " + "\n    ".join(listed) + "\n"


def _overrides(asked: VisitorQuestion) -> dict[str, object]:
    """A file of overrides that gives this visitor the same."""
    experiences: dict[str, object] = {}
    features: dict[str, object] = {}
    for each in asked.instead:
        whom = {"visitor_id": asked.visitor_id}
        if each.feature is not None:
            wanted: dict[str, object] = (
                {"variables": dict(each.variables or {})} if each.enabled else {"enabled": False}
            )
            features[each.feature] = {**wanted, **whom}
        elif each.experience is not None:
            named = {"enabled": False} if each.variation is None else {"variation": each.variation}
            experiences[each.experience] = {**named, **whom}
    return {"experiences": experiences, "features": features}
