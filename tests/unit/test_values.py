"""Public values leave the process: as JSON, as a pickle, as a copy."""

from __future__ import annotations

import ast
import json
import pickle
from copy import copy, deepcopy
from pathlib import Path

import pytest

import convert_sdk
from convert_sdk import (
    AsyncClient,
    Client,
    ConversionReason,
    Counts,
    Decision,
    Explanation,
    FlushReport,
    Reason,
    ResolvedFeature,
    Status,
)
from tests.documents import (
    LOW,
    Sink,
    change,
    entity,
    every,
    experience,
    feature,
    leaf,
    project,
    variation,
)

PRICING = change("5", discount="0.1", sizes='{"all": [1, 2]}')
PROJECT = project(
    experience(variations=[variation("1", changes=[PRICING]), variation("2")]),
    experience("200", "banner", audiences=["51"]),
    audiences=[entity("51", "pro", every(leaf("plan", "pro")))],
    features=[feature("5", "pricing", discount="float", sizes="json"), feature("6", "other")],
    goals=[entity("91", "buy")],
)
CLIENT = Client.offline(PROJECT, Sink())
VISITOR = CLIENT.visitor(LOW, {"plan": "free"})
VALUES: list[Decision | ResolvedFeature | Explanation | Status | FlushReport | Counts | object] = [
    VISITOR.peek("checkout"),
    VISITOR.decide("checkout"),
    VISITOR.decide("banner"),
    VISITOR.peek("nothing"),
    VISITOR.feature("pricing"),
    VISITOR.feature("other"),
    VISITOR.feature("nothing"),
    VISITOR.explain("checkout"),
    VISITOR.explain("banner"),
    VISITOR.explain("nothing"),
    CLIENT.status(),
    Status(None),
    Client("1/2").status(),
    VISITOR.track("buy", revenue=5),
    VISITOR.track("nothing"),
    CLIENT.flush(),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_equal_and_as_true(value: object, protocol: int) -> None:
    restored = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301  # made right here
    assert restored == value
    assert value == restored
    assert not (restored != value)  # noqa: SIM202  # a tuple has an operator of its own for this
    assert bool(restored) is bool(value)
    assert restored.to_dict() == value.to_dict()  # type: ignore[attr-defined]  # each has it
    if not isinstance(value, Status):  # whose mappings are dicts then
        assert repr(restored) == repr(value)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("copied", [copy, deepcopy])
def test_a_copy_is_equal(value: object, copied: object) -> None:
    assert callable(copied)
    assert copied(value) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_json_is_the_dict(value: object) -> None:
    assert json.loads(value.to_json()) == value.to_dict()  # type: ignore[attr-defined]  # each has it


def test_a_pickled_decision_has_everything_but_the_models() -> None:
    decision = CLIENT.visitor("v-3").peek("checkout")
    restored: Decision = pickle.loads(pickle.dumps(decision))  # noqa: S301  # made right here
    assert restored
    assert (restored.key, restored.reason) == ("checkout", Reason.BUCKETED)
    assert restored.reason is Reason.BUCKETED
    assert restored.to_dict() == decision.to_dict()
    assert (restored.experience_id, restored.variation_id) == ("100", decision.variation_id)
    assert (restored.bucket_value, restored.hashed) == (decision.bucket_value, decision.hashed)
    assert restored.hashed is not None
    assert (restored.experience, restored.variation, restored.features) == (None, None, ())
    assert hash(restored) == hash(decision)
    assert {decision: 1}[restored] == 1
    again: Decision = pickle.loads(pickle.dumps(restored))  # noqa: S301  # made right here
    assert again == decision
    assert decision != VISITOR.decide("checkout")  # that one is sticky


def test_a_copied_decision_keeps_its_models() -> None:
    decision = VISITOR.peek("checkout")
    assert deepcopy(decision).variation is decision.variation


def test_a_pickled_feature_has_its_variables() -> None:
    restored: ResolvedFeature = pickle.loads(pickle.dumps(VISITOR.feature("pricing")))  # noqa: S301  # made right here
    assert restored.enabled
    assert (restored.get("discount", 0.0), restored.get("sizes")) == (0.1, {"all": [1, 2]})
    assert restored.get("discount", "none") == "none"
    assert hash(restored) == hash(VISITOR.feature("pricing"))
    assert restored != VISITOR.feature("other")


def test_decisions_and_features_as_dicts() -> None:
    decision = {
        "key": "checkout",
        "reason": "sticky",
        "experience_id": "100",
        "variation_id": "1",
        "variation_key": "arm-1",
        "bucket_value": None,
    }
    assert VISITOR.decide("checkout").to_dict() == decision
    assert VISITOR.feature("pricing").to_dict() == {
        "id": "5",
        "key": "pricing",
        "name": "Pricing",
        "enabled": True,
        "variables": {"discount": 0.1, "sizes": {"all": [1, 2]}},
        "raw": {"discount": "0.1", "sizes": '{"all": [1, 2]}'},
        "decision": decision,
    }
    result = VISITOR.track("nothing")
    assert result.to_dict() == {"reason": "unknown_goal", "uuid": None, "events": 0}
    assert result.reason is ConversionReason.UNKNOWN_GOAL


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (CLIENT, "make one in each process"),
        (Client("1/2"), "make one in each process"),
        (AsyncClient("1/2"), "make one in each process"),
        (VISITOR, "keep the id and the attributes"),
        (PROJECT, "keep the bytes in `source`"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("way", [pickle.dumps, copy, deepcopy])
def test_what_lives_in_a_process_says_what_to_do_instead(thing: object, advice: str, way: object) -> None:
    assert callable(way)
    with pytest.raises(TypeError, match=advice):
        way(thing)


def test_a_repr_of_what_is_half_made() -> None:
    assert repr(Client.__new__(Client)) == "Client()"
    assert repr(AsyncClient.__new__(AsyncClient)) == "AsyncClient()"


def test_nothing_here_is_ever_unpickled() -> None:
    package = Path(convert_sdk.__file__).parent
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            )
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & set(names), file
