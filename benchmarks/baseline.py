"""The size of the project and its entanglement: `python -m benchmarks.baseline [PLACE] [--against PLACE] [--json]`.

A place is a folder or a git revision; without one it is this project as it lies here.

Code lines are lines with code on them: no blank ones, comments or docstrings. A function's length is its code
lines, from its first decorator to its end, functions within it included. A cycle is a group of modules each of
which is reached from each other by imports, late ones and those for types included. The ratios are read from
`benchmarks/RESULTS.md`, which `make bench` writes.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import subprocess
import tarfile
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path, PurePath

from tests.imports import cycles, edges

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("convert_sdk", "tests", "benchmarks")
RESULTS = "benchmarks/RESULTS.md"
_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Size:
    """How much there is of something."""

    modules: int
    code_lines: int
    classes: int
    functions: int
    function_p50: int
    function_p90: int
    function_max: int


@dataclass(frozen=True)
class Baseline:
    """One state of the project, in figures."""

    name: str
    sizes: Mapping[str, Size]
    """By folder; a folder directly below the project's with all that is in it."""
    cycles: Sequence[Sequence[str]]
    """Groups of the package's modules."""
    longest: Mapping[str, int]
    """The package's ten longest functions."""
    ratios: Mapping[str, Mapping[str, float]]
    """How many times better than a peer: by line and column of the results."""


@dataclass(frozen=True)
class Module:
    """The figures of one source file."""

    code_lines: int
    classes: int
    functions: Mapping[str, int]


def sources_of(place: str) -> dict[str, str]:
    """The texts of a folder or a git revision by path: Python files, and the results."""
    if Path(place).is_dir():
        root = Path(place)
        paths = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
        paths += [path for path in [root / RESULTS] if path.exists()]
        return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", place]
    archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {
            member.name: content.read().decode("utf-8")
            for member in files
            if _is_source(PurePath(member.name)) and (content := files.extractfile(member)) is not None
        }


def _is_source(path: PurePath) -> bool:
    return path.parts[0] in FOLDERS and (path.suffix == ".py" or path.as_posix() == RESULTS)


def measured(place: str) -> Baseline:
    """The figures of a folder or a git revision."""
    sources = sources_of(place)
    modules = {PurePath(path): module(text) for path, text in sources.items() if path.endswith(".py")}
    folders = {path.parent for path in modules} | {PurePath(name) for name in FOLDERS}
    sizes = {}
    for folder in sorted(folders):
        whole = len(folder.parts) == 1
        here = {path for path in modules if path.parent == folder or (whole and folder in path.parents)}
        sizes[folder.as_posix() + ("/**" if whole else "")] = size(modules[path] for path in here)
    package = {path: each for path, each in modules.items() if path.parts[0] == FOLDERS[0]}
    lengths = {
        f"{path}:{name}": lines for path, each in package.items() for name, lines in each.functions.items()
    }
    longest = sorted(lengths.items(), key=lambda item: (-item[1], item[0]))[:10]
    graph = edges({path: text for path, text in sources.items() if path.endswith(".py")})
    return Baseline(place, sizes, cycles(graph), dict(longest), ratios(sources.get(RESULTS, "")))


def size(modules: Iterable[Module]) -> Size:
    """These modules together."""
    found = [*modules]
    lengths = sorted(lines for each in found for lines in each.functions.values()) or [0]
    return Size(
        len(found),
        sum(each.code_lines for each in found),
        sum(each.classes for each in found),
        sum(len(each.functions) for each in found),
        *(lengths[ceil(share * len(lengths)) - 1] for share in (0.5, 0.9, 1.0)),
    )


def module(text: str) -> Module:
    """The figures of one source text.

    >>> module('"A docstring."\\n\\nx = 1  # one\\n# none\\n@cache\\ndef f():\\n    "Another."\\n    return 1\\n')
    Module(code_lines=4, classes=0, functions={'f (6)': 3})
    """
    tree = ast.parse(text)
    lines = code_lines(text, tree)
    functions = {}
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            own = sum(first <= line <= (node.end_lineno or first) for line in lines)
            functions[f"{node.name} ({node.lineno})"] = own
    return Module(len(lines), sum(isinstance(node, ast.ClassDef) for node in ast.walk(tree)), functions)


def code_lines(text: str, tree: ast.AST) -> set[int]:
    """The numbers of the lines with code; a statement that is nothing but text is a docstring."""
    told = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    coded = {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return coded - told


def ratios(results: str) -> dict[str, dict[str, float]]:
    """The × columns of the results' table, by line and peer.

    >>> ratios("|  | work | ours | Peer 1 | × |\\n|---|---|---|---|---|\\n| W1 | a | 1 µs | 2 µs | 2.0 |")
    {'W1': {'Peer 1': 2.0}}
    """
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in results.splitlines() if line[:1] == "|"
    ]
    if len(rows) < 3:
        return {}
    head = rows[0]
    found = {}
    for row in rows[2:]:
        cells = zip(head, head[1:], row[1:], strict=False)
        found[row[0]] = {
            peer: float(cell.replace(",", "")) for peer, title, cell in cells if title == "×" and cell
        }
    return {line: peers for line, peers in found.items() if peers}


# Text


def table(baselines: Sequence[Baseline]) -> str:
    """The figures for people, side by side where there are two states."""
    blocks = [
        f"{'':<40}" + "".join(f"{each.name[:34]:>36}" for each in baselines),
        "\n".join(_sizes(baselines)),
        "\n".join(_cycles(baselines)),
        "\n".join(_longest(baselines)),
        "\n".join(_ratios(baselines)),
    ]
    return "\n\n".join(block for block in blocks if block)


def _sizes(baselines: Sequence[Baseline]) -> Iterator[str]:
    head = f"{'modules':>8}{'code':>7}{'cls':>5}{'fns':>6} p50/p90/max"
    yield f"{'folder (/** with all below)':<40}" + head * len(baselines)
    names = dict.fromkeys(name for each in baselines for name in each.sizes)
    for name in sorted(names):
        cells = []
        for each in baselines:
            found = each.sizes.get(name)
            cells.append(
                " " * 38
                if found is None
                else f"{found.modules:>8}{found.code_lines:>7}{found.classes:>5}{found.functions:>6}"
                f"{f'{found.function_p50}/{found.function_p90}/{found.function_max}':>12}"
            )
        yield f"{name:<40}" + "".join(cells).rstrip()


def _cycles(baselines: Sequence[Baseline]) -> Iterator[str]:
    for each in baselines:
        count = sum(map(len, each.cycles))
        yield f"cycles of modules, {each.name}: {len(each.cycles)} groups, {count} modules"
        for group in each.cycles:
            yield f"  {len(group):>3}  " + ", ".join(name.removeprefix("convert_sdk.") for name in group)


def _longest(baselines: Sequence[Baseline]) -> Iterator[str]:
    for each in baselines:
        yield f"longest functions, {each.name}"
        yield from (f"  {lines:>3}  {name}" for name, lines in each.longest.items())


def _ratios(baselines: Sequence[Baseline]) -> Iterator[str]:
    peers = dict.fromkeys(peer for each in baselines for line in each.ratios.values() for peer in line)
    for peer in peers:
        yield f"times better than {peer}"
        for line in dict.fromkeys(line for each in baselines for line in each.ratios):
            found = [each.ratios.get(line, {}).get(peer) for each in baselines]
            if any(value is not None for value in found):
                shown = "".join(f"{'' if value is None else f'{value:g}':>12}" for value in found)
                yield f"  {line:<16}{shown}".rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "place", nargs="?", default=str(ROOT), help="a folder or a git revision; this project"
    )
    parser.add_argument("--against", metavar="PLACE", help="another one, to be shown before it")
    parser.add_argument("--json", action="store_true", help="one JSON array")
    chosen = parser.parse_args(arguments)
    places = [place for place in (chosen.against, chosen.place) if place is not None]
    baselines = [measured(place) for place in places]
    if chosen.json:
        print(json.dumps([asdict(each) for each in baselines], indent=1, ensure_ascii=False))
    else:
        print(table(baselines))


if __name__ == "__main__":
    main()
