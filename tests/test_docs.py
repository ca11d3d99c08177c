"""Every Python block of the README and of `docs/` runs: the blocks of one page in order, in one namespace.

A `text` block right after one is what it prints. `python notest` marks a block that is only for show.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {
    "",
    "console",
    "ini",
    "json",
    "mermaid",
    "python",
    "python notest",
    "sh",
    "sql",
    "text",
    "toml",
    "yaml",
}


class Block(NamedTuple):
    """One block of Python, and what it is said to print."""

    line: int
    source: str
    printed: str | None


def fences(page: Path) -> list[Token]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [token for token in tokens if token.type in ("fence", "paragraph_open")]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are to run."""
    end = Token("paragraph_open", "", 0)
    for token, following in pairwise([*fences(page), end]):
        if token.type == "fence" and token.info.strip() == "python" and token.map:
            says = following.type == "fence" and following.info.strip() == "text"
            yield Block(token.map[0] + 1, token.content, following.content if says else None)


def compiled(block: Block, page: Path) -> CodeType:
    tree = ast.parse(block.source, str(page))
    ast.increment_lineno(tree, block.line)
    code: CodeType = compile(tree, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": page.stem}
    with asyncio.Runner() as runner:
        for block in blocks(page):
            code = compiled(block, page)
            with redirect_stdout(StringIO()) as printed:
                if code.co_flags & inspect.CO_COROUTINE:
                    runner.run(FunctionType(code, namespace)())
                else:
                    exec(code, namespace)  # noqa: S102  # our own pages
            if block.printed is not None:
                assert printed.getvalue() == block.printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A block of an unknown kind, a slip in `python` above all, would never run."""
    assert {token.info.strip() for token in fences(page) if token.type == "fence"} <= LANGUAGES


def test_the_blocks_for_show_are_few() -> None:
    shown = [page.name for page in PAGES for token in fences(page) if token.info.strip() == "python notest"]
    assert len(shown) <= 1 + len(PAGES) // 4


def test_the_runner_finds_them() -> None:
    assert all(any(block.source for block in blocks(ROOT / page)) for page in ("README.md", "docs/stores.md"))
