"""The rows of metadata.feature, none of which a project of Convert passes; and the metadata that there are instead."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.openfeature import scenarios
from tests.openfeature.asking import Question, asked, flags_of, same
from tests.openfeature.flag_set import flag_client

WANTED = {"string": "1.0.2", "integer": 2, "float": 0.1, "boolean": True}
ROWS: Mapping[str, tuple[Question, Mapping[str, object]]] = {
    "metadata/returns metadata/1": (Question("metadata-flag", "Boolean", True), WANTED),
    "metadata/returns no metadata/1": (Question("boolean-flag", "Boolean", True), {}),
    "metadata/returns no metadata/2": (Question("integer-flag", "Integer", 23), {}),
    "metadata/returns no metadata/3": (Question("float-flag", "Float", 2.3), {}),
    "metadata/returns no metadata/4": (Question("string-flag", "String", "value"), {}),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_metadata_are_those_of_the_row(name: str) -> None:
    question, wanted = ROWS[name]
    found = asked(question, client=flags_of(flag_client())).flag_metadata
    has_them = all(key in found and same(found[key], each) for key, each in wanted.items())
    assert (has_them and (bool(wanted) or not found)) is (name not in scenarios.NOT_PASSED)
