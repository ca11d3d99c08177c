"""Findings: the problems of a document with their places, and the report that holds them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple

from convert_sdk._core.codes import Code, Severity
from convert_sdk._core.events import to_json
from convert_sdk._core.problem import Problem


class Finding(NamedTuple):
    """A problem, with its place in the text.

    >>> from convert_sdk.analysis import check
    >>> finding = check('{"account_id": "1", "project": {"id": "2"}, "goals": [{"id": 7, "key": "buy"}]}').findings[0]
    >>> print(finding)
    1:55 note unused-goal: no experience names the goal 'buy'
    >>> finding.path, finding.subject
    ('$.goals[0]', 'goals/buy')
    """

    problem: Problem
    line: int
    column: int
    subject: str
    """The entity by its key, such as `experiences/checkout-layout`; "" for the document itself."""

    def __str__(self) -> str:
        return f"{self.line}:{self.column} {self.severity.value} {self.code.value}: {self.problem.message}"

    @property
    def code(self) -> Code:
        """The stable name of what is wrong."""
        return self.problem.code

    @property
    def severity(self) -> Severity:
        """The severity of its code."""
        return self.problem.severity

    @property
    def path(self) -> str:
        """The JSON path."""
        return self.problem.path

    @property
    def message(self) -> str:
        """The words for what is wrong."""
        return self.problem.message

    @property
    def advice(self) -> str:
        """One line of what to do."""
        return self.problem.advice

    @property
    def fingerprint(self) -> str:
        """A name that stays when entities before it come or go."""
        inside = re.sub(r"^\$\.\w+\[\d+\]", "", self.path) if self.subject else self.path
        name = f"{self.code}\0{self.subject}\0{inside}".encode("utf-8", "surrogatepass")
        return sha256(name).hexdigest()[:32]

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            **self.problem.to_dict(),
            "line": self.line,
            "column": self.column,
            "subject": self.subject,
            "fingerprint": self.fingerprint,
        }


class Ignore(NamedTuple):
    """Findings that are not to be told: of one code (`*` for any), where path or subject fit the pattern.

    A `*` in the pattern stands for anything.
    """

    code: str
    pattern: str = "*"

    def fits(self, finding: Finding) -> bool:
        """True if it is about this finding."""
        wanted = ".*".join(map(re.escape, self.pattern.split("*")))
        named = (finding.path, finding.subject)
        return self.code in ("*", finding.code.value) and any(re.fullmatch(wanted, each) for each in named)

    def __str__(self) -> str:
        return f"{self.code} {self.pattern}"


class CheckReport(NamedTuple):
    """Everything that a check found, the worst first. `str()` is for people, `to_json()` for tools.

    >>> from convert_sdk.analysis import check
    >>> report = check(project)
    >>> report.worst().value, report.fails(Severity.ERROR)
    ('note', False)
    """

    findings: tuple[Finding, ...]
    ignored: tuple[Finding, ...] = ()
    """Found, and not told."""
    unused: tuple[Ignore, ...] = ()
    """Ignores that fit nothing."""

    def worst(self) -> Severity | None:
        """The severity of the worst finding; None without one."""
        return self.findings[0].severity if self.findings else None

    def fails(self, severity: Severity) -> bool:
        """True if anything is as bad as `severity`."""
        worst = self.worst()
        return worst is not None and worst.at_least(severity)

    def counts(self) -> dict[Severity, int]:
        """The number of findings of each severity."""
        counted = Counter(finding.severity for finding in self.findings)
        return {severity: counted[severity] for severity in Severity}

    def of(self, subject: str) -> tuple[Finding, ...]:
        """The findings of one entity, such as `experiences/checkout-layout`."""
        return tuple(finding for finding in self.findings if finding.subject == subject)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for finding in self.findings:
            about = f" ({finding.subject})" if finding.subject else ""
            yield f"{finding.line}:{finding.column}: {finding.severity.value}: {finding.message} [{finding.code.value}]"
            yield f"    {finding.path}{about}"
            yield f"    {finding.advice}"
        told = ", ".join(_counted(severity.value, count) for severity, count in self.counts().items())
        yield f"{told}{f', {len(self.ignored)} ignored' if self.ignored else ''}"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            "counts": {severity.value: count for severity, count in self.counts().items()},
            "findings": [finding.to_dict() for finding in self.findings],
            "ignored": [finding.to_dict() for finding in self.ignored],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())


def _counted(name: str, count: int) -> str:
    return f"{count or 'no'} {name}{'' if count == 1 else 's'}"


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The worst first, and of one severity in the order of the text."""
    order = list(Severity)
    return tuple(
        sorted(findings, key=lambda each: (order.index(each.severity), each.line, each.column, each.code))
    )
