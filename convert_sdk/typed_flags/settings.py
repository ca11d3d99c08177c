"""Defaults and models for generated flags, from a TOML file."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from convert_sdk._checks import nearest
from convert_sdk.errors import TypedFlagsError
from convert_sdk.project import Project

T = TypeVar("T")
_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_TYPES: Mapping[str, type] = {"boolean": bool, "integer": int, "float": float, "string": str}
_ByVariable = Mapping[str, Mapping[str, T]]


class FlagSettings(NamedTuple):
    """The things that a project's document does not say of its flags, by feature and variable."""

    defaults: Mapping[str, Mapping[str, object]] = MappingProxyType({})
    """The values where the project gives none."""
    models: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    """The pydantic models of JSON variables, as "module:Class"."""


def read_settings(source: str, project: Project) -> FlagSettings:
    """Read the settings of a project's flags.

    Args:
        source: TOML with the tables `[defaults.FEATURE]` and `[models.FEATURE]`, each of variables.
        project: The project that the names must be in.

    Raises:
        TypedFlagsError: For what is no TOML, a name that the project lacks, and a value of another type.

    >>> read_settings('[defaults.pricing]\\ndiscount = 1', project).defaults
    {'pricing': {'discount': 1.0}}
    """
    try:
        read = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise TypedFlagsError(f"the settings are no TOML: {error}") from error
    for name in read.keys() - {*FlagSettings._fields}:
        near = nearest(name, FlagSettings._fields)
        raise TypedFlagsError(f"{name}: expected the tables defaults and models{near}")
    return FlagSettings(
        _of_features(read, "defaults", project, _default), _of_features(read, "models", project, _model)
    )


def _of_features(
    read: Mapping[str, object], name: str, project: Project, check: Callable[[str, str, object], T]
) -> _ByVariable[T]:
    found: dict[str, dict[str, T]] = {}
    types = {feature.key: {each.key: each.type for each in feature.variables} for feature in project.features}
    for key, variables in _table(read.get(name, {}), name).items():
        declared = types.get(key)
        if declared is None:
            raise _unknown(f"{name}.{key}", "feature", key, types)
        for variable, value in _table(variables, f"{name}.{key}").items():
            if variable not in declared:
                raise _unknown(f"{name}.{key}.{variable}", "variable", variable, declared)
            path = f"{name}.{key}.{variable}"
            found.setdefault(key, {})[variable] = check(path, declared[variable], value)
    return found


def _unknown(path: str, kind: str, name: str, known: Iterable[str]) -> TypedFlagsError:
    return TypedFlagsError(f"{path}: the project has no such {kind}" + nearest(name, known))


def _table(value: object, path: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypedFlagsError(f"{path}: expected a table, found {value!r}")
    return value


def _default(path: str, declared: str, value: object) -> object:
    wanted = _TYPES.get(declared)
    if wanted is None:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TypedFlagsError(f"{path}: expected a value of JSON, found {value!r}") from error
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted or (isinstance(value, float) and not math.isfinite(value)):
        raise TypedFlagsError(f"{path}: expected a value of the type {declared}, found {value!r}")
    return value


def _model(path: str, declared: str, value: object) -> str:
    if declared != "json":
        raise TypedFlagsError(
            f"{path}: a model is for a variable of the type json, this one is of {declared}"
        )
    if not isinstance(value, str) or not _CLASS.fullmatch(value):
        raise TypedFlagsError(f'{path}: expected "module:Class", found {value!r}')
    return value
