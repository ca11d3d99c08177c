"""The state of a visitor as a person writes it: decisions by keys, where the store has ids."""

from __future__ import annotations

from collections.abc import Mapping

from convert_sdk._core.javascript import js_string
from convert_sdk._core.model import Experience
from convert_sdk._core.state import VisitorState
from convert_sdk.errors import UnknownNameError
from convert_sdk.project import Project

from .vocabulary import near_names


def named_state(project: Project, state: Mapping[str, object]) -> VisitorState:
    """The state of a visitor; experiences and variations may be named by keys or ids.

    Args:
        project: Whose experiences they are.
        state: As `VisitorState.to_dict` gives it; all parts may be missing.

    Raises:
        UnknownNameError: The project has no experience, the experience no variation, or a state no part, of a name.

    >>> named_state(project, {"bucketing": {"checkout-layout": "one-page"}}).bucketing
    {'100': '12'}
    """
    for part in state:
        if part not in _PARTS:
            raise UnknownNameError(str(part), "part of a state", near_names(str(part), _PARTS))
    given = state.get("bucketing")
    found: dict[str, str] = {}
    for name, variation in given.items() if isinstance(given, Mapping) else ():
        experience = project.experiences.get(str(name)) or project.experiences.of_id(str(name))
        if experience is None:
            raise UnknownNameError(
                str(name), "experience", near_names(str(name), [each.key for each in project.experiences])
            )
        found[experience.id] = _variation_id(experience, js_string(variation))
    return VisitorState.from_dict({**state, "bucketing": found})


_PARTS = VisitorState().to_dict().keys()


def _variation_id(experience: Experience, name: str) -> str:
    arm = experience.variation(name) or experience.variations.get(name)
    if arm is None:
        keys = [each.key for each in experience.variations.values()]
        raise UnknownNameError(name, f"variation of {experience.key}", near_names(name, keys))
    return arm.id
