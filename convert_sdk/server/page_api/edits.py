"""Edits of a served document: of one experience in a few words, or of the whole text."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from math import isfinite
from stat import S_IMODE
from typing import NamedTuple

from starlette.exceptions import HTTPException

from convert_sdk._config.coerce import as_id
from convert_sdk._process.replacement import replace_file
from convert_sdk.analysis import VisitorRow, check, diff, document_changes, sample_visitors
from convert_sdk.analysis.vocabulary import (
    EXPERIENCE_STATUSES,
    MATCHING_OPTIONS,
    VARIATION_STATUSES,
    near_names,
)
from convert_sdk.errors import DocumentError
from convert_sdk.project import Project
from convert_sdk.server.registry import ServedProject
from convert_sdk.server.revisions import PastRevision, RevisionOrigin, ServedRevision

from .answers import PageRefusal, document_fault
from .project_rows import client_revision

_MOST_FINDINGS = 200
_FIELDS = frozenset(
    {
        "revision",
        "experience",
        "status",
        "allocation",
        "audiences",
        "locations",
        "variation_status",
        "match",
    }
)


class NamedSource(NamedTuple):
    """The JSON text of a revision."""

    name: str
    source: bytes


def validated(project: ServedProject, source: bytes) -> dict[str, object]:
    """Everything that is wrong in a text, and what it would change."""
    try:
        revision = _revision(project, source)
    except DocumentError as error:
        return {"ok": False, "error": document_fault(error, source), "findings": [], "changes": []}
    report = check(revision.project)
    changes = document_changes(project.current.project, revision.project)
    return {
        "ok": True,
        "error": None,
        "revision": revision.name,
        "counts": {severity.value: count for severity, count in report.counts().items()},
        "findings": [finding.to_dict() for finding in report.findings[:_MOST_FINDINGS]],
        "changes": [*map(str, changes)],
    }


def replaced(project: ServedProject, source: bytes, origin: RevisionOrigin) -> dict[str, object]:
    """Serve a text from now on, and tell what that changed."""
    before = project.current
    try:
        _revision(project, source)
        project.replace(source, origin)
    except DocumentError as error:
        fault = document_fault(error, source)
        message = str(fault.pop("message"))
        raise PageRefusal(422, message, **fault) from None
    return _told(project, before)


def undone(project: ServedProject) -> dict[str, object]:
    """Serve the document from before the last change again."""
    before = project.current
    if project.undo() is None:
        raise HTTPException(409, "there is nothing to undo")
    return _told(project, before)


def edited(current: ServedRevision, edit: Mapping[str, object]) -> bytes:
    """The text of a document with one experience changed."""
    unknown = edit.keys() - _FIELDS
    if unknown:
        raise HTTPException(400, f"unknown {', '.join(sorted(unknown))}")
    raw = deepcopy(current.raw)
    experience = _experience(raw, edit.get("experience"))
    if "status" in edit:
        experience["status"] = _one_of("status", edit["status"], EXPERIENCE_STATUSES)
    for each, value in _by_variation(experience, edit.get("allocation"), "allocation"):
        each["traffic_allocation"] = _percent(value)
    for each, value in _by_variation(experience, edit.get("variation_status"), "variation_status"):
        each["status"] = _one_of("variation_status", value, VARIATION_STATUSES)
    for section in ("audiences", "locations"):
        if section in edit:
            experience[section] = _ids(raw, section, edit[section])
    if "match" in edit:
        wanted = _one_of("match", edit["match"], MATCHING_OPTIONS)
        _child(_child(experience, "settings"), "matching_options")["audiences"] = wanted
    return current.rewritten(raw)


def saved(project: ServedProject) -> dict[str, object]:
    """Write the document in use into the file that it came from."""
    path, source = project.file, project.current.source
    if path is None:
        raise HTTPException(409, "the document came from no file: download it")
    try:
        mode = S_IMODE(path.stat().st_mode) if path.exists() else 0o644
        replace_file(path, source, mode)
    except OSError as error:
        raise HTTPException(409, f"{path} cannot be written: {error.strerror or error}") from None
    return {"file": str(path), "bytes": len(source)}


def source_of(project: ServedProject, name: str) -> bytes:
    """The text of a revision that is served, or was."""
    if name == project.current.name:
        return project.current.source
    past = project.history.find(name)
    if past is None:
        raise HTTPException(404, f"no revision {name!r} is kept")
    return past.source


def listed(project: ServedProject) -> list[dict[str, object]]:
    """The revisions, the newest first."""
    served: list[ServedRevision | PastRevision] = [project.current, *project.history.listed()]
    return [
        {
            "revision": each.name,
            "etag": each.etag,
            "client_revision": client_revision(each.etag),
            "at": each.at,
            "by": each.origin.value,
            "size": each.size,
            "current": place == 0,
        }
        for place, each in enumerate(served)
    ]


def compared(project: ServedProject, name: str, other: str | None, visitors: int) -> dict[str, object]:
    """The difference of two revisions, and whom it moves among made-up visitors."""
    if other is None:
        past = project.history.before(name, project.current.name)
        if past is None:
            raise HTTPException(404, "there is no revision before it")
        old = NamedSource(past.name, past.source)
    else:
        old = NamedSource(other, source_of(project, other))
    new = NamedSource(name, source_of(project, name))
    before = Project.parse(old.source)
    after = project.current.project if name == project.current.name else Project.parse(new.source)
    rows: Sequence[VisitorRow] = [*sample_visitors([before, after], visitors)]
    found = diff(before, after, rows)
    return {
        **found.to_dict(),
        "from": old.name,
        "to": new.name,
        "changes": [{**change.to_dict(), "words": str(change)} for change in found.changes],
        "moves": [{**move.to_dict(), "words": str(move)} for move in found.moves],
        "text": str(found),
    }


def _revision(project: ServedProject, source: bytes) -> ServedRevision:
    """The revision that a text would be; raises DocumentError for what cannot be served."""
    revision = ServedRevision(source, RevisionOrigin.PAGE, time.time())
    if revision.identity() != (project.account_id, project.project_id):
        raise DocumentError("$.project.id", f"a document of {project.place}", "another project's")
    if revision.project.id != project.project_id:  # it compiles
        raise DocumentError("$.project.id", project.project_id, revision.project.id)
    return revision


def _told(project: ServedProject, before: ServedRevision) -> dict[str, object]:
    current = project.current
    old = {finding.fingerprint for finding in before.report.findings}
    new = [finding for finding in current.report.findings if finding.fingerprint not in old]
    changes = document_changes(before.project, current.project)
    return {
        "revision": current.name,
        "etag": current.etag,
        "by": current.origin.value,
        "can_undo": project.history.can_undo,
        "changes": [*map(str, changes)],
        "counts": {severity.value: count for severity, count in current.report.counts().items()},
        "new_findings": [finding.to_dict() for finding in new[:_MOST_FINDINGS]],
    }


def _experience(raw: Mapping[str, object], name: object) -> dict[str, object]:
    found = _objects(raw, "experiences")
    for each in found:
        if name in (each.get("key"), as_id(each.get("id"))):
            return each
    keys = [str(each.get("key")) for each in found]
    near = near_names(str(name), keys)
    raise PageRefusal(404, f"there is no experience {name!r}", near=list(near))


def _objects(raw: Mapping[str, object], name: str) -> list[dict[str, object]]:
    listed = raw.get(name)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _by_variation(
    experience: Mapping[str, object], given: object, name: str
) -> list[tuple[dict[str, object], object]]:
    """Variations by ids or keys, each with what it is to get."""
    if given is None:
        return []
    if not isinstance(given, Mapping):
        raise HTTPException(400, f"{name} must be an object by variations")
    arms = _objects(experience, "variations")
    found = []
    for wanted, value in given.items():
        arm = next((each for each in arms if as_id(each.get("id")) == wanted), None)
        arm = arm or next((each for each in arms if each.get("key") == wanted), None)
        if arm is None:
            raise PageRefusal(404, f"there is no variation {wanted!r}")
        found.append((arm, value))
    return found


def _percent(value: object) -> float:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not isinstance(value, (int, float)) or not fits or not isfinite(value) or not 0 <= value <= 100:
        raise HTTPException(400, "allocation must be percents from 0 to 100")
    return int(value) if value == int(value) else value


def _one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise HTTPException(400, f"{name} must be one of {', '.join(allowed)}")
    return str(value)


def _ids(raw: Mapping[str, object], section: str, given: object) -> list[object]:
    """Ids as the document writes them, of entities that are named by keys or ids."""
    if not isinstance(given, list):
        raise HTTPException(400, f"{section} must be a list")
    known = _objects(raw, section)
    found: list[object] = []
    for name in given:
        entity = next((each for each in known if as_id(each.get("id")) == as_id(name)), None)
        entity = entity or next((each for each in known if each.get("key") == name), None)
        if entity is None:
            raise PageRefusal(404, f"there is no {section[:-1]} {name!r}")
        found.append(entity.get("id"))
    return found


def _child(parent: dict[str, object], name: str) -> dict[str, object]:
    found = parent.get(name)
    if isinstance(found, dict):
        return found
    made: dict[str, object] = {}
    parent[name] = made
    return made
