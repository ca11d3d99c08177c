"""The file of overrides on its way in: each entry by itself, and each flaw named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import DocumentError
from convert_sdk._config.override_file import Origin, OverridesRead, read_overrides
from convert_sdk._core.override import Override

ORIGIN = Origin("mine.json", only_unknown=False)
SOURCE = "the file mine.json"
FIELDS = "variation, enabled, gates, visitor_id"


def read(content: object, origin: Origin = ORIGIN) -> OverridesRead:
    return read_overrides(json.dumps(content).encode(), ".json", origin)


class TestEntries:
    @pytest.mark.parametrize(
        ("entry", "override"),
        [
            ("b", Override("k", variation="b", source=SOURCE)),
            (False, Override("k", enabled=False, source=SOURCE)),
            ({"variation": "b"}, Override("k", variation="b", source=SOURCE)),
            ({"variation": "b", "gates": True}, Override("k", variation="b", gates=True, source=SOURCE)),
            (
                {"variation": "b", "visitor_id": "v-1"},
                Override("k", variation="b", visitor_id="v-1", source=SOURCE),
            ),
            (
                {"enabled": False, "visitor_id": 42},
                Override("k", enabled=False, visitor_id="42", source=SOURCE),
            ),
        ],
    )
    def test_of_an_experience(self, entry: object, override: Override) -> None:
        assert read({"experiences": {"k": entry}}) == ((override,), ())

    @pytest.mark.parametrize(
        ("entry", "override"),
        [
            (True, Override("k", is_feature=True, source=SOURCE)),
            (False, Override("k", is_feature=True, enabled=False, source=SOURCE)),
            (
                {"variables": {"discount": 0.2, "sizes": [1]}},
                Override("k", is_feature=True, variables={"discount": 0.2, "sizes": [1]}, source=SOURCE),
            ),
            (
                {"enabled": True, "visitor_id": "v-1"},
                Override("k", is_feature=True, visitor_id="v-1", source=SOURCE),
            ),
        ],
    )
    def test_of_a_feature(self, entry: object, override: Override) -> None:
        assert read({"features": {"k": entry}}) == ((override,), ())

    def test_several_of_one_key(self) -> None:
        found = read({"experiences": {"k": [{"variation": "b", "visitor_id": "v-1"}, "a", 5]}})
        assert [(each.variation, each.visitor_id) for each in found.overrides] == [("b", "v-1"), ("a", None)]
        assert found.problems == (
            f"$.experiences.k[2]: expected the key of a variation, false or an object with {FIELDS}, found a number",
        )

    def test_their_mode(self) -> None:
        (override,) = read({"experiences": {"k": "b"}}, Origin("mine.json", only_unknown=True)).overrides
        assert override.only_unknown

    def test_nothing_is_nothing(self) -> None:
        assert read({}) == read({"experiences": None, "features": {}}) == ((), ())


class TestFlaws:
    @pytest.mark.parametrize(
        ("content", "flaw"),
        [
            (
                {"experience": {}},
                "$.experience: is neither experiences nor features; did you mean experiences?",
            ),
            ({"experiences": []}, "$.experiences: expected an object of entries by their keys, found a list"),
            (
                {"experiences": {"k": True}},
                f"$.experiences.k: expected the key of a variation, false or an object with {FIELDS}, found a boolean",
            ),
            (
                {"features": {"k": "on"}},
                "$.features.k: expected true, false or an object with enabled, variables, visitor_id, found text",
            ),
            (
                {"experiences": {"k": {"variation": "b", "visitor": "v-1"}}},
                f"$.experiences.k.visitor: is none of {FIELDS}; did you mean visitor_id?; the entry is left out",
            ),
            (
                {"experiences": {"a b": {"gates": 5, "variation": "b"}}},
                '$.experiences["a b"].gates: expected true or false, found a number; the entry is left out',
            ),
            (
                {"experiences": {"k": {}}},
                "$.experiences.k: expected either the key of a variation or enabled = false; the entry is left out",
            ),
            (
                {"experiences": {"k": {"variation": "b", "enabled": False}}},
                "$.experiences.k: expected either the key of a variation or enabled = false; the entry is left out",
            ),
            (
                {"experiences": {"k": {"variation": 5}}},
                "$.experiences.k.variation: expected the key of a variation, found a number; the entry is left out",
            ),
            (
                {"features": {"k": {"enabled": "no"}}},
                "$.features.k.enabled: expected true or false, found text; the entry is left out",
            ),
            (
                {"features": {"k": {"variables": [1]}}},
                "$.features.k.variables: expected an object, found a list; the entry is left out",
            ),
            (
                {"features": {"k": {"visitor_id": True}}},
                "$.features.k.visitor_id: expected the id of a visitor, found a boolean; the entry is left out",
            ),
            (
                {"features": {"k": {"variation": "b"}}},
                "$.features.k.variation: is none of enabled, variables, visitor_id; the entry is left out",
            ),
        ],
    )
    def test_one_costs_no_other_entry(self, content: dict[str, Any], flaw: str) -> None:
        good: dict[str, Any] = {"experiences": {"good": "a"}}
        if isinstance(content.get("experiences"), dict):
            content = {"experiences": {**content["experiences"], **good["experiences"]}}
        elif "experiences" in content:
            content = {**content, "features": {"good": True}}
        else:
            content = {**content, **good}
        found = read(content)
        assert found.problems == (flaw,)
        assert [each.key for each in found.overrides] == ["good"]

    @pytest.mark.parametrize(
        ("content", "suffix", "message"),
        [
            (b"{", ".json", r"\$: expected JSON"),
            (b"[]", ".json", r"\$: expected an object with experiences and features, found a list"),
            (b"experiences = ", ".toml", r"\$: expected TOML, found"),
            (b"a = '\xff'", ".TOML", r"\$: expected TOML in UTF-8, found an invalid byte at byte 5"),
        ],
    )
    def test_what_is_no_file_of_overrides_is_refused(self, content: bytes, suffix: str, message: str) -> None:
        with pytest.raises(DocumentError, match=message):
            read_overrides(content, suffix, ORIGIN)


def test_toml_says_the_same() -> None:
    content = """
        [experiences]
        checkout = "one-page"
        banner = { enabled = false, visitor_id = 42 }

        [features.pricing.variables]
        discount = 0.2
        since = 2026-01-01
    """
    found = read_overrides(content.encode(), ".toml", ORIGIN)
    assert found.problems == ()
    assert found.overrides == (
        Override("checkout", variation="one-page", source=SOURCE),
        Override("banner", enabled=False, visitor_id="42", source=SOURCE),
        Override(
            "pricing", is_feature=True, variables={"discount": 0.2, "since": "2026-01-01"}, source=SOURCE
        ),
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["variation", "enabled", "gates", "visitor_id", "variables", "a"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["experiences", "features", "x"]), VALUES))
def test_whatever_stands_there_an_entry_is_good_or_named(content: dict[str, Any]) -> None:
    found = read(content)
    for override in found.overrides:
        assert override.is_feature or (override.variation is None) is not override.enabled
    for section in ("experiences", "features"):
        entries = content.get(section)
        if isinstance(entries, dict):
            listed = [
                each for value in entries.values() for each in (value if isinstance(value, list) else [value])
            ]
            kept = [each for each in found.overrides if each.is_feature is (section == "features")]
            named = {
                problem.partition(": ")[0] for problem in found.problems if problem.startswith(f"$.{section}")
            }
            assert len(listed) - len(kept) <= len(named)
