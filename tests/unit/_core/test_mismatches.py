from __future__ import annotations

from convert_sdk._core.mismatches import Mismatch, Mismatches
from tests.documents import LOW, change, experience, feature, offline, variation

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


def test_a_value_that_cannot_be_brought_to_its_type_says_so() -> None:
    unreadable = Mismatch("pricing", "discount", "", "float")
    assert str(unreadable) == (
        "the variable 'discount' of the feature 'pricing' has a value that cannot be brought to its declared type: "
        "the default is used"
    )


def test_a_variable_that_is_missing_is_no_mismatch_and_one_that_cannot_be_read_is() -> None:
    changes = [change("5", rate="nan")]
    shop = offline(
        experience(variations=[variation("1", 100, changes=changes)]),
        features=[feature("5", "pricing", rate="float")],
    )
    pricing = shop.visitor(LOW).feature("pricing")
    assert (pricing.get("nothing", 1.5), shop.status().incidents) == (1.5, {})
    assert (pricing.get("rate", 1.5), shop.status().incidents) == (1.5, {"mismatched": 1})
    assert shop.visitor(LOW).feature("unknown").get("rate", 1.5) == 1.5
