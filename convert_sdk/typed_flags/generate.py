"""A project's flags as a module of Python: a class a feature, and keys that type checkers know."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from convert_sdk._core.model import Experience, Feature, Variable
from convert_sdk.project import Project

from .feature import TypedFeature
from .names import python_name, python_names, quoted, said
from .settings import FlagSettings

_TYPES = {"boolean": "bool", "integer": "int", "float": "float", "string": "str"}
_ZEROS: dict[str, object] = {"boolean": False, "integer": 0, "float": 0.0, "string": ""}
_OF_MODULE = frozenset(
    {
        *("decide", "force", "track", "ExperienceKey", "FeatureKey", "GoalKey"),
        *("annotations", "_t", "_sdk", "_FlagSpec", "_TrackArguments", "_TypedFeature", "_JsonValue"),
    }
)
_OF_CLASS = frozenset({"spec", *(name for name in dir(TypedFeature) if not name.startswith("__"))})
_USED = frozenset({*_TYPES.values(), "property", "type", "_t", "_JsonValue"})
"""Names that a class of the module uses: a property of such a name would hide what comes after it."""
_LONGEST = 100
"""Beyond it, a list of keys takes a line a key."""


def generate_flags(project: Project, settings: FlagSettings = FlagSettings()) -> str:  # noqa: B008 # nothing changes it
    """The text of a module with a project's flags, the same for the same project and settings.

    Args:
        project: The project. Its features become classes, named as their keys.
        settings: Defaults and models that the project's document does not have, by `read_settings`.

    Raises:
        TypedFlagsError: For two keys that become one name.

    >>> module = generate_flags(project)
    >>> print(module[module.index("    @property") :])
        @property
        def discount(self) -> float:
            \"\"\"The variable "discount"; 0.0 where it is not set.\"\"\"
            return self.feature.get("discount", 0.0)
    <BLANKLINE>
    """
    features = [*{each.key: project.features.get(each.key) or each for each in project.features}.values()]
    modules = sorted(
        {model.partition(":")[0] for each in settings.models.values() for model in each.values()}
    )
    needed = _USED | {module.partition(".")[0] for module in modules}
    names = python_names([feature.key for feature in features], _OF_MODULE | needed, "features")
    uses_json = any(
        each.type not in _TYPES and each.key not in settings.models.get(feature.key, {})
        for feature in features
        for each in feature.variables
    )
    lines = [
        *_head(project, modules, uses_json=uses_json),
        *_keys("ExperienceKey", "experiences", [each.key for each in project.experiences]),
        *_keys("FeatureKey", "features", [feature.key for feature in features]),
        *_keys("GoalKey", "goals", [goal.key for goal in project.goals]),
        *_verbs(project),
    ]
    for feature in features:
        lines += ["", "", *_class(names[feature.key], feature, settings, _OF_CLASS | needed)]
    return "\n".join([*lines, ""])


def is_current(text: str, generated: str) -> bool:
    """True if a module has the same flags as a generated one, whatever its format and the revision in its head.

    >>> is_current("'''Of yesterday.'''\\nExperienceKey = str", "'''Of today.'''\\n\\nExperienceKey = str\\n")
    True
    """
    try:
        return _code(text) == _code(generated)
    except (SyntaxError, ValueError):  # of a file that is something else
        return False


def _code(text: str) -> str:
    module = ast.parse(text)
    if ast.get_docstring(module) is not None:
        del module.body[0]
    return ast.dump(module)


def _head(project: Project, modules: Iterable[str], *, uses_json: bool) -> Iterator[str]:
    named = said(f"{project.account_id}/{project.id}")
    yield f'"""Flags of the project {named}, from its document {project.revision}.'
    yield ""
    yield "Written by `convert-sdk codegen`: change the project, and write it again."
    yield '"""'
    yield ""
    yield "# ruff: noqa"
    yield "from __future__ import annotations"
    yield ""
    yield "import typing as _t"
    yield ""
    yield from (f"import {module}" for module in modules)
    yield from ["import convert_sdk as _sdk"]
    yield "from convert_sdk.typed_flags import FlagSpec as _FlagSpec"
    yield "from convert_sdk.typed_flags import TrackArguments as _TrackArguments"
    yield "from convert_sdk.typed_flags import TypedFeature as _TypedFeature"
    if uses_json:
        yield ""
        yield "if _t.TYPE_CHECKING:"
        yield "    from pydantic import JsonValue as _JsonValue"
    yield ""


def _keys(name: str, kind: str, keys: Iterable[str]) -> Iterator[str]:
    listed = [quoted(key) for key in dict.fromkeys(keys)]
    yield from _alias(name, listed)
    yield f'"""The keys of the {kind}."""'


def _alias(name: str, literals: list[str]) -> Iterator[str]:
    line = f"{name}: _t.TypeAlias = {_literal(literals)}"
    if len(line) <= _LONGEST:
        yield line
        return
    yield f"{name}: _t.TypeAlias = _t.Literal["
    yield from (f"    {literal}," for literal in literals)
    yield "]"


def _literal(literals: list[str]) -> str:
    return f"_t.Literal[{', '.join(literals)}]" if literals else "_t.Never"


def _verbs(project: Project) -> Iterator[str]:
    yield from (
        "",
        "",
        "def decide(visitor: _sdk.Visitor, key: ExperienceKey) -> _sdk.Decision:",
        '    """`visitor.decide`, for a key of this project."""',
        "    return visitor.decide(key)",
    )
    yield from _force(
        [*{each.key: project.experience(each.key) or each for each in project.experiences}.values()]
    )
    yield from (
        "",
        "",
        "def track(",
        "    visitor: _sdk.Visitor, goal: GoalKey, **arguments: _t.Unpack[_TrackArguments]",
        ") -> _sdk.ConversionResult:",
        '    """`visitor.track`, for a goal of this project."""',
        "    return visitor.track(goal, **arguments)",
    )


def _force(experiences: list[Experience]) -> Iterator[str]:
    if len(experiences) > 1:
        for experience in experiences:
            yield from ("", "", "@_t.overload")
            yield from _force_head(quoted(experience.key), _variations(experience), "...")
        yield from ("", "", "def force(visitor: _sdk.Visitor, key: str, variation: str) -> _sdk.Decision:")
    else:
        yield from ("", "")
        key = [quoted(each.key) for each in experiences]
        variations = [name for each in experiences for name in _variations(each)]
        yield "def force("
        yield f"    visitor: _sdk.Visitor, key: {_literal(key)}, variation: {_literal(variations)}"
        yield ") -> _sdk.Decision:"
    yield '    """`visitor.force`, for an experience of this project and a variation of it."""'
    yield "    return visitor.force(key, variation)"


def _force_head(key: str, variations: list[str], body: str) -> Iterator[str]:
    yield "def force("
    yield "    visitor: _sdk.Visitor,"
    yield f"    key: _t.Literal[{key}],"
    yield f"    variation: {_literal(variations)},"
    yield f") -> _sdk.Decision: {body}"


def _variations(experience: Experience) -> list[str]:
    return [quoted(key) for key in dict.fromkeys(each.key for each in experience.variations.values())]


def _class(name: str, feature: Feature, settings: FlagSettings, taken: frozenset[str]) -> Iterator[str]:
    variables = {each.key: each for each in feature.variables}
    defaults, models = settings.defaults.get(feature.key, {}), settings.models.get(feature.key, {})
    taken |= {_default_name(python_name(key, taken)) for key in models}
    names = python_names(variables, taken, f"variables of the feature {feature.key!r}")
    yield f"class {name}(_TypedFeature):"
    yield f'    """The feature "{said(feature.key)}"."""'
    yield ""
    yield "    __slots__ = ()"
    yield from _spec(feature.key, [f"{quoted(each.key)}: {quoted(each.type)}" for each in variables.values()])
    for key, variable in variables.items():
        if key in models:
            yield from _model_property(names[key], key, models[key].replace(":", "."), defaults.get(key, {}))
        else:
            yield from _property(names[key], variable, defaults.get(key, _ZEROS.get(variable.type)))


def _spec(key: str, types: list[str]) -> Iterator[str]:
    line = f"    spec = _FlagSpec({quoted(key)}, {{{', '.join(types)}}})"
    if len(line) <= _LONGEST:
        yield line
        return
    yield "    spec = _FlagSpec("
    yield f"        {quoted(key)},"
    yield "        {"
    yield from (f"            {each}," for each in types)
    yield "        },"
    yield "    )"


def _property(name: str, variable: Variable, default: object) -> Iterator[str]:
    kind = _TYPES.get(variable.type)
    value, key = _value(default), quoted(variable.key)
    yield from ("", "    @property")
    yield f"    def {name}(self) -> {kind or '_JsonValue'}:"
    yield f'        """The variable "{said(variable.key)}"; {value} where it is not set."""'
    if kind is not None:
        yield f"        return self.feature.get({key}, {value})"
    elif default is None:
        yield f'        return _t.cast("_JsonValue", self.feature.get({key}))'
    else:
        yield f"        found = self.feature.get({key})"
        yield f'        return {value} if found is None else _t.cast("_JsonValue", found)'


def _model_property(name: str, key: str, model: str, default: object) -> Iterator[str]:
    yield ""
    yield f"    {_default_name(name)} = {model}.model_validate({_value(default)})"
    yield ""
    yield "    @property"
    yield f"    def {name}(self) -> {model}:"
    yield f'        """The variable "{said(key)}", as a model; a default where it is not set or does not fit."""'
    yield f"        return self._model({quoted(key)}, {model}, self.{_default_name(name)})"


def _default_name(name: str) -> str:
    return f"_default_of_{name}"


def _value(value: object) -> str:
    """A value of JSON as a literal of Python."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_value(key)}: {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)
