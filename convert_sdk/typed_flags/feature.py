"""The ground of generated flags: a feature of one visitor, and the document that they were generated from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self, TypedDict, TypeVar
from weakref import ref

from convert_sdk._core.half_made import shown_half_made

if TYPE_CHECKING:
    from decimal import Decimal

    from pydantic import BaseModel

    from convert_sdk import Project, ResolvedFeature, Visitor

    M = TypeVar("M", bound=BaseModel)

logger = logging.getLogger("convert_sdk")


class TrackArguments(TypedDict, total=False):
    """The arguments of `visitor.track` beside the goal.

    >>> arguments: TrackArguments = {"products": 2}
    """

    revenue: Decimal | float | None
    products: int | None
    transaction_id: str | None
    dimensions: Mapping[int, str] | None
    rule_data: Mapping[str, object] | None
    allow_repeat: bool
    attributed_to: Mapping[str, str] | None


def _none() -> None:
    return None


@shown_half_made
class FlagSpec:
    """One feature as it was when the flags were generated: its key, and the types of its variables.

    >>> FlagSpec("pricing", {"discount": "float"})
    FlagSpec('pricing')
    """

    __slots__ = ("_said", "held", "key", "variables")

    def __init__(self, key: str, variables: Mapping[str, str]) -> None:
        self.key = key
        self.variables = variables
        self.held: Callable[[], Project | None] = _none
        """Gives the project that it was last held against, while that lives."""
        self._said: set[str] = set()

    def __repr__(self) -> str:
        return f"FlagSpec({self.key!r})"

    def hold_against(self, project: Project | None) -> None:
        """Say once what this project has no more, or has with another type; its defaults are used."""
        if project is None:
            return
        self.held = ref(project)
        feature = project.features.get(self.key)
        if feature is None:
            self._say(f"the project has no feature {self.key!r} any more: its defaults are used")
            return
        types = {each.key: each.type for each in feature.variables}
        for name, declared in self.variables.items():
            if name not in types:
                self._say(f"the feature {self.key!r} has no variable {name!r} any more: its default is used")
            elif types[name] != declared:
                self._say(
                    f"the variable {name!r} of the feature {self.key!r} is of type {types[name]}, and was {declared} "
                    "when the flags were generated: its default is used where it does not fit"
                )

    def report(self, variable: str, wanted: type) -> None:
        """Say once that a variable does not fit its model."""
        self._say(
            f"the variable {variable!r} of the feature {self.key!r} does not fit {wanted.__name__}: the default is used"
        )

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            logger.warning("%s", message)


class TypedFeature:
    """A feature as a visitor's variations set it; generated flags have a class of this kind for each feature.

    Made of a visitor it decides, as `visitor.feature` does; `peek` stores and sends nothing.

    >>> class pricing(TypedFeature):
    ...     spec = FlagSpec("pricing", {"discount": "float"})
    ...     @property
    ...     def discount(self) -> float:
    ...         return self.feature.get("discount", 0.0)
    >>> pricing(visitor).discount, bool(pricing.peek(visitor))
    (0.1, True)
    """

    __slots__ = ("feature",)

    spec: ClassVar[FlagSpec]
    """The feature that it is for."""
    feature: ResolvedFeature
    """The feature itself."""

    def __init__(self, visitor: Visitor) -> None:
        spec, project = self.spec, visitor.project
        if spec.held() is not project:
            spec.hold_against(project)
        self.feature = visitor.feature(spec.key)

    @classmethod
    def peek(cls, visitor: Visitor) -> Self:
        """The feature with nothing stored and nothing sent."""
        spec, project = cls.spec, visitor.project
        if spec.held() is not project:
            spec.hold_against(project)
        peeked = cls.__new__(cls)
        peeked.feature = visitor.peek_feature(spec.key)
        return peeked

    @property
    def enabled(self) -> bool:
        """True where one of the visitor's variations enables it."""
        return self.feature.enabled

    def __bool__(self) -> bool:
        return self.feature.enabled

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(enabled={self.enabled})"
            if hasattr(self, "feature")
            else super().__repr__()
        )

    def _model(self, variable: str, model: type[M], default: M) -> M:
        """A variable of JSON as this model; a copy of the default where it is not set or does not fit."""
        value = self.feature.get(variable)
        if value is not None:
            try:
                return model.model_validate(value)
            except ValueError:
                self.spec.report(variable, model)
        return default.model_copy(deep=True)
