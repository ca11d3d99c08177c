"""Patterns of a document: JavaScript's dialect, a bounded subject and a bounded time."""

from __future__ import annotations

from time import thread_time
from typing import Final

from .budget import LIMIT, Outcome, current, has_timed_out, remember_time_out
from .characters import fold
from .translate import SUBJECT_LIMIT, DangerousPattern, InvalidPattern, UnusablePattern, translate

__all__ = ["DangerousPattern", "InvalidPattern", "JsRegex", "UnusablePattern", "compile_pattern"]

TIME_LIMIT: Final = 0.005
"""Seconds that one search may take."""
_TRIES: Final = 8


class JsRegex:
    """A compiled pattern. `timeouts` counts the searches that were given up."""

    __slots__ = ("_quiet_length", "_search", "source", "timed", "timeouts")

    def __init__(self, source: str) -> None:
        import regex

        try:
            translated = translate(source)
            compiled = regex.compile(translated.text, regex.V0 | regex.ASCII, cache_pattern=False)
        except (regex.error, RecursionError) as error:
            raise DangerousPattern(f"pattern is beyond the engine: {error}") from error
        self.source = source
        self.timeouts = 0
        self._search = compiled.search
        self._quiet_length = translated.untimed_length
        self.timed = translated.untimed_length < SUBJECT_LIMIT
        """True if there are texts for which the cost of a search has no bound."""

    def search(self, text: str) -> bool:
        """True if the pattern is found anywhere in the lower-cased text; False where time ran out."""
        subject = fold(text[:SUBJECT_LIMIT].lower())
        if len(subject) <= self._quiet_length:
            return self._search(subject, concurrent=False) is not None
        return self._outcome(subject) is Outcome.FOUND

    def _outcome(self, subject: str) -> Outcome:
        """The outcome of a search without a bound, charged to the call that it is part of."""
        call = current()
        outcome = None if call is None else call.outcomes.get((self.source, subject))
        if outcome is None:
            if has_timed_out(self.source, subject):
                outcome = Outcome.TIMED_OUT
            elif call is not None and call.spent >= LIMIT:
                outcome = Outcome.NOT_SEARCHED
            else:
                started = thread_time()
                outcome = self._timed_search(subject)
                if call is not None:
                    call.spent += thread_time() - started
        if call is not None:
            call.outcomes[self.source, subject] = call.last = outcome
        return outcome

    def _timed_search(self, subject: str) -> Outcome:
        """Search within the limit: others may have used up the time, and only this thread's own time counts."""
        spent = thread_time()
        for _ in range(_TRIES):
            try:
                found = self._search(subject, timeout=TIME_LIMIT, concurrent=False)
            except TimeoutError:
                if thread_time() - spent > TIME_LIMIT / 2:
                    break
            else:
                return Outcome.ABSENT if found is None else Outcome.FOUND
        self.timeouts += 1
        remember_time_out(self.source, subject)
        return Outcome.TIMED_OUT


def compile_pattern(source: str) -> JsRegex:
    """Compile one pattern.

    Raises InvalidPattern where JavaScript would, DangerousPattern where it could cost too much.
    """
    return JsRegex(source)
