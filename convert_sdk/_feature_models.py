"""Features as objects of an application's own classes: `visitor.feature(key, as_=Pricing)`.

A class is looked at once; its fields are read one by one, so that a value that does not fit costs no other.
"""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NamedTuple,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from weakref import WeakKeyDictionary

from ._core.decision import ResolvedFeature, report_mismatch
from ._core.events import to_json

if TYPE_CHECKING:
    from pydantic import BaseModel, TypeAdapter

T = TypeVar("T")


class ModelField(NamedTuple):
    """One variable of a class."""

    name: str
    """The name of the field, as an argument of the class."""
    variables: tuple[str, ...]
    """The keys of the variable: the first that is set counts."""
    adapter: TypeAdapter[object]
    """The check of a value against the declared type."""
    wanted: str
    """The declared type, for a message."""


class FeatureView(Generic[T]):
    """A class of an application, looked at for its fields.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Pricing:
    ...     discount: float = 0.0
    >>> FeatureView(Pricing).read(visitor.feature("pricing"))
    Pricing(discount=0.1)
    """

    def __init__(self, made: type[T]) -> None:
        self.made = made
        self.fields = _fields(made)
        self._validates = hasattr(made, "model_fields")

    def read(self, feature: ResolvedFeature) -> T:
        """The object of a feature's variables; what is not set or does not fit is left to the class's default."""
        found: dict[str, object] = {}
        for field in self.fields:
            values = [(each, value) for each in field.variables if (value := feature.get(each)) is not None]
            if not values:
                continue
            variable, value = values[0]
            try:
                fitted = fitting(field.adapter, value)
            except Exception:  # noqa: BLE001  # an application's validators may raise anything, and data never does
                report_mismatch(feature, variable, field.wanted)
            else:
                found[field.name] = value if self._validates else fitted  # a model validates by itself
        try:
            return self.made(**found)
        except Exception:  # noqa: BLE001  # as above
            return self._without_refused(feature, found)

    def _without_refused(self, feature: ResolvedFeature, found: dict[str, object]) -> T:
        """The object without the values that the class itself refuses, as its validators may."""
        taken: dict[str, object] = {}
        for field in self.fields:
            if field.name in found:
                try:
                    self.made(**taken, **{field.name: found[field.name]})
                except Exception:  # noqa: BLE001  # as above
                    report_mismatch(feature, field.variables[0], f"{self.made.__name__}, which refuses it")
                else:
                    taken[field.name] = found[field.name]
        return self.made(**taken)


def fitting(adapter: TypeAdapter[object], value: object) -> object:
    """A value of JSON in the declared type, as strictly as JSON allows: a list may be a tuple, a text a date.

    Raises:
        ValueError: For one that does not fit.
    """
    try:
        return adapter.validate_python(value, strict=True)
    except ValueError:
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        return adapter.validate_json(to_json(whole), strict=True)


_models: WeakKeyDictionary[type[object], FeatureView[Any]] = WeakKeyDictionary()


def feature_model(made: type[T]) -> FeatureView[T]:
    """The fields of a class; it is looked at once.

    Raises:
        TypeError: For what is neither a dataclass nor a pydantic model, and for a field without a default.
    """
    try:
        known = _models.get(made)
    except TypeError:  # what has no hash or no weak references is no class
        known = None
    if known is None:
        known = FeatureView(made)
        _models[made] = known
    return known


def _fields(made: type[object]) -> tuple[ModelField, ...]:
    if isinstance(made, type) and is_dataclass(made):
        return _of_dataclass(made)
    if isinstance(made, type) and hasattr(made, "model_fields"):
        return _of_pydantic(cast("type[BaseModel]", made))
    shown = made.__name__ if isinstance(made, type) else type(made).__name__
    raise TypeError(f"as_ must be a dataclass or a pydantic model, not {shown}")


def _of_dataclass(made: type[object]) -> tuple[ModelField, ...]:
    try:
        hints = get_type_hints(made, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"a type of {made.__name__} cannot be found ({error}): define it at the top of a module"
        ) from error
    found = []
    for field in fields(cast("Any", made)):
        if not field.init:
            continue
        if field.default is MISSING and field.default_factory is MISSING:
            raise _without_default(made, field.name)
        variable = field.metadata.get("variable", field.name)
        found.append(_field(made, field.name, (variable,), hints[field.name]))
    return tuple(found)


def _of_pydantic(made: type[BaseModel]) -> tuple[ModelField, ...]:
    found = []
    for name, field in made.model_fields.items():
        if field.is_required():
            raise _without_default(made, name)
        alias = field.validation_alias or field.alias or name
        choices = [alias] if isinstance(alias, str) else getattr(alias, "choices", [])
        keys = tuple(each for each in choices if isinstance(each, str))
        if not keys:
            raise TypeError(
                f"{made.__name__}.{name} has an alias with a path: it needs the key of a variable"
            )
        annotation: Any = field.annotation
        for each in field.metadata:
            annotation = Annotated[annotation, each]
        found.append(_field(made, keys[0], keys, annotation))
    return tuple(found)


def _field(made: type[object], name: str, variables: tuple[str, ...], annotation: Any) -> ModelField:
    from pydantic import PydanticUserError, TypeAdapter

    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    shown = plain.__name__ if isinstance(plain, type) else str(plain)
    try:
        return ModelField(name, variables, TypeAdapter(annotation), shown)
    except PydanticUserError as error:
        raise TypeError(
            f"{made.__name__}.{name} is of the type {shown}, which pydantic has no check for"
        ) from error


def _without_default(made: type[object], name: str) -> TypeError:
    return TypeError(
        f"{made.__name__}.{name} has no default, and needs one: the visitor's variations may leave the variable out"
    )
