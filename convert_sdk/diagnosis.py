"""The diagnosis of a client: what was examined, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from ._core.events import to_json


class Health(StrEnum):
    """The health of one thing.

    >>> Health("failed").value
    'failed'
    """

    OK = "ok"
    WARNING = "warning"
    """It works, and may not where it matters."""
    FAILED = "failed"
    """It does not work."""
    SKIPPED = "skipped"
    """It does not apply here."""


class Examined(NamedTuple):
    """One thing that was examined.

    >>> print(Examined("store", Health.WARNING, "none", "Give one that all processes share."))
    warning  store                 none
                                   Give one that all processes share.
    """

    name: str
    verdict: Health
    found: str
    advice: str = ""
    """The thing to do; "" where there is none."""

    def __str__(self) -> str:
        first = f"{self.verdict.value:<8} {self.name:<21} {self.found}"
        return f"{first}\n{'':<31}{self.advice}" if self.advice else first


class Diagnosis(NamedTuple):
    """Everything that was examined. `str()` is for people, `to_json()` for tools; it shows no key, secret or visitor.

    >>> diagnosis = client.doctor()
    >>> diagnosis.healthy, diagnosis.of("config endpoint").verdict.value
    (True, 'skipped')
    """

    examined: tuple[Examined, ...]

    @property
    def healthy(self) -> bool:
        """True if nothing failed."""
        return not any(each.verdict is Health.FAILED for each in self.examined)

    def of(self, name: str) -> Examined:
        """The one of this name.

        Raises:
            KeyError: Nothing of this name was examined.
        """
        for each in self.examined:
            if each.name == name:
                return each
        raise KeyError(name)

    def having(self, verdict: Health) -> tuple[Examined, ...]:
        """Those with this verdict."""
        return tuple(each for each in self.examined if each.verdict is verdict)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from map(str, self.examined)
        failed, warned = len(self.having(Health.FAILED)), len(self.having(Health.WARNING))
        yield f"{failed or 'nothing'} failed, {warned or 'no'} warning{'' if warned == 1 else 's'}"

    def to_dict(self) -> dict[str, object]:
        """The same as values of JSON."""
        return {
            "healthy": self.healthy,
            "examined": [{**each._asdict(), "verdict": each.verdict.value} for each in self.examined],
        }

    def to_json(self) -> str:
        """The same as JSON text."""
        return to_json(self.to_dict())
