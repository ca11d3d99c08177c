"""Problems of a document, named by their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Problem(NamedTuple):
    """Something wrong in a document: `path` is where (`$.experiences[3].key`), `message` what and what to do.

    >>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}, "goals": [5]}')
    >>> for problem in project.problems:
    ...     print(f"{problem.path}: {problem.message}")
    $.goals[0]: expected an object, found a number; it is left out
    """

    path: str
    message: str


Report = Callable[[str, str], None]
"""Takes the path and the message of one problem."""


def ignore(path: str, message: str) -> None:
    """A `Report` for callers that only want the answer."""
