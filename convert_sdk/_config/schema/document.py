"""The Serving API's document as typed models, for reading.

Nothing that a document says is lost: unknown keys stay as attributes, unknown enum values stay as text.
A part that cannot be read is None (in a list it is empty and keeps its place), and a problem is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError

from convert_sdk._config.json import json_path
from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Report, ignore
from convert_sdk.errors import DocumentError

from .experience import ExperienceModel
from .project import ProjectInfo, ProjectSettings
from .targeting import AudienceModel, FeatureModel, GoalModel, LocationModel, SegmentModel
from .values import DocumentModel, Flag, Text, Texts, kind

__all__ = ["Document", "ProjectSettings", "read_document", "read_project_settings"]

_Model = TypeVar("_Model", bound=DocumentModel)
_EXPECTED = {"tuple_type": "a list", "dict_type": "an object", "model_type": "an object"}


class Document(DocumentModel):
    """Everything the Serving API says about one project.

    Lists have the document's order, so `document.experiences[3]` is `$.experiences[3]`.
    """

    account_id: Text | None = None
    project: ProjectInfo | None = None
    goals: tuple[GoalModel, ...] | None = None
    locations: tuple[LocationModel, ...] | None = None
    audiences: tuple[AudienceModel, ...] | None = None
    segments: tuple[SegmentModel, ...] | None = None
    experiences: tuple[ExperienceModel, ...] | None = None
    archived_experiences: Texts | None = None
    features: tuple[FeatureModel, ...] | None = None
    is_debug: Flag | None = None


def read_document(raw: Mapping[str, object], report: Report = ignore) -> Document:
    """The typed form of a parsed document; `report` hears of every part that could not be read.

    Raises `DocumentError` only where `raw` is no object.

    >>> read_document({"account_id": 1, "project": {"id": "2", "colour": "red"}}).project.colour
    'red'
    """
    return _read(Document, raw, report)


def read_project_settings(raw: Mapping[str, object], report: Report = ignore) -> ProjectSettings:
    """The typed form of a parsed `/project-settings` answer.

    >>> read_project_settings({"account_id": "1", "tracking_script": {"latest_version": "2"}}).account_id
    '1'
    """
    return _read(ProjectSettings, raw, report)


def _read(model: type[_Model], raw: object, report: Report) -> _Model:
    if not isinstance(raw, Mapping):
        raise DocumentError("$", "an object", kind(raw))
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        unreadable = [entry["loc"] for entry in error.errors(include_url=False, include_context=False)]
        for entry in error.errors(include_url=False):
            expected = _EXPECTED.get(entry["type"])
            message = f"expected {expected}, found {kind(entry['input'])}" if expected else entry["msg"]
            report(json_path(entry["loc"]), f"{message}; it reads as None", Code.WRONG_TYPE)
        return model.model_validate(_without(dict(raw), unreadable))


def _without(value: object, places: Sequence[tuple[int | str, ...]]) -> object:
    """A copy of `value` with null at each of `places`; what is not touched is shared."""
    if not places:
        return value
    below: dict[int | str, list[tuple[int | str, ...]]] = {}
    for place in places:
        if not place:
            return None
        below.setdefault(place[0], []).append(place[1:])
    if isinstance(value, dict) and below.keys() <= value.keys():
        return {key: _without(item, below.get(key, ())) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, below.get(index, ())) for index, item in enumerate(value)]
    return None
