"""A real browser for tests: Debian's Chromium, driven as a person uses it, by what is written on the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE, eventually

NARROW = (420, 900)
WIDE = (1280, 800)


class Tab:
    """One tab with the page of a server, and everything that the browser complained of in it."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.set_default_timeout(1000 * PATIENCE)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._watch)

    def open(self, route: str = "") -> None:
        """Open the page at a route, such as `#/visitor`; where it is open already, follow a link there."""
        if self.page.url.startswith(self.url):
            self.page.evaluate("route => { location.hash = route }", route)
        else:
            self.page.goto(f"{self.url}/{route}")

    def click(self, role: str, name: str, *, within: str = "body") -> None:
        """Click what has this role and exactly this name."""
        self.page.locator(within).get_by_role(role, name=name, exact=True).first.click()

    def write(self, label: str, text: str) -> None:
        """Put a text into the field with this label, in place of what it holds."""
        self.page.get_by_label(label, exact=True).first.fill(text)

    def choose(self, label: str, option: str) -> None:
        """Choose what a list with this label offers."""
        self.page.get_by_label(label, exact=True).first.select_option(option)

    def sees(self, text: str, *, within: str = "body") -> None:
        """Wait until a text is shown."""
        found = self.page.locator(within).get_by_text(text).locator("visible=true").first
        try:
            found.wait_for()
        except Exception as error:
            shown = self.page.locator("body").inner_text()
            raise AssertionError(
                f"{text!r} is not shown; the page:\n{shown[:4000]}\n{self.complaints}"
            ) from error

    def waits(self, condition: str) -> None:
        """Wait until an expression of JavaScript holds."""
        eventually(
            lambda: self.run(condition)
        )  # the driver's own way to wait is code from text, which the page forbids

    def reads(self, css: str) -> list[str]:
        """The texts of what a selector finds."""
        found: list[str] = self.page.locator(css).all_inner_texts()
        return found

    def value(self, label: str) -> str:
        """The text in a field."""
        found: str = self.page.get_by_label(label, exact=True).first.input_value()
        return found

    def press(self, key: str) -> None:
        """Press a key, such as `ArrowDown`, where the focus is."""
        self.page.keyboard.press(key)

    def focused(self) -> str:
        """The text of what has the focus."""
        return str(self.run("document.activeElement.innerText"))

    def run(self, code: str) -> Any:
        """The value of an expression of JavaScript."""
        return self.page.evaluate(code)

    def violations(self) -> list[str]:
        """What axe finds serious or critical: its rule, and the elements."""
        axe = pytest.importorskip(
            "axe_playwright_python.sync_playwright", reason="axe is not installed (group servers)"
        )
        found = axe.Axe().run(self.page).response["violations"]
        return [
            f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]

    def picture(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        self.page.screenshot(path=path)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({json.dumps(message.location)})")

    def _watch(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)


class Browser:
    """A running Chromium."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium

    @contextmanager
    def tab(self, url: str, size: tuple[int, int] = WIDE, *, dark: bool = False) -> Iterator[Tab]:
        """A tab of a profile of its own; nothing in it may complain, and nothing be asked of another server."""
        profile = self._chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
            permissions=["clipboard-read", "clipboard-write"],
        )
        try:
            tab = Tab(profile.new_page(), url)
            yield tab
            assert not tab.complaints, tab.complaints
            assert not tab.foreign, tab.foreign
        finally:
            profile.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; the test is skipped where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (group servers)"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: chromium)")
    with playwright.sync_playwright() as driver:
        # Its sandbox wants another user than root, and it opens nothing here but pages of the test's own.
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield Browser(started)
        finally:
            started.close()
