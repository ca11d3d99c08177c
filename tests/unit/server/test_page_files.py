"""The files of the page: plain modules that ask for nothing from anywhere else, and a plot library as it came."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "convert_sdk" / "server" / "page"
VENDOR = PAGE / "vendor" / "uplot"
OURS = sorted(path for path in PAGE.rglob("*.*") if "vendor" not in path.parts)


def test_the_plots_library_is_as_it_was_published() -> None:
    noted = re.findall(r"^([0-9a-f]{64})  (\S+)$", (VENDOR / "SOURCE.txt").read_text("utf-8"), re.MULTILINE)
    assert {name for _, name in noted} == {path.name for path in VENDOR.iterdir()} - {"SOURCE.txt"}
    for checksum, name in noted:
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == checksum, name


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_a_file_names_no_other_server(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+/|url\(", text) == []


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_text_is_put_in_as_text(path: Path) -> None:
    """What a document holds could run in the page otherwise."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|setHTML|srcdoc|javascript:"
    assert re.findall(ways, path.read_text("utf-8")) == []


def test_the_page_has_no_code_and_no_style_in_its_markup() -> None:
    markup = (PAGE / "index.html").read_text("utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", markup) == []


def test_every_import_is_there() -> None:
    for path in OURS:
        if path.suffix == ".js":
            for name in re.findall(r"""from "(\.[^"]+)"|import\("(\.[^"]+)"\)""", path.read_text("utf-8")):
                assert (path.parent / "".join(name)).is_file(), (path.name, name)
    for name in re.findall(r'"/_page/([^"]+)"', (PAGE / "index.html").read_text("utf-8")):
        assert (PAGE / name).is_file(), name
