"""Every listed row has a test, and as many pass as are said to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from tests.openfeature import (
    scenarios,
    test_context_merging,
    test_evaluation,
    test_evaluation_v2,
    test_hooks,
    test_metadata,
)

TESTED: dict[str, Iterable[str]] = {
    "evaluation_v2": (
        *test_evaluation_v2.ROWS,
        *test_evaluation_v2.STATES,
        *test_evaluation_v2.PARTICULAR,
    ),
    "evaluation": test_evaluation.ROWS,
    "contextMerging": test_context_merging.ROWS,
    "hooks": test_hooks.ROWS,
    "metadata": test_metadata.ROWS,
}


@pytest.mark.parametrize("file", scenarios.LISTED)
def test_every_listed_row_has_a_test(file: str) -> None:
    assert sorted(TESTED[file]) == sorted(scenarios.ids(file))


def test_the_files_have_as_many_rows_as_the_specification() -> None:
    rows = {file: sum(listed.values()) for file, listed in scenarios.LISTED.items()}
    assert rows == {"evaluation_v2": 82, "evaluation": 13, "contextMerging": 29, "hooks": 3, "metadata": 5}


def test_as_many_pass_as_are_said_to() -> None:
    """The tests of rows that are not to pass fail once they do."""
    missed = Counter(name.split("/")[0] for name in scenarios.NOT_PASSED)
    assert all(name in scenarios.ids(name.split("/")[0]) for name in scenarios.NOT_PASSED)
    assert {file: len(scenarios.ids(file)) - missed[file] for file in scenarios.LISTED} == scenarios.PASSED
