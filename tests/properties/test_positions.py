from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from convert_sdk._config.json import json_path
from convert_sdk.analysis.positions import Positions

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def parts(value: object, steps: tuple[object, ...] = ()) -> list[tuple[str, object]]:
    found = [(json_path(steps), value)]
    if isinstance(value, dict):
        for key, item in value.items():
            found += parts(item, (*steps, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += parts(item, (*steps, index))
    return found


@given(values, st.sampled_from([None, 0, 1, "\t"]), st.booleans(), st.booleans())
def test_at_each_place_stands_the_value(
    value: object, indent: int | str | None, ascii_only: bool, mark: bool
) -> None:
    """The parser itself, started at the place, reads what the path leads to; and no other path is there."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    positions = Positions(b"\xef\xbb\xbf" * mark + text.encode())
    lines = text.split("\n")
    for path, part in parts(value):
        line, column = positions.of(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert json.JSONDecoder().raw_decode(rest)[0] == part
    assert sorted(positions.paths()) == sorted(path for path, _ in parts(value))
    assert positions.repeated == ()
