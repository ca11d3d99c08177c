"""Problems of a document, named by their place."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .codes import Code, Severity


class Problem(NamedTuple):
    """Something wrong in a document: `path` is where (`$.experiences[3].key`), `message` what, `code` its stable name.

    >>> project = Project.parse(b'{"account_id": "1", "project": {"id": "2"}, "goals": [5]}')
    >>> for problem in project.problems:
    ...     print(f"{problem.path}: {problem.message} [{problem.code}]")
    $.goals[0]: expected an object, found a number; it is left out [wrong-type]
    """

    path: str
    message: str
    code: Code

    @property
    def severity(self) -> Severity:
        """The severity of its code: `error`, `warning` or `note`.

        >>> problem = Project.parse(b'{"account_id": "1", "project": {"id": "2"}, "goals": [5]}').problems[0]
        >>> problem.severity.value
        'error'
        """
        return self.code.severity

    @property
    def advice(self) -> str:
        """One line of what to do.

        >>> problem = Project.parse(b'{"account_id": "1", "project": {"id": "2"}, "goals": [5]}').problems[0]
        >>> problem.advice
        'Give the value its type; as it stands it is left out.'
        """
        return self.code.advice

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON.

        >>> problem = Project.parse(b'{"account_id": "1", "project": {"id": "2"}, "goals": [5]}').problems[0]
        >>> problem.to_dict()["path"]
        '$.goals[0]'
        """
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "path": self.path,
            "message": self.message,
            "advice": self.advice,
        }


Report = Callable[[str, str, Code], None]
"""Takes the path, the message and the code of one problem."""


def ignore(path: str, message: str, code: Code) -> None:
    """A `Report` for callers that only want the answer."""
