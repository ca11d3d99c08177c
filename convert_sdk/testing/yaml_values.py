"""YAML 1.2 in which text stays text: only what JSON would write the same way is a number, a boolean or null.

So `NO` is a country, `1.10` a version and `12:30` a time, while `18`, `0.2`, `true` and `null` are what they look
like. Needs the package ruamel.yaml, of the extra `testing`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from typing import Any, Final

from convert_sdk._extras import needs_extra
from convert_sdk.errors import RuleTableError

with needs_extra(__name__, "testing", "ruamel"):
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

LineOf = Callable[[object], int | None]
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


def read_yaml(text: str, name: str) -> tuple[object, LineOf]:
    """The value of a document, and the line of each list and mapping in it.

    Raises RuleTableError for what is no YAML, with the line.
    """
    reader = _Reader(name)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        what = getattr(error, "problem", None) or str(error)
        raise RuleTableError(name, None if mark is None else mark.line + 1, what) from None
    return (None if node is None else reader.value(node)), reader.line_of


class _Reader:
    """Values of nodes; what an alias names again is the same value."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: dict[int, object] = {}
        self.lines: dict[int, int] = {}

    def line_of(self, value: object) -> int | None:
        """The line where a list or a mapping begins."""
        return self.lines.get(id(value))

    def value(self, node: Any) -> object:
        """The value of a node. Raises RuleTableError for a tag that is not YAML's own."""
        if id(node) not in self.made:
            self.made[id(node)] = self._made(node)
        return self.made[id(node)]

    def _made(self, node: Any) -> object:
        tag = str(getattr(node.tag, "value", node.tag)).removeprefix(
            _TAG
        )  # later versions have tags as objects
        if isinstance(node, ScalarNode):
            return self._scalar(node, tag)
        made: list[object] | dict[object, object] = [] if isinstance(node, SequenceNode) else {}
        if tag not in ("seq", "map"):
            raise self._wrong(node, f"the tag {tag} is not known")
        self.made[id(node)] = made  # first: it may hold itself
        self.lines[id(made)] = node.start_mark.line + 1
        if isinstance(made, list):
            made.extend(self.value(each) for each in node.value)
        elif isinstance(node, MappingNode):
            self._fill(made, node)
        return made

    def _fill(self, made: dict[object, object], node: Any) -> None:
        under: dict[object, object] = {}
        for key_node, value_node in node.value:
            value = self.value(value_node)
            if key_node.value == _MERGE:
                for each in reversed(value) if isinstance(value, list) else [value]:
                    if not isinstance(each, dict):
                        raise self._wrong(value_node, "expected a mapping after <<")
                    under.update(each)
                continue
            key = (
                key_node.value if isinstance(key_node, ScalarNode) else None
            )  # keys are names, never numbers
            if not isinstance(key, Hashable) or key is None:
                raise self._wrong(key_node, "expected a name as a key")
            if key in made:
                raise self._wrong(key_node, f"the key {key!r} stands twice")
            made[key] = value
        for key, value in under.items():
            made.setdefault(key, value)

    def _scalar(self, node: Any, tag: str) -> object:
        text: str = node.value
        if node.style is not None:
            return text
        if tag == "null":
            return _WORDS.get(text, text)
        if tag == "bool":
            return _WORDS.get(text, text)
        if tag in ("int", "float"):
            return _number(text)
        if tag in ("str", "timestamp", "merge", "value"):
            return text
        raise self._wrong(node, f"the tag {tag} is not known")

    def _wrong(self, node: Any, what: str) -> RuleTableError:
        return RuleTableError(self.name, node.start_mark.line + 1, what)


def _number(text: str) -> object:
    """The number that JSON writes as this text; the text itself where JSON would write it in another way."""
    if not _NUMBER.fullmatch(text):
        return text
    value: object = json.loads(text)
    return value if json.dumps(value) == text else text
