"""The subject of an examination: one client, as far as it matters."""

from __future__ import annotations

from os import getpid
from typing import NamedTuple

from convert_sdk.options import Options
from convert_sdk.project import Project
from convert_sdk.status import Status


class Subject(NamedTuple):
    """A client: its options, its key, its status, and whether another process made it."""

    options: Options
    key: str
    project_id: str
    status: Status
    is_inherited: bool = False
    """True in a child process of the one that made the client."""
    timeout: float = 10.0
    """Seconds for each request."""

    def __repr__(self) -> str:
        return f"Subject({self.options!r})"


def subject_of(
    options: Options,
    key: str | None,
    project: Project | None,
    status: Status,
    timeout: float,
    *,
    made_in: int,
) -> Subject:
    """The subject for a client that a process made."""
    project_id = project.id if project is not None else (key or "").rpartition("/")[2]
    return Subject(options, key or "", project_id, status, made_in != getpid(), timeout)
