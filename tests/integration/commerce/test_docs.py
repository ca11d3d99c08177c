"""Every example on the page runs."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.shapes import present

from .openapi import FIXTURES

PAGE = FIXTURES.parents[1] / "docs" / "commerce.md"
BLOCKS = [
    each for each in MarkdownIt().parse(PAGE.read_text()) if each.type == "fence" and each.info == "python"
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda each: f"line {each.map[0] + 1}")
def test_example(block: Token, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block.content, f"{PAGE.name}:{present(block.map)[0] + 1}", "exec"), {})  # noqa: S102 - our own page
    assert "Traceback" not in capsys.readouterr().out


def test_the_page_warns_of_what_it_must() -> None:
    page = " ".join(PAGE.read_text().replace(">", " ").split())
    for warning in (
        "`status=COMPLETED` mails buyers",
        "without a password gets a mail",
        "cannot clear a field",
    ):
        assert warning in page
