"""The check of a document: everything that compiling it tells, and what it says in vain, with places."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from convert_sdk._core.codes import Code
from convert_sdk._core.problem import Problem, Report
from convert_sdk.errors import DocumentError
from convert_sdk.project import Project

from .document import DocumentView, document_view
from .findings import CheckReport, Finding, Ignore, ordered
from .lint.conditions import check_conditions
from .lint.contradictions import check_contradictions
from .lint.exclusions import check_exclusions
from .lint.references import check_references
from .lint.traffic import check_traffic
from .lint.words import check_words
from .positions import Positions
from .vocabulary import near

_CHECKS: tuple[Callable[[DocumentView, Report], None], ...] = (
    check_words,
    check_references,
    check_traffic,
    check_conditions,
    check_contradictions,
    check_exclusions,
)
_ENTITY = re.compile(r"\$\.(\w+)\[(\d+)\]")
_BYTE = re.compile(r"at byte (\d+)")


def check(document: Project | bytes | str, *, ignores: Iterable[Ignore] = ()) -> CheckReport:
    """Everything that is wrong or odd in a document, each with its code, place and advice.

    Args:
        document: A project, or the JSON of a document, which need not be one that compiles.
        ignores: What is not to be told.

    Returns:
        The findings, the worst first.

    >>> report = check('{"account_id": "1", "project": {"id": "2"}, "experience": []}')
    >>> print(report.findings[0])
    1:59 warning misspelt-key: the API has no top-level key 'experience': did you mean 'experiences'?
    """
    found = _findings(document)
    listed = tuple(ignores)
    told = [finding for finding in found if not any(each.fits(finding) for each in listed)]
    unused = tuple(each for each in listed if not any(each.fits(finding) for finding in found))
    ignored = [finding for finding in found if finding not in told]
    return CheckReport(ordered(told), ordered(ignored), unused)


def read_ignores(text: str) -> tuple[Ignore, ...]:
    """The ignores of a file: a code and a pattern a line, `#` before a reason.

    Raises ValueError, with the line, for a code that does not exist.

    >>> read_ignores("unused-goal goals/newsletter  # tracked by the shop")
    (Ignore(code='unused-goal', pattern='goals/newsletter'),)
    """
    found: list[Ignore] = []
    codes = [code.value for code in Code]
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0] not in ("*", *codes):
            raise ValueError(f"line {number}: no problem has the code {words[0]!r}{near(words[0], codes)}")
        if len(words) > 2:
            raise ValueError(f"line {number}: expected a code and a pattern, found {len(words)} words")
        found.append(Ignore(*words))
    return tuple(found)


def _findings(document: Project | bytes | str) -> list[Finding]:
    if isinstance(document, Project):
        return _checked(document)
    try:
        project = Project.parse(document)
    except DocumentError as error:
        source = document.encode("utf-8", "surrogatepass") if isinstance(document, str) else document
        return [_refused(error, source)]
    return _checked(project)


def _refused(error: DocumentError, source: bytes) -> Finding:
    """The finding for a document that cannot become a project."""
    message = f"expected {error.expected}, found {error.found}"
    if error.expected.startswith("JSON") or "levels" in error.expected:
        offset = _BYTE.search(error.found)
        before = source[: int(offset[1])] if offset is not None else b""
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", "replace")) + 1
        return Finding(Problem(error.path, message, Code.NOT_JSON), before.count(b"\n") + 1, column, "")
    place = Positions(source).of(error.path)
    return Finding(Problem(error.path, message, Code.NOT_A_PROJECT), place.line, place.column, "")


def _checked(project: Project) -> list[Finding]:
    problems: dict[Problem, None] = dict.fromkeys(project.problems)

    def report(path: str, message: str, code: Code) -> None:
        problems.setdefault(Problem(path, message, code))

    view = document_view(project)
    for each in _CHECKS:
        each(view, report)
    positions = Positions(project.source)
    subjects = {
        (name, path): f"{name}/{item.key or item.id}"
        for name in ("experiences", "audiences", "locations", "segments", "goals", "features")
        for item in view.section(name)
        for path in [item.path]
    }
    found = []
    for problem in problems:
        place = positions.of(problem.path)
        found.append(Finding(problem, *place, _subject(problem.path, subjects)))
    for repeated in positions.repeated:
        problem = Problem(
            repeated.path, f"the key {repeated.key!r} stands here twice", Code.REPEATED_JSON_KEY
        )
        found.append(Finding(problem, *repeated.place, _subject(problem.path, subjects)))
    return found


def _subject(path: str, subjects: dict[tuple[str, str], str]) -> str:
    entity = _ENTITY.match(path)
    return subjects.get((entity[1], entity[0]), "") if entity is not None else ""
