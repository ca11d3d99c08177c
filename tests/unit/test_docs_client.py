"""The tables of the pages about the client are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert_sdk import AsyncClient, Client
from convert_sdk.options import OPTIONS, OptionArguments, Options

DOCS = Path(__file__).parents[2] / "docs"


def options_table() -> str:
    """The table of options, as docs/client.md has it."""
    rows = ["| Option | Variable | Default | |", "|---|---|---|---|"]
    for name, option in OPTIONS.items():
        variable = f"`{option.variable}`" if option.variable else ""
        rows.append(f"| `{name}` | {variable} | {shown_default(name)} | {option.meaning} |")
    return "\n".join(rows)


def shown_default(name: str) -> str:
    default: object = Options._field_defaults[name]
    if default is None or default == ():
        return ""
    if isinstance(default, (bool, str)):
        return f"`{default!r}`".replace("'", '"')
    return f"{default:,g}" if isinstance(default, float) else f"{default:,}"


def argument_lines() -> list[str]:
    """The options as the docstring of a client has them, one a line."""
    lines = []
    for name, option in OPTIONS.items():
        default = shown_default(name)
        notes = [f"default {default}"] * bool(default) + [f"variable {option.variable}"] * bool(
            option.variable
        )
        lines.append(f"{name}: {option.meaning}" + f" ({', '.join(notes)})" * bool(notes))
    return lines


def test_the_table_of_options_is_the_declarations() -> None:
    assert options_table() in (DOCS / "client.md").read_text("utf-8")


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_a_client_describes_every_option(client: type) -> None:
    """An editor shows it with the class."""
    described = " ".join((client.__doc__ or "").split())
    assert " ".join(argument_lines()) in described


def test_the_keywords_of_a_client_are_the_options() -> None:
    """As text: httpx and the stores are imported for type checkers only."""
    keywords = {name: hint.__forward_arg__ for name, hint in OptionArguments.__annotations__.items()}
    fields = {name: hint.__forward_arg__ for name, hint in Options.__annotations__.items()}
    assert {"sdk_key": fields["sdk_key"], **keywords} == fields


def test_every_segment_value_is_in_the_table() -> None:
    from convert_sdk._core.segments import KNOWN

    page = (DOCS / "segments.md").read_text()
    for name, values in KNOWN.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
        assert [value for value in values if f"`{value}`" not in row] == []
