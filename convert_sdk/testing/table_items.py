"""Tables as pytest collects them: a file of rows, and each row a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convert_sdk.errors import ConvertError
from convert_sdk.project import Project

from .coverage.plugin import COLLECTOR
from .table_rows import Row, RowResult, run_row
from .tables import check_header, load_table

_projects = pytest.StashKey[dict[Path, Project]]()


class TableFile(pytest.File):
    """A table; what cannot be read of it fails as a whole, with the line."""

    def __init__(self, *, document_path: Callable[[pytest.Config], Path | None], **given: Any) -> None:
        super().__init__(**given)
        self.document_path = document_path
        """The project of tables that name none."""

    def collect(self) -> Iterator[TableItem]:
        """A test for each row."""
        try:
            table = load_table(self.path)
            document = table.project or self.document_path(self.config)
            if document is None:
                raise self.CollectError(
                    f"{self.path.name}: no project to test: write project: beside rows:, or convert_config in the "
                    "configuration of pytest, or --convert-config"
                )
            project = self._project(document)
            check_header(table, project)
        except (ConvertError, OSError, ModuleNotFoundError) as error:
            raise self.CollectError(str(error)) from None
        names = [row.name for row in table.rows]
        for row, name in zip(table.rows, names, strict=True):
            unique = name if names.count(name) == 1 else f"{name} ({row.number})"
            yield TableItem.from_parent(self, name=unique, row=row, project=project)

    def _project(self, document: Path) -> Project:
        """The project of a document, compiled once, and covered where rule coverage is measured."""
        known = self.config.stash.setdefault(_projects, {})
        if document not in known:
            known[document] = Project.load(document)
            if COLLECTOR in self.config.stash:
                self.config.stash[COLLECTOR].cover(known[document])
        return known[document]


class RowFailedError(Exception):
    """A row in which something is not as expected."""

    def __init__(self, result: RowResult) -> None:
        super().__init__(str(result))
        self.result = result


class TableItem(pytest.Item):
    """One row of a table."""

    def __init__(self, *, row: Row, project: Project, **given: Any) -> None:
        super().__init__(**given)
        self.row = row
        self.project = project

    def runtest(self) -> None:
        """Ask everything that the row expects. Raises RowFailedError where something is not as expected."""
        result = run_row(self.row, self.project)
        if not result.passed:
            raise RowFailedError(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """The failures and their reasons, without the way through our code."""
        if not isinstance(excinfo.value, RowFailedError):
            return str(super().repr_failure(excinfo, style))
        place = self.path.name if self.row.line is None else f"{self.path.name}:{self.row.line}"
        return "\n".join([*map(str, excinfo.value.result.failures), place])

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The line of the row."""
        return self.path, None if self.row.line is None else self.row.line - 1, self.name
