"""The parts of every model of the document: leaves that read leniently, and the rule tree."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError


def kind(value: object) -> str:
    """The JSON type of a value, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "an object"
        case _:
            return "a list"


def _unexpected(expected: str, value: object) -> PydanticCustomError:
    found = kind(value)
    return PydanticCustomError(
        "unexpected", "expected {expected}, found {found}", {"expected": expected, "found": found}
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        if value is None:
            return ""
        raise _unexpected("text", value)
    return str(int(value)) if isfinite(value) and value == int(value) else str(value)


def _id(value: object) -> str | int | float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else _text(value)


def _number(value: object) -> int | float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        for convert in (int, float):
            try:
                return convert(value)
            except ValueError:
                continue
    raise _unexpected("a number", value)


_FLAGS: Mapping[object, bool] = {
    True: True,
    False: False,
    "true": True,
    "false": False,
    "1": True,
    "0": False,
}


def _flag(value: object) -> bool:
    if isinstance(value, (bool, int, str)) and value in _FLAGS:
        return _FLAGS[value]
    raise _unexpected("true or false", value)


def _list(value: object) -> object:
    if isinstance(value, Mapping):  # how PHP writes a list with gaps
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _object(value: object) -> object:
    return {} if value == [] else value


Text = Annotated[str, PlainValidator(_text)]
"""Text; a number becomes its text, so every id is text."""
Number = Annotated[int | float, PlainValidator(_number)]
"""A number; text that holds one is read."""
Flag = Annotated[bool, PlainValidator(_flag)]
"""True or false; 0, 1 and their texts are read."""
Id = Annotated[str | int | float, PlainValidator(_id)]
"""An id that keeps its number where it is one."""
Texts = Annotated[tuple[Text, ...], BeforeValidator(_list)]
"""Texts; a single one counts as a list of one."""
maybe_list = BeforeValidator(_object)
"""Marks an object with free keys: PHP writes an empty one as an empty list."""
Keyed = Annotated[Mapping[Text, object], maybe_list]
"""An object with free keys."""


class DocumentModel(BaseModel):
    """One object of the document, read only.

    Every attribute is None where the document is silent; keys that this library does not know
    are attributes too, and all of them are in `model_extra`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow", frozen=True, protected_namespaces=(), serialize_by_alias=True
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_empty(cls, value: object) -> object:
        """A null in a list keeps its place; PHP writes an empty object as an empty list."""
        return {} if value is None or value == [] else value


class Matching(DocumentModel):
    """The comparison of a rule: `match_type` is the operator's name, `negated` turns its verdict around."""

    match_type: Text | None = None
    negated: object = None


class Rule(DocumentModel):
    """One leaf of a rule tree: `key` of the visitor or location is compared with `value`."""

    rule_type: Text | None = None
    key: Text | None = None
    value: object = None
    matching: Matching | None = None


class AnyRule(DocumentModel):
    """Holds where any of its rules does."""

    or_when: tuple[Rule, ...] | None = Field(None, alias="OR_WHEN")


class AllRules(DocumentModel):
    """Holds where all of its groups do."""

    and_: tuple[AnyRule, ...] | None = Field(None, alias="AND")


class Rules(DocumentModel):
    """A rule tree: it holds where any of its blocks does."""

    or_: tuple[AllRules, ...] | None = Field(None, alias="OR")
