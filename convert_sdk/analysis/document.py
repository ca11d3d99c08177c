"""A document as its checks see it: raw, by section, with the project compiled from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from convert_sdk._config.coerce import Json, as_id, objects
from convert_sdk._config.json import json_path, read_json
from convert_sdk._core.problem import ignore
from convert_sdk.project import Project


class Item(NamedTuple):
    """One object of the document."""

    path: str
    raw: Json

    @property
    def key(self) -> str:
        """Its key, or "" without one."""
        return as_id(self.raw.get("key"))

    @property
    def id(self) -> str:
        """Its id, or "" without one."""
        return as_id(self.raw.get("id"))

    def items(self, name: str) -> Iterator[Item]:
        """The objects of one of its lists."""
        return (Item(path, raw) for path, raw in objects(self.raw.get(name), f"{self.path}.{name}", ignore))

    def of(self, name: str) -> str:
        """The path of one of its values."""
        return self.path + json_path([name])[1:]

    def item(self, name: str) -> Item:
        """One of its objects; an empty one where there is none."""
        found = self.raw.get(name)
        return Item(f"{self.path}.{name}", found if isinstance(found, Mapping) else {})


class Leaf(NamedTuple):
    """One condition of a rule set."""

    path: str
    raw: Json

    @property
    def match_type(self) -> str:
        """Its operator, or ""."""
        found = self._matching().get("match_type")
        return found if isinstance(found, str) else ""

    @property
    def negated(self) -> bool:
        """True if its verdict is turned around."""
        return self._matching().get("negated") is True

    @property
    def key(self) -> str:
        """The key that it asks for, or ""."""
        found = self.raw.get("key")
        return found if isinstance(found, str) else ""

    def _matching(self) -> Mapping[str, object]:
        found = self.raw.get("matching")
        return found if isinstance(found, Mapping) else {}


class RuleTree(NamedTuple):
    """The rules of one entity."""

    kind: str
    path: str
    raw: object

    def blocks(self) -> Iterator[Block]:
        """Its alternatives."""
        for path, block in _members(self.raw, "OR", self.path):
            yield Block(path, [_leaves(group, at) for at, group in _members(block, "AND", path)])

    def leaves(self) -> Iterator[Leaf]:
        """Its conditions."""
        return (leaf for block in self.blocks() for group in block.groups for leaf in group)


class Block(NamedTuple):
    """One alternative of a rule set: of every group a condition must hold."""

    path: str
    groups: list[list[Leaf]]


class DocumentView(NamedTuple):
    """A document and its project."""

    raw: Json
    project: Project

    def section(self, name: str) -> Iterator[Item]:
        """The entities of a section."""
        return Item("$", self.raw).items(name)

    def rule_trees(self) -> Iterator[RuleTree]:
        """Every rule set of the document."""
        for name in ("audiences", "locations", "segments", "goals"):
            for item in self.section(name):
                if item.raw.get("rules") is not None:
                    yield RuleTree(name[:-1], f"{item.path}.rules", item.raw["rules"])
        for item in self.section("experiences"):
            if item.raw.get("site_area") is not None and not item.raw.get("locations"):
                yield RuleTree("site area", f"{item.path}.site_area", item.raw["site_area"])


def document_view(project: Project) -> DocumentView:
    """The document of a project, to be checked."""
    return DocumentView(cast("Json", read_json(project.source)), project)


def _members(level: object, name: str, path: str) -> Iterator[tuple[str, object]]:
    members = level.get(name) if isinstance(level, Mapping) else None
    for index, member in enumerate(members if isinstance(members, list) else ()):
        yield f"{path}.{name}[{index}]", member


def _leaves(group: object, path: str) -> list[Leaf]:
    return [Leaf(at, leaf) for at, leaf in _members(group, "OR_WHEN", path) if isinstance(leaf, Mapping)]
