from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from convert_sdk._config.schema.document import (
    Document,
    ProjectSettings,
    read_document,
    read_project_settings,
)
from convert_sdk._config.schema.experience import ChangeModel
from convert_sdk.errors import DocumentError
from tests.shapes import of, present

FIXTURES = Path(__file__).parents[2] / "fixtures"
EXAMPLE: dict[str, object] = json.loads((FIXTURES / "serving_document.json").read_text())
SETTINGS: dict[str, object] = json.loads((FIXTURES / "serving_project_settings.json").read_text())
ATTRIBUTE = {"OR": "or_", "AND": "and_", "OR_WHEN": "or_when", "property_UA": "property_ua"}

Steps = tuple[object, ...]


def paths(value: object, steps: Steps = ()) -> Iterator[tuple[Steps, object]]:
    """Every place of a document and what stands there."""
    if steps:
        yield steps, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*steps, key))


def reach(model: object, steps: Steps) -> object:
    """Walk declared attributes only: a key that merely survived as an extra does not count."""
    for step in steps:
        if isinstance(step, int):
            assert isinstance(model, tuple)
            model = model[step]
        elif isinstance(model, Mapping):
            model = model[step]
        else:
            name = ATTRIBUTE.get(str(step), str(step))
            declared = type(of(BaseModel, model)).model_fields
            assert name in declared, f"{step} of {steps} is no declared attribute"
            model = getattr(model, name)
    return model


def with_value(steps: Steps, value: object) -> dict[str, object]:
    """The example with another value in one place."""
    raw: dict[str, object] = json.loads(json.dumps(EXAMPLE))
    parent: Any = raw
    for step in steps[:-1]:
        parent = parent[step]
    parent[steps[-1]] = value
    return raw


ALL_PATHS = list(paths(EXAMPLE))


WRONG = ["half \ud83d an emoji", [[]], {"a": {}}, True, 1e999]


def read(raw: dict[str, object]) -> tuple[Document, list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    return read_document(raw, lambda path, message, _: problems.append((path, message))), problems


@pytest.fixture(scope="module")
def example() -> Document:
    document, problems = read(EXAMPLE)
    assert problems == []
    return document


def test_the_example_has_all_its_places() -> None:
    assert len(ALL_PATHS) > 150
    assert (("project", "domains", 0, "hosts"), None) in ALL_PATHS


@pytest.mark.parametrize(
    ("steps", "value"), ALL_PATHS, ids=[".".join(map(str, steps)) for steps, _ in ALL_PATHS]
)
def test_every_path_of_the_example_is_a_typed_attribute(
    example: Document, steps: Steps, value: object
) -> None:
    found = reach(example, steps)
    if isinstance(value, dict):
        assert isinstance(found, (BaseModel, Mapping))
    elif isinstance(value, list):
        assert isinstance(found, tuple)
        assert len(found) == len(value)
    else:
        assert found == value


def test_the_example_is_written_back_as_it_was(example: Document) -> None:
    written = example.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert written == EXAMPLE


def test_every_path_of_project_settings_is_a_typed_attribute() -> None:
    settings = read_project_settings(SETTINGS)
    for steps, value in paths(SETTINGS):
        assert isinstance(value, dict) or reach(settings, steps) == value


def test_unknown_keys_are_attributes() -> None:
    document, problems = read({"colour": "red", "experiences": [{"id": "5", "new thing": [1]}]})
    assert document.model_extra == {"colour": "red"}
    assert present(document.experiences)[0].model_extra == {"new thing": [1]}
    assert problems == []


def test_unknown_enum_values_are_kept() -> None:
    document, problems = read(
        {
            "project": {"type": "mobile", "settings": {"do_not_track": "Mars"}},
            "goals": [{"type": "brain_wave"}],
            "locations": [{"trigger": {"type": "gesture", "events": ["wink"]}}],
            "experiences": [
                {"status": "dreaming", "variations": [{"status": "x", "changes": [{"type": "y"}]}]}
            ],
        }
    )
    assert problems == []
    assert present(document.project).type == "mobile"
    assert present(present(document.project).settings).do_not_track == "Mars"
    assert present(document.goals)[0].type == "brain_wave"
    assert present(present(document.locations)[0].trigger).events == ("wink",)
    assert present(document.experiences)[0].status == "dreaming"
    assert present(present(document.experiences)[0].variations)[0].status == "x"
    assert present(present(present(document.experiences)[0].variations)[0].changes)[0].type == "y"


def test_ids_are_text_and_numeric_texts_are_numbers() -> None:
    document, problems = read(
        {
            "account_id": 10035569,
            "project": {"id": 10034190.0, "utc_offset": "-3600", "settings": {"max_order_value": "99.5"}},
            "archived_experiences": [7, "8"],
            "experiences": [{"id": 5, "version": "12", "audiences": [51]}],
        }
    )
    assert problems == []
    assert document.account_id == "10035569"
    assert (present(document.project).id, present(document.project).utc_offset) == ("10034190", -3600)
    assert present(present(document.project).settings).max_order_value == 99.5
    assert document.archived_experiences == ("7", "8")
    assert (present(document.experiences)[0].id, present(document.experiences)[0].version) == ("5", 12)
    assert present(document.experiences)[0].audiences == ("51",)


def test_empty_objects_may_be_empty_lists() -> None:
    document, problems = read(
        {
            "project": {"environments": [], "custom_domain": []},
            "goals": [{"rules": []}],
            "experiences": [{"variations": [{"changes": [{"data": {"variables_data": []}}]}]}],
        }
    )
    assert problems == []
    assert present(document.project).environments == {}
    assert present(present(document.goals)[0].rules).or_ is None


def test_null_is_accepted_anywhere() -> None:
    for steps, _ in ALL_PATHS:
        assert read(with_value(steps, None))[1] == []


@pytest.mark.parametrize(
    "wrong",
    ["half \ud83d an emoji", [[]], {"a": {}}, True, 1e999],
    ids=["text", "list", "object", "flag", "number"],
)
def test_a_wrong_part_costs_only_itself(wrong: object) -> None:
    for steps, _ in ALL_PATHS:
        document, problems = read(with_value(steps, wrong))
        assert all(path.startswith("$.") and "expected" in message for path, message in problems)
        for other in {"account_id", "is_debug"} - {steps[0]}:
            assert getattr(document, other) == EXAMPLE[other]
        if steps[0] != "experiences":
            assert present(present(document.experiences)[0].variations)[0].traffic_allocation == 10000


def test_a_problem_names_its_place() -> None:
    document, problems = read(
        {
            "account_id": "1",
            "experiences": [{"id": "4"}, None, "five", {"id": "6", "version": {}, "key": "k"}],
        }
    )
    assert [experience.id for experience in present(document.experiences)] == ["4", None, None, "6"]
    assert present(document.experiences)[3].key == "k"
    assert problems == [
        ("$.experiences[2]", "expected an object, found text; it reads as None"),
        ("$.experiences[3].version", "expected a number, found an object; it reads as None"),
    ]


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"\$: expected an object, found a list"):
        read_document(cast("dict[str, object]", []))


def test_models_are_read_only(example: Document) -> None:
    with pytest.raises(ValidationError):
        example.account_id = "2"
    assert issubclass(ProjectSettings, BaseModel)


keys = st.text(max_size=3) | st.sampled_from(sorted({str(steps[-1]) for steps, _ in ALL_PATHS}))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=20,
)


@given(steps=st.sampled_from([steps for steps, _ in ALL_PATHS]), value=json_values)
def test_any_mutant_is_read(steps: Steps, value: object) -> None:
    document, problems = read(with_value(steps, value))
    assert isinstance(document, Document)
    assert all(path.startswith("$.") for path, _ in problems)


@pytest.mark.parametrize(("id", "seen"), [(0, 0), (7, 7), ("7", "7"), (None, None), (1.5, 1.5)])
def test_the_id_of_a_change_keeps_its_number(id: object, seen: object) -> None:
    change = ChangeModel.model_validate({"id": id})
    assert change.id == seen
    assert type(change.id) is type(seen)


def test_the_id_of_a_change_is_no_list() -> None:
    with pytest.raises(ValidationError, match="expected text"):
        ChangeModel.model_validate({"id": []})
