"""From zero to the first decision: the examples of docs/web.md run, and none of them takes more than six lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

pytest.importorskip("fastapi", reason="needs FastAPI: pip install convert-sdk[fastapi]")
pytest.importorskip("flask", reason="needs Flask: pip install convert-sdk[flask]")
pytest.importorskip("django", reason="needs Django: pip install convert-sdk[django]")

from convert_sdk.testing import experience, project, replaced_everywhere
from tests.contracts.test_web import browser
from tests.web.sites import Visits, asked_by_asgi, asked_by_wsgi

PAGE = Path(__file__).parents[2] / "docs" / "web.md"
SHOP = project(experience("checkout-layout", {"one-page": 100}))
OURS = re.compile(r"convert|visitor", re.IGNORECASE)
"""A line that nobody would write without an experiment names one of these."""


def blocks(heading: str) -> str:
    """The Python of one section of the page."""
    section = (
        PAGE.read_text(encoding="utf-8")
        .split(f"\n## {heading}\n")[1]
        .partition("\n## ")[0]
        .partition("\n### ")[0]
    )
    tokens = MarkdownIt().parse(section)
    return "".join(token.content for token in tokens if token.type == "fence" and token.info == "python")


def lines(source: str) -> int:
    """The lines that are there for the experiment."""
    return sum(bool(OURS.search(line)) for line in source.splitlines())


def stated() -> dict[str, int]:
    """The numbers of lines in the page's table, by the first framework of a row."""
    rows = re.findall(r"^\| \[(\w+)\].*\| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: int(number) for name, number in rows}


def by_asgi(namespace: dict[str, Any], runner: Any) -> Visits:
    return asked_by_asgi(namespace["app"], runner)


def by_wsgi(namespace: dict[str, Any], runner: Any) -> Visits:
    return asked_by_wsgi(namespace.get("app") or namespace["application"])


def by_django(namespace: dict[str, Any], runner: Any) -> Visits:
    from tests.web import django_site  # isort: skip  # it configures Django

    from django.core.wsgi import get_wsgi_application
    from django.test import override_settings
    from django.urls import path

    names = ("INSTALLED_APPS", "MIDDLEWARE", "CONVERT")
    settings = override_settings(
        ROOT_URLCONF=(path("checkout", namespace["checkout"]),), **{name: namespace[name] for name in names}
    )

    def ask(*arguments: Any, **more: Any) -> Any:
        with settings:
            from convert_sdk.integrations.django import get_client
            from convert_sdk.testing import replaced

            with replaced(get_client(), SHOP):
                return asked_by_wsgi(get_wsgi_application())(*arguments, **more)

    assert django_site.MIDDLEWARE in namespace["MIDDLEWARE"]
    return ask


@pytest.mark.parametrize(
    ("heading", "asked"),
    [("FastAPI", by_asgi), ("Flask", by_wsgi), ("Django", by_django), ("WSGI and ASGI", by_wsgi)],
)
def test_an_example_decides_and_takes_no_more_than_six_lines(
    heading: str, asked: Callable[[dict[str, Any], Any], Visits]
) -> None:
    import asyncio

    source = blocks(heading)
    namespace: dict[str, Any] = {"__name__": "example"}
    with replaced_everywhere(SHOP), asyncio.Runner() as runner:
        exec(compile(source, str(PAGE), "exec"), namespace)  # noqa: S102  # our own page
        response = asked(namespace, runner)("/checkout", jar := browser())
    assert "one-page" in response.text
    assert "convert_visitor_id" in jar
    assert lines(source) == stated()[heading.split(maxsplit=1)[0]]
    assert lines(source) <= 6
