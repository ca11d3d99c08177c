"""Patterns of a document: JavaScript's dialect, a bounded subject and a bounded time."""

from __future__ import annotations

from time import thread_time
from typing import Final

from .characters import fold
from .translate import SUBJECT_LIMIT, DangerousPattern, InvalidPattern, UnusablePattern, translate

__all__ = ["DangerousPattern", "InvalidPattern", "JsRegex", "UnusablePattern", "compile_pattern"]

TIME_LIMIT: Final = 0.005
"""Seconds that one search may take."""
_TRIES: Final = 8


class JsRegex:
    """A compiled pattern. `timeouts` counts the searches that were given up."""

    __slots__ = ("_quiet_length", "_search", "source", "timeouts")

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

    def search(self, text: str) -> bool:
        """True if the pattern is found anywhere in the lower-cased text; False where time ran out."""
        subject = fold(text[:SUBJECT_LIMIT].lower())
        if len(subject) <= self._quiet_length:
            return self._search(subject, concurrent=False) is not None
        try:
            return self._search(subject, timeout=TIME_LIMIT, concurrent=False) is not None
        except TimeoutError:
            return self._search_again(subject)

    def _search_again(self, subject: str) -> bool:
        """Search again: other threads may have used up the time, and only this thread's own time counts."""
        spent = thread_time()
        for _ in range(_TRIES):
            try:
                return self._search(subject, timeout=TIME_LIMIT, concurrent=False) is not None
            except TimeoutError:
                if thread_time() - spent > TIME_LIMIT / 2:
                    break
        self.timeouts += 1
        return False


def compile_pattern(source: str) -> JsRegex:
    """Compile one pattern.

    Raises InvalidPattern where JavaScript would, DangerousPattern where it could cost too much.
    """
    return JsRegex(source)
