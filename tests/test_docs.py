"""Every Python block of the README and of `docs/` runs: the blocks of one page in order, in one namespace.

A `text` block right after one is what it prints. `python notest` marks a block that is only for show.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
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

from tests.waiting import patient_clients

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {
    "",
    "console",
    "html",
    "ini",
    "js",
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
    if page.stem == "command-line":  # its doctor finds no server, whatever other tests have imported
        for name in ("gunicorn", "uwsgi", "celery", "rq"):
            monkeypatch.delitem(sys.modules, name, raising=False)
    namespace: dict[str, object] = {"__name__": page.stem}
    with patient_clients(), asyncio.Runner() as runner:
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


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The pages of ours that a page leads to, each with its anchor or an empty text."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
        yield (page.parent / name).resolve() if name else page, anchor


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target.name
        assert not anchor or anchor in anchors(target), f"{target.name}#{anchor}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page in PAGES:
            seen.add(page)
            waiting += [target for target, _ in links(page)]
    assert {*PAGES} <= seen


def test_the_runner_finds_them() -> None:
    assert all(any(block.source for block in blocks(ROOT / page)) for page in ("README.md", "docs/stores.md"))
