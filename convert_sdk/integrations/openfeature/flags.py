"""Flag keys: what a key and a type read of a project, and the values that fit a type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from convert_sdk._core.copy_json import copy_json
from convert_sdk._core.decision import Decision, Reason, ResolvedFeature
from convert_sdk._core.flag_reasons import FlagReason
from convert_sdk._core.model import Experience, Feature, Variable, Variation
from convert_sdk.observation import DocumentChanged
from convert_sdk.project import Project

VALUE = "value"
"""The variable that makes a feature a flag of one value."""
MISFIT: Final = object()
"""In place of a value that does not fit the type."""


class ValueType(NamedTuple):
    """A type of flag values."""

    place: int
    name: str
    fit: Callable[[object], object]
    """The value in this type; `MISFIT` for one of another type."""
    declared: frozenset[str]
    """The types of variables whose values always fit."""
    possible: frozenset[str]
    """The types of variables of whose values some fit."""


def _boolean(value: object) -> object:
    return value if type(value) is bool else MISFIT


def _text(value: object) -> object:
    return value if isinstance(value, str) else MISFIT


def _integer(value: object) -> object:
    if type(value) is int:
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else MISFIT


def _float(value: object) -> object:
    if type(value) is float:
        return value
    if type(value) is not int:
        return MISFIT
    try:
        number = float(value)
    except OverflowError:
        return MISFIT
    return number if number == value else MISFIT


def _object(value: object) -> object:
    return copy_json(value) if isinstance(value, (dict, list)) else MISFIT


_ANY = frozenset({"json", ""})
BOOLEAN: Final = ValueType(0, "boolean", _boolean, frozenset({"boolean"}), _ANY)
TEXT: Final = ValueType(1, "string", _text, frozenset({"string"}), _ANY)
INTEGER: Final = ValueType(2, "integer", _integer, frozenset({"integer"}), _ANY | {"float"})
FLOAT: Final = ValueType(3, "float", _float, frozenset({"float", "integer"}), _ANY)
OBJECT: Final = ValueType(4, "object", _object, frozenset(), _ANY)
TYPES: Final = (BOOLEAN, TEXT, INTEGER, FLOAT, OBJECT)


class Reads(StrEnum):
    """The part of a project that a look-up reads."""

    VARIATION = "variation"
    """The key of an experience's variation."""
    ENABLED = "enabled"
    """The feature itself: on or off."""
    VARIABLE = "variable"
    ALL = "all"
    """All variables of a feature."""
    MISMATCH = "mismatch"
    """Nothing: the type is not one that the flag can have."""


Metadata = dict[str, bool | int | float | str]


class KnownAnswer(NamedTuple):
    """The parts of an answer that are the same for all who have a variation by the hash, or none for one reason."""

    value: object
    """None for the default of whoever asks."""
    reason: str
    variant: str | None
    metadata: Metadata


class FlagPlan(NamedTuple):
    """The reading of one key as one type."""

    reads: Reads
    key: str
    """The key of the feature or of the experience."""
    name: str = ""
    """The variable; of a mismatch, what is wrong."""
    carriers: tuple[Experience, ...] = ()
    unsure: bool = False
    """True if some values of the variable do not fit: it is looked at before anything is remembered."""
    answers: dict[Variation | Reason, KnownAnswer] | None = None
    """The answers that were given, by the variation of the only carrier, or by the reason for having none."""


class ProjectFlags:
    """The flags of one project, each planned when it is first asked for."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.plans: tuple[dict[str, FlagPlan], ...] = tuple({} for _ in TYPES)
        """By the type's place, then by key."""
        self._metadata: Metadata = {
            "project": project.id,
            "version": project.revision,
            "flagSetId": f"{project.account_id}/{project.id}",
        }

    def plan(self, key: str, wanted: ValueType) -> FlagPlan | None:
        """The plan of a key; None where the project has nothing of this key."""
        plans = self.plans[wanted.place]
        plan = plans.get(key)
        if plan is None:
            plan = self._planned(key, wanted)
            if plan is not None:
                plans[key] = plan
        return plan

    def _planned(self, key: str, wanted: ValueType) -> FlagPlan | None:
        project = self.project
        feature = project.features.get(key)
        if feature is not None:
            return feature_plan(feature, wanted, project.carriers(feature.id))
        experience = project.experiences.get(key)
        if experience is not None:
            return experience_plan(key, wanted, (experience,))
        name, dot, variable = key.rpartition(".")
        feature = project.features.get(name) if dot else None
        declared = () if feature is None else feature.variables
        found = [each for each in declared if each.key == variable]
        if feature is None or not found:
            return None
        return variable_plan(feature, found[0], wanted, project.carriers(feature.id))

    def metadata(self, decision: Decision | None) -> Metadata:
        """The metadata of a decision, and of the project."""
        if decision is None:
            return {**self._metadata}
        parts = {
            "experience": decision.key if decision.experience_id is not None else None,
            "variation": decision.variation_key,
            "experienceId": decision.experience_id,
            "variationId": decision.variation_id,
        }
        return {**{name: part for name, part in parts.items() if part is not None}, **self._metadata}


def openfeature_reason(reason: FlagReason) -> str:
    """The reason as OpenFeature writes it."""
    return reason.value.upper()


def experience_plan(key: str, wanted: ValueType, experiences: tuple[Experience, ...] = ()) -> FlagPlan:
    """The plan of a flag that is an experience."""
    if wanted is not TEXT:
        wrong = f"{key!r} is an experience: its value is the key of a variation, a string"
        return FlagPlan(Reads.MISMATCH, key, wrong)
    return FlagPlan(Reads.VARIATION, key, carriers=experiences, answers=_answers(experiences))


def feature_plan(feature: Feature, wanted: ValueType, carriers: tuple[Experience, ...] = ()) -> FlagPlan:
    """The plan of a flag that is a feature."""
    variables = feature.variables
    value = next((each for each in variables if each.key == VALUE), None)
    of_one_value = value is not None and len(variables) == 1 and value.type != "json"
    if wanted is OBJECT:
        if not variables or of_one_value:
            return _mismatch(feature, wanted, "is of one value" if variables else "has no variables")
        return FlagPlan(Reads.ALL, feature.key, carriers=carriers)
    if wanted is BOOLEAN:
        booleans = [each for each in variables if each.type == "boolean"]
        chosen = value if value in booleans else booleans[0] if len(booleans) == 1 else None
        if chosen is not None:
            return variable_plan(feature, chosen, wanted, carriers)
        if of_one_value:
            return _mismatch(feature, wanted, "is of one value of another type")
        return FlagPlan(Reads.ENABLED, feature.key, carriers=carriers, answers=_answers(carriers))
    chosen = value or (variables[0] if len(variables) == 1 else None)
    if chosen is None:
        return _mismatch(feature, wanted, f"has {len(variables) or 'no'} variables, and none named {VALUE!r}")
    return variable_plan(feature, chosen, wanted, carriers)


def variable_plan(
    feature: Feature, variable: Variable, wanted: ValueType, carriers: tuple[Experience, ...] = ()
) -> FlagPlan:
    """The plan of a flag that is a variable of a feature."""
    if variable.type in wanted.declared:
        return FlagPlan(Reads.VARIABLE, feature.key, variable.key, carriers, answers=_answers(carriers))
    if variable.type in wanted.possible:
        return FlagPlan(Reads.VARIABLE, feature.key, variable.key, carriers, unsure=True)
    return _mismatch(feature, wanted, f"has the variable {variable.key!r} of type {variable.type}")


def _answers(carriers: tuple[Experience, ...]) -> dict[Variation | Reason, KnownAnswer] | None:
    return {} if len(carriers) == 1 else None


def _mismatch(feature: Feature, wanted: ValueType, found: str) -> FlagPlan:
    wrong = f"the feature {feature.key!r} {found}; it was asked for as {wanted.name}"
    return FlagPlan(Reads.MISMATCH, feature.key, wrong)


def undeclared(key: str, variables: Mapping[str, object]) -> Feature:
    """A feature that only an override has, with the types that its values have."""
    return Feature(key, key, key, tuple(Variable(name, _type_of(each)) for name, each in variables.items()))


def _type_of(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "float", str: "string"}
    return names.get(type(value), "json")


def read(plan: FlagPlan, wanted: ValueType, feature: ResolvedFeature) -> object:
    """The value that an enabled feature has; `MISFIT` for one of another type, None for one that is not set."""
    if plan.reads is Reads.ENABLED:
        return True
    if plan.reads is Reads.ALL:
        return feature.variables
    value = feature._variables.get(plan.name)
    if value is None:
        unreadable = plan.name not in feature._variables and plan.name in (feature._raw or ())
        return MISFIT if unreadable else None
    return wanted.fit(value)


def changed_flags(change: DocumentChanged, before: Project, after: Project) -> list[str]:
    """The keys of the flags that a change of the document concerns: experiences, and features that they carry."""
    keys = dict.fromkeys((*change.added, *change.removed, *change.changed))
    features: dict[str, None] = {}
    for project in (before, after):
        for experience in (project.experiences.get(key) for key in keys):
            features |= dict.fromkeys(() if experience is None else _carried(experience))
    old, new = ([each.key for each in project.features] for project in (before, after))
    features |= dict.fromkeys(key for key in (*old, *new) if (key in old) is not (key in new))
    return [*keys, *(key for key in features if key not in keys)]


def _carried(experience: Experience) -> Iterable[str]:
    changes = (change for arm in experience.variations.values() for change in arm.changes)
    return (change.feature.key for change in changes if change.feature is not None)
