"""What a program says after all that others do at its end: it is imported before them."""

from __future__ import annotations

import atexit
from collections.abc import Callable

_words: list[Callable[[], object]] = []


def say_last(words: Callable[[], object]) -> None:
    """Call this at the end of the interpreter, when whoever registered later has been called."""
    _words.append(words)


def _speak() -> None:
    for words in _words:
        words()


atexit.register(_speak)
