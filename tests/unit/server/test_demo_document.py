from __future__ import annotations

import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from convert_sdk._config.schema.document import Document, read_document
from convert_sdk.server import DEMO_SDK_KEY, demo_document
from tests.shapes import present


@pytest.fixture(scope="module")
def shop() -> Document:
    problems: list[str] = []
    read = read_document(demo_document(), lambda path, *_: problems.append(path))
    assert problems == []
    return read


def test_its_key_names_it(shop: Document) -> None:
    assert f"{shop.account_id}/{present(shop.project).id}" == DEMO_SDK_KEY


def test_every_id_points_somewhere(shop: Document) -> None:
    known = {
        name: {entity.id for entity in getattr(shop, name)} for name in ("audiences", "locations", "goals")
    }
    features = {feature.id for feature in present(shop.features)}
    experiences = present(shop.experiences)
    for experience in experiences:
        for name, ids in known.items():
            assert set(getattr(experience, name)) <= ids
        for variation in present(experience.variations):
            assert {present(change.data).feature_id for change in present(variation.changes)} <= features
    assert set(present(shop.archived_experiences)) <= {experience.id for experience in experiences}


def test_keys_and_ids_are_unique(shop: Document) -> None:
    for name in ("audiences", "locations", "segments", "goals", "features", "experiences"):
        entities = getattr(shop, name)
        assert len({entity.id for entity in entities}) == len({entity.key for entity in entities})
        assert len({entity.key for entity in entities}) == len(entities)
    variations = [
        each.id for experience in present(shop.experiences) for each in present(experience.variations)
    ]
    assert len(set(variations)) == len(variations)


def test_it_has_a_bit_of_everything(shop: Document) -> None:
    experiences = present(shop.experiences)
    assert {present(experience.version) > 11 for experience in experiences} == {True, False}
    assert {"active", "draft", "completed"} == {experience.status for experience in experiences}
    assert {audience.type for audience in present(shop.audiences)} == {"permanent", "transient"}
    assert {present(present(e.settings).matching_options).audiences for e in experiences} == {"any", "all"}
    assert {"production", "staging", None} == {experience.environment for experience in experiences}
    environments = present(present(shop.project).environments)
    assert [name for name, env in environments.items() if env.is_default] == ["production"]
    types = {variable.type for feature in present(shop.features) for variable in present(feature.variables)}
    assert types == {"boolean", "integer", "float", "string", "json"}
    shares = {e.key: sum(present(v.traffic_allocation) for v in present(e.variations)) for e in experiences}
    assert shares["recommendations"] < 100
    assert shares["checkout-layout"] == 100
    assert "revenue" in {goal.type for goal in present(shop.goals)}
