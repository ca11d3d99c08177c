"""The sections of a new document, held against those of the project in use.

Theory of operation
-------------------
A document that compiles may still be a bad one: a section that cannot be read, or that is not there, would end every
experiment without a word. While the project in use has entries in a section, a document that cannot be read there is
refused, and the last good project stays. An empty list is the way to say that nothing is left, and is accepted. A
section that is null or missing means the same to every other SDK, so it cannot be refused for ever: a deleted
experiment would run on. It is refused until two later fetches bring the same, one after the other, and a minute has
passed, or `refresh` seconds where that is less: a refusal is fetched again after a short back-off, and servers that
restart say the same for seconds.
"""

from __future__ import annotations

from convert_sdk._core.model import SECTIONS, CompiledProject, SectionState
from convert_sdk.errors import FetchError

from .poller import ConfigPoller
from .stats import Notice

_CONFIRMATIONS = 2
"""Later fetches that must bring the same before a section that is gone is believed to be."""
_LONGEST_DOUBT = 60.0
"""Seconds after the first of them in which none is believed, whatever their number."""


class SectionGuard:
    """Refuses documents that lose sections, and tells through the poller's notices of one that is accepted."""

    __slots__ = ("_believed_at", "_missing", "_poller", "_refusals")

    def __init__(self, poller: ConfigPoller) -> None:
        self._poller = poller
        self._refusals = 0
        self._believed_at = 0.0
        self._missing: tuple[tuple[str, ...], int] = (), 0
        """The sections that were missing last, and the good fetches until then: another one starts the count anew."""

    def check(self, served: CompiledProject, offered: CompiledProject) -> tuple[str, ...]:
        """The sections that are gone for good.

        Raises FetchError, which names the section, for a document that is refused.
        """
        had = [name for name in SECTIONS if served.has(name)]
        for name in had:
            if offered.sections.get(name) is SectionState.UNREADABLE:
                raise FetchError(f"the section {name} of the document cannot be read", status=200)
        gone = tuple(name for name in had if offered.sections.get(name) is SectionState.ABSENT)
        if gone:
            self._confirm(gone)
        return gone

    def _confirm(self, gone: tuple[str, ...]) -> None:
        names = " and ".join(gone)
        missing = gone, self._poller.fetches
        doubt = min(self._poller.refresh, _LONGEST_DOUBT)
        if missing != self._missing:
            self._refusals = 0
            self._believed_at = self._poller.answered + doubt
        self._missing = missing
        self._refusals += 1
        if self._refusals <= _CONFIRMATIONS or self._poller.answered < self._believed_at:
            terms = f"once {_CONFIRMATIONS} more say the same and {doubt:g} s have passed"
            raise FetchError(f"{names} missing from the document; believed {terms}", status=200)
        text = f"{names} missing from {self._refusals} documents in a row: the entries are gone"
        self._poller.notices.append(Notice("warning", text))
