"""The tables of the pages about the client are whole."""

from __future__ import annotations

from pathlib import Path

from convert_sdk.options import _VARIABLES, Options

DOCS = Path(__file__).parents[2] / "docs"


def test_every_option_is_in_the_table() -> None:
    page = (DOCS / "client.md").read_text()
    for name in Options._fields:
        assert f"`{name}`" in page
    for name, variable in _VARIABLES.items():
        assert f"| `{name}` | `{variable}` |" in page


def test_every_segment_value_is_in_the_table() -> None:
    from convert_sdk._core.segments import KNOWN

    page = (DOCS / "segments.md").read_text()
    for name, values in KNOWN.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
        assert [value for value in values if f"`{value}`" not in row] == []
