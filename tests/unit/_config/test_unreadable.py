"""An experience that names something which cannot be read: nobody is let in."""

from __future__ import annotations

from typing import Any

import pytest

from convert_sdk import Reason
from tests.documents import entity, every, experience, leaf, offline

PRO = entity("51", "pro", every(leaf("plan", "pro")))
DAMAGED: list[Any] = [
    "x",
    5,
    {},
    {"0": PRO},
    [5],
    [None],
    ["51"],
    [{**PRO, "id": ["51"]}],
    [{**PRO, "id": None}],
]


@pytest.mark.parametrize("section", DAMAGED, ids=str)
@pytest.mark.parametrize("options", [{}, {"audiences": "all"}])
def test_an_audience(section: Any, options: dict[str, Any]) -> None:
    each = experience(audiences=["51"], settings={"matching_options": options})
    client = offline(each, audiences=section)
    visitor = client.visitor("v", {"plan": "pro"})
    assert visitor.decide("checkout").reason is Reason.AUDIENCE
    assert "cannot be read in the document, and takes nobody" in str(visitor.explain("checkout"))
    assert client.project is not None
    told = {problem.path: problem.message for problem in client.project.problems}
    assert told["$.experiences[0].audiences"] == (
        "no entry of audiences that can be read has the id '51'; nobody is let in by it"
    )


@pytest.mark.parametrize("section", DAMAGED, ids=str)
def test_a_location(section: Any) -> None:
    visitor = offline(experience(locations=["51"]), locations=section).visitor("v", location={"plan": "pro"})
    assert visitor.decide("checkout").reason is Reason.LOCATION


@pytest.mark.parametrize("section", DAMAGED, ids=str)
def test_a_segment(section: Any) -> None:
    client = offline(experience(audiences=["51"]), segments=section)
    assert client.visitor("v").decide("checkout").reason is Reason.SEGMENT
    was_in = client.visitor("w")
    was_in.set_segments({"customSegments": ["51"]})  # as an earlier document had put them
    assert was_in.decide("checkout")


def test_what_can_be_read_beside_it_counts() -> None:
    client = offline(experience(audiences=["51", "52"]), audiences=[PRO, 5])
    assert client.visitor("v", {"plan": "pro"}).decide("checkout")
    assert client.visitor("w", {"plan": "free"}).decide("checkout").reason is Reason.AUDIENCE


@pytest.mark.parametrize(
    "sections", [{}, {"audiences": None, "segments": []}, {"audiences": [PRO], "segments": None}]
)
def test_an_id_that_no_entry_has_restricts_nobody_as_in_the_reference(sections: Any) -> None:
    assert offline(experience(audiences=["59"]), **sections).visitor("v").decide("checkout")
