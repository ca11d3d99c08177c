from __future__ import annotations

from convert_sdk._core.mismatches import Mismatch, Mismatches

MISMATCH = Mismatch("pricing", "discount", "float", "str")


class Log:
    def __init__(self) -> None:
        self.heard: list[Mismatch] = []

    def note(self, mismatch: Mismatch) -> None:
        self.heard.append(mismatch)


def test_a_listener_that_is_gone_hears_of_none() -> None:
    mismatches, gone, living = Mismatches(), Log(), Log()
    mismatches.listen(gone.note)
    mismatches.listen(living.note)
    del gone
    mismatches.report(MISMATCH)
    assert living.heard == [MISMATCH]


def test_the_same_listener_hears_once() -> None:
    mismatches, log = Mismatches(), Log()
    mismatches.listen(log.note)
    mismatches.listen(log.note)
    mismatches.report(MISMATCH)
    assert log.heard == [MISMATCH]
