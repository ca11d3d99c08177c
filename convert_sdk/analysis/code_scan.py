"""The keys that a code base names: those that the document does not have, and those that no code names."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from convert_sdk._core.events import to_json
from convert_sdk.project import Project

from .entities import Kind, index_of
from .vocabulary import near

_VERBS: Mapping[str, Kind] = {
    **dict.fromkeys(("decide", "peek", "force", "explain", "override"), Kind.EXPERIENCE),
    **dict.fromkeys(("feature", "peek_feature"), Kind.FEATURE),
    "track": Kind.GOAL,
}
"""The methods whose first argument is a key."""
_KEYWORDS: Mapping[str, Kind] = {"experience": Kind.EXPERIENCE, "feature": Kind.FEATURE, "goal": Kind.GOAL}
_VISITORS = frozenset({"visitor", "current_visitor", "with_context", "client"})
_IGNORED = re.compile(rb"#\s*convert:\s*ignore\b")
"""The comment on the line of a key that is somebody else's."""
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})


class KeyUse(NamedTuple):
    """One place where code names a key.

    >>> print(KeyUse(Kind.GOAL, "purchase", "shop.py", 7))
    shop.py:7: goal 'purchase'
    """

    kind: Kind
    key: str
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind.value} {self.key!r}"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {**self._asdict(), "kind": self.kind.value}


class UnusedKey(NamedTuple):
    """A key of the document that no code names."""

    kind: Kind
    key: str


class CodeScan(NamedTuple):
    """The keys of a code base beside those of a document. `str()` is for people, `to_json()` for tools.

    >>> import tempfile
    >>> from convert_sdk.analysis import scan
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "shop.py").write_text('visitor.decide("checkout-layuot")')
    ...     found = scan(project, [folder])
    >>> [use.key for use in found.absent], found.files
    (['checkout-layuot'], 1)
    """

    files: int
    uses: tuple[KeyUse, ...]
    absent: tuple[KeyUse, ...]
    """The document does not have them."""
    archived: tuple[KeyUse, ...]
    unused: tuple[UnusedKey, ...]
    """Experiences, features and goals that no code names."""
    computed: int
    """Calls whose key is no literal, and is not known."""
    unreadable: tuple[str, ...]
    """Files that are no Python or cannot be read, each with the reason."""
    meant: Mapping[str, str] = {}
    """Words for the names that look like an absent one, by its key."""

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from (f"{use} is not in the document{self.meant.get(use.key, '')}" for use in self.absent)
        yield from (f"{use} is archived, and nobody gets it" for use in self.archived)
        yield from (f"no code names the {each.kind.value} {each.key!r}" for each in self.unused)
        yield from self.unreadable
        if self.computed:
            calls = _counted(self.computed, "call")
            yield f"{calls} with a key that is no literal: what it names is not known"
        read = f"{_counted(self.files, 'file')}, {_counted(len(self.uses), 'key')}"
        yield f"{read}, {len(self.absent)} absent, {len(self.archived)} archived"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            "files": self.files,
            "computed": self.computed,
            "uses": [use.to_dict() for use in self.uses],
            "absent": [use.to_dict() for use in self.absent],
            "archived": [use.to_dict() for use in self.archived],
            "unused": [{"kind": each.kind.value, "key": each.key} for each in self.unused],
            "unreadable": list(self.unreadable),
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def scan(project: Project, paths: Iterable[str | os.PathLike[str]]) -> CodeScan:
    """Find the keys in Python files, and compare them with a document.

    Args:
        project: The document.
        paths: Files and folders; of a folder all files `*.py` below it, but for hidden and installed ones.

    Raises:
        OSError: One of the paths cannot be read; of a file in a folder `unreadable` tells it.
    """
    uses: list[KeyUse] = []
    unreadable: list[str] = []
    files = computed = 0
    given = [Path(each) for each in paths]
    for path in _files(given, unreadable):
        files += 1
        try:
            source = path.read_bytes()
            tree = ast.parse(source, str(path))
        except (
            SyntaxError,
            ValueError,
            RecursionError,
            MemoryError,
        ) as error:  # the last two: nested too deep
            unreadable.append(f"{path}: {error or 'nested too deep'}")
            continue
        except OSError as error:
            if path in given:
                raise
            unreadable.append(f"{path}: {error.strerror}")
            continue
        lines = source.splitlines()
        for found in _named(tree):
            if _IGNORED.search(lines[found.line - 1]):
                continue
            if found.key is None:
                computed += 1
            else:
                uses.append(KeyUse(found.kind, found.key, str(path), found.line))
    absent = [use for use in uses if index_of(project, use.kind).get(use.key) is None]
    known = {kind: [each.key for each in index_of(project, kind)] for kind in _KEYWORDS.values()}
    archived = {each.key for each in project.experiences if each.archived}
    named = {(use.kind, use.key) for use in uses}
    return CodeScan(
        files,
        tuple(uses),
        tuple(absent),
        tuple(use for use in uses if use.kind is Kind.EXPERIENCE and use.key in archived),
        tuple(
            UnusedKey(kind, key)
            for kind, keys in known.items()
            for key in keys
            if key and (kind, key) not in named and not (kind is Kind.EXPERIENCE and key in archived)
        ),
        computed,
        tuple(unreadable),
        {use.key: near(use.key, known[use.kind]) for use in absent},
    )


def _files(paths: Iterable[Path], unreadable: list[str]) -> Iterator[Path]:
    def tell(error: OSError) -> None:
        unreadable.append(f"{error.filename}: {error.strerror}")

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path, onerror=tell):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
            yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


class _NamedKey(NamedTuple):
    kind: Kind
    key: str | None
    line: int


def _named(tree: ast.Module) -> Iterator[_NamedKey]:
    """The keys of the calls in a file: of visitors by name, and of any object where the package is imported."""
    imports = any(_imports(node) for node in ast.walk(tree))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        kind = _VERBS.get(node.func.attr)
        if kind is None or not (imports or _is_visitor(node.func.value)):
            continue
        yield from _arguments(node, kind)


def _arguments(call: ast.Call, kind: Kind) -> Iterator[_NamedKey]:
    # Typed flags take the visitor first: flags.track(visitor, "purchase").
    given = call.args[1:] if call.args and _is_visitor(call.args[0]) else call.args
    if given:
        yield _key(given[0], kind)
        return
    for keyword in call.keywords:
        kind_of_keyword = kind if keyword.arg == "key" else _KEYWORDS.get(keyword.arg or "")
        if kind_of_keyword is not None:
            yield _key(keyword.value, kind_of_keyword)


def _key(node: ast.expr, kind: Kind) -> _NamedKey:
    literal = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
    return _NamedKey(kind, literal, node.lineno)


def _is_visitor(node: ast.expr) -> bool:
    """True for an object that is called a visitor, or that a verb of the package returns."""
    while isinstance(node, (ast.Call, ast.Await)):
        node = node.func if isinstance(node, ast.Call) else node.value
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in _VISITORS or name.endswith("visitor")


def _imports(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] == "convert_sdk" for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "convert_sdk"
