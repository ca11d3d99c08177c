from __future__ import annotations

import json
from html.parser import HTMLParser

from convert_sdk import Client, Project
from convert_sdk.analysis import (
    counterfactual,
    describe,
    description_html,
    explanation_html,
    find,
    trace_html,
)
from tests.documents import document, entity, every, experience, leaf, variation

EVIL = '<script>alert("x")</script>'


class Tags(HTMLParser):
    """The tags of a page, its attributes and its text; every one that is opened is closed, where it must be."""

    OPEN = ("br", "th", "td", "tr", "thead", "tbody", "li", "meta")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, value in attrs if name in ("src", "href") or name.startswith("on")]
        if tag not in self.OPEN:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.OPEN:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def shop() -> Project:
    raw = document(
        experience("100", EVIL, audiences=["51"], variations=[variation("1", key=EVIL), variation("2")]),
        audiences=[entity("51", EVIL, every(leaf(EVIL, EVIL)), name=EVIL)],
    )
    return Project.parse(json.dumps(raw))


def test_a_decision_is_one_page_that_runs_nothing() -> None:
    with Client.offline(shop()) as client:
        visitor = client.visitor(EVIL, {EVIL: EVIL + "!"})
        page = explanation_html(visitor.explain(EVIL), counterfactual(visitor, EVIL))
    found = Tags(page)
    assert "script" not in found.tags
    assert "<script>" not in page.lower()
    assert {"h1", "table", "style"} <= set(found.tags)
    assert "the smallest change that lets the visitor take part" in found.text
    assert "bucket value" in found.text
    assert EVIL in found.text


def test_an_audience_and_its_words() -> None:
    project = shop()
    audience = find(project, "51")
    described = describe(project, audience)
    trace = project.audiences.of_id("51")
    assert trace is not None
    found = Tags(trace_html(trace.explain({EVIL: 1}), described))
    assert "Conditions" in found.text
    assert "script" not in Tags(description_html(described)).tags
