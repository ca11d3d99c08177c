from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert_sdk import Client, DocumentError, Project
from convert_sdk.server import demo_document
from convert_sdk.testing import (
    BuiltProject,
    all_of,
    any_of,
    attr,
    audience,
    bucketed_into,
    document,
    experience,
    feature,
    from_export,
    goal,
    location,
    project,
    segment,
    variation,
)

PRO = attr("plan") == "pro"
PRICING = feature("pricing", discount=0.0)


def wrong(value: object) -> Any:
    """A value that a type checker would refuse."""
    return value


def percents(compiled: Project, key: str) -> dict[str, float]:
    found = compiled.experience(key)
    assert found is not None
    return {each.key: each.percent for each in found.variations.values()}


class TestProject:
    def test_everything_that_a_document_has(self) -> None:
        shop = project(
            experience(
                "checkout",
                {"a": 30, "b": 70},
                audience=all_of(attr("country").is_in("de", "at"), attr("visits") < 10),
                location=location("cart", attr("path").starts_with("/cart")),
                segment=segment("vip", attr("spent") > 100),
                goals=goal("purchase"),
                sets={"b": {"pricing": {"discount": 0.2}}},
                layout="anchored",
                environment="live",
                id=100,
                name="The checkout",
                fields={"global_js": ""},
            ),
            experience(
                "banner",
                [variation("off", id=1), variation("on", id=2, sets={"pricing": {}})],
                audience=["others", audience("staff", PRO, permanent=True)],
                match_all=True,
                site_area=any_of(attr("path") == "/", attr("path") == "/home"),
            ),
            audience("others", ~bucketed_into("checkout")),
            PRICING,
            goal("large-order", attr("total") >= 200),
            environments=["live", "staging"],
            default_environment="live",
        )
        assert shop.problems == ()
        checkout, banner = shop.experience("checkout"), shop.experience("banner")
        assert checkout is not None
        assert banner is not None
        assert (checkout.id, checkout.name, checkout.anchored, checkout.environment) == (
            "100",
            "The checkout",
            True,
            "live",
        )
        assert [each.id for each in checkout.variations.values()] == ["10001", "10002"]
        assert [each.key for each in checkout.audiences] == ["checkout-audience"]
        assert checkout.segments == {each.id for each in shop.segments}
        assert [each.key for each in banner.audiences] == ["others", "staff"]
        assert [each.permanent for each in banner.audiences] == [False, True]
        assert banner.match_all
        assert shop.default_environment == "live"
        visitor = Client.offline(shop).visitor(
            "v", {"country": "de", "visits": 9}, location={"path": "/cart"}
        )
        visitor.set_segments({"customSegments": [*checkout.segments]})
        assert visitor.force("checkout", "b").reason.value == "forced"
        assert visitor.feature("pricing").get("discount", 0.0) == 0.2

    def test_the_document_is_the_projects(self) -> None:
        entities = experience("checkout"), PRICING
        assert project(*entities).document == document(*entities)

    def test_shares_of_the_traffic(self) -> None:
        assert percents(project(experience("checkout")), "checkout") == {"a": 50, "b": 50}
        assert percents(project(experience("checkout", ["a", "b", "c", "d"])), "checkout")["c"] == 25
        rest = project(experience("checkout", [variation("a", 80), "b", "c"]))
        assert percents(rest, "checkout") == {"a": 80, "b": 10, "c": 10}
        assert rest.problems == ()

    @pytest.mark.parametrize("layout", ["packed", "anchored"])
    def test_a_variation_that_was_stopped(self, layout: Any) -> None:
        arms = [variation("a", 50, status="stopped"), variation("b", 100)]
        shop = project(experience("checkout", arms, layout=layout))
        client = Client.offline(shop)
        taken = {client.visitor(f"v{n}").peek("checkout").variation_key for n in range(50)}
        assert taken == ({"b"} if layout == "packed" else {"b", None})

    def test_ranges_stand_in_the_order_of_the_test(self) -> None:
        """Packed ranges are ordered by id, as numbers where they are some."""
        for own_id in (None, "9", "4294967", "x"):
            compiled = project(experience("checkout", dict.fromkeys("abcdefghij", 10), id=own_id))
            checkout = compiled.experience("checkout")
            assert checkout is not None
            ids = [each.variation_id for each in checkout.split.ranges]
            assert [checkout.variations[each].key for each in ids] == [*"abcdefghij"]

    def test_an_id_follows_from_the_key(self) -> None:
        alone = project(experience("b")).experience("b")
        among = project(experience("a"), experience("b"), goal("b")).experience("b")
        assert alone is not None
        assert among is not None
        assert alone.id == among.id
        assert (
            len({each.id for each in project(*(experience(f"e{n}") for n in range(2_000))).experiences})
            == 2_000
        )

    def test_a_feature_declares_types(self) -> None:
        shop = project(
            feature("f", variables={"id": str, "rows": 5}, on=True, share=0.5, text="", more={}, items=list)
        )
        declared = shop.feature("f")
        assert declared is not None
        assert {each.key: each.type for each in declared.variables} == {
            "id": "string",
            "rows": "integer",
            "on": "boolean",
            "share": "float",
            "text": "string",
            "more": "json",
            "items": "json",
        }

    def test_archived(self) -> None:
        shop = project(experience("checkout", archived=True))
        assert Client.offline(shop).visitor("v").peek("checkout").reason.value == "archived"

    @pytest.mark.parametrize(
        ("build", "error", "words"),
        [
            (lambda: project(experience("a"), experience("a", status="draft")), ValueError, "built twice"),
            (lambda: project(experience("a", {"x": 60, "y": 60})), ValueError, "120 % of the traffic"),
            (lambda: project(experience("a", {"x": 101})), ValueError, "0 to 100, not 101"),
            (lambda: project(experience("a", {"x": wrong("half")})), TypeError, "a percentage, not 'half'"),
            (lambda: experience("a", "ab"), TypeError, "several variations"),
            (lambda: experience("a", layout=wrong("tall")), ValueError, "packed or anchored"),
            (lambda: experience(""), TypeError, "a key as text"),
            (lambda: experience("a", id=True), TypeError, "an id is text"),
            (
                lambda: experience("a", audience=location("x")),
                TypeError,
                r"audience= takes audience\(…\), the key",
            ),
            (
                lambda: experience("a", goals=wrong([PRO])),
                TypeError,
                r"goals= takes goal\(…\), the key of one, not RuleExpression",
            ),
            (lambda: audience("a", wrong("plan")), TypeError, "takes rules such as"),
            (
                lambda: project(audience("germans"), experience("a", audience="germas")),
                ValueError,
                "no audience 'germas'; did you mean germans?",
            ),
            (
                lambda: project(experience("a", sets={"c": {"pricing": {}}}), PRICING),
                ValueError,
                "no variation 'c'",
            ),
            (
                lambda: project(experience("a", sets={"b": {"prices": {}}}), PRICING),
                ValueError,
                "no feature 'prices'; did you mean pricing?",
            ),
            (
                lambda: project(experience("a", sets={"b": {"pricing": {"discont": 1}}}), PRICING),
                ValueError,
                "declares no variable 'discont'; did you mean discount?",
            ),
            (
                lambda: project(experience("a", sets={"b": {"pricing": {"discount": "much"}}}), PRICING),
                ValueError,
                "'much' is no float, as 'discount' is declared",
            ),
            (
                lambda: project(audience("a", all_of(PRO, bucketed_into("b"))), experience("b")),
                ValueError,
                "decides an audience alone",
            ),
            (lambda: project(audience("a", bucketed_into("b"))), ValueError, "no experience 'b'"),
            (lambda: project(segment("a", bucketed_into("b"))), ValueError, "decides audiences only"),
            (
                lambda: project(audience("a", id=5), segment("b", id=5)),
                ValueError,
                "the id '5' is that of 'a'",
            ),
            (
                lambda: project(experience("a", [variation("x"), variation("x")])),
                ValueError,
                "two variations share a key",
            ),
            (
                lambda: project(experience("a", [variation("x", id=1), variation("y", id=1)])),
                ValueError,
                "two variations share an id",
            ),
            (lambda: project(wrong(PRO)), TypeError, "a project is built of"),
        ],
    )
    def test_a_mistake_is_named(self, build: Callable[[], Any], error: type[Exception], words: str) -> None:
        with pytest.raises(error, match=words):
            build()


@pytest.fixture
def export(tmp_path: Path) -> BuiltProject:
    file = tmp_path / "export.json"
    file.write_text(json.dumps(demo_document()))
    return from_export(file)


def differences(before: Project, after: Project) -> set[str]:
    """Entities that are not the same."""
    one, other = before.document, after.document
    found = set()
    for section in ("experiences", "audiences", "locations", "segments", "features", "goals"):
        old, new = (
            {each["key"]: each for each in raw[section]}  # type: ignore[attr-defined]  # a list
            for raw in (one, other)
        )
        found |= {f"{section} {key}" for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    return found | {key for key in one if isinstance(one[key], (str, dict)) and one[key] != other[key]}


class TestExport:
    def test_as_it_is(self, export: BuiltProject) -> None:
        assert export.document == demo_document()
        assert export.with_().document == demo_document()

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            from_export(tmp_path / "none.json")

    def test_no_document(self, tmp_path: Path) -> None:
        (tmp_path / "list.json").write_text("[]")
        with pytest.raises(DocumentError):
            from_export(tmp_path / "list.json")

    def test_the_traffic_of_one_experience(self, export: BuiltProject) -> None:
        changed = export.with_(experience("checkout-layout", {"original": 0, "one-page": 100}))
        assert differences(export, changed) == {"experiences checkout-layout"}
        before, after = export.experience("checkout-layout"), changed.experience("checkout-layout")
        assert before is not None
        assert after is not None
        assert percents(changed, "checkout-layout") == {"original": 0, "one-page": 100}
        assert [each.key for each in after.audiences] == [each.key for each in before.audiences]
        assert [each.changes for each in after.variations.values()] == [
            each.changes for each in before.variations.values()
        ]

    def test_the_rules_of_one_audience(self, export: BuiltProject) -> None:
        changed = export.with_(audience("signed-in", attr("signed_in") == "yes"))
        assert differences(export, changed) == {"audiences signed-in"}
        found = changed.audience("signed-in")
        assert found is not None
        assert found.matches({"signed_in": "yes"})
        assert not found.permanent

    def test_who_takes_part(self, export: BuiltProject) -> None:
        open_to_all = export.with_(experience("checkout-layout", audience=None, location=None))
        assert differences(export, open_to_all) == {"experiences checkout-layout"}
        assert Client.offline(open_to_all).visitor("v").peek("checkout-layout")
        staff = export.with_(experience("checkout-layout", audience=attr("staff") == True))  # noqa: E712 # a rule
        assert differences(export, staff) == {
            "experiences checkout-layout",
            "audiences checkout-layout-audience",
        }

    def test_a_feature_of_one_variation(self, export: BuiltProject) -> None:
        changed = export.with_(
            experience(
                "checkout-layout", sets={"one-page": {"checkout": {"steps": 2}, "pricing": {"discount": 0.5}}}
            )
        )
        arm = changed.experience("checkout-layout").variation("one-page")  # type: ignore[union-attr]  # is there
        assert arm is not None
        assert [dict(each.variables) for each in arm.changes] == [{"steps": 2}, {"discount": 0.5}]

    def test_one_more_variable_variation_and_experience(self, export: BuiltProject) -> None:
        changed = export.with_(
            feature("trail-maps", rows=1),
            experience("trail-maps", ["off"], archived=True),
            experience("new", goals="purchase", environment="qa"),
            default_environment="staging",
        )
        assert differences(export, changed) == {
            "features trail-maps",
            "experiences trail-maps",
            "experiences new",
            "project",
        }
        maps = changed.feature("trail-maps")
        assert maps is not None
        assert [each.key for each in maps.variables] == ["offline", "rows"]
        assert percents(changed, "trail-maps") == {"on": 25, "off": 75}
        assert changed.default_environment == "staging"
        assert changed.config.project is not None
        assert set(changed.config.project.environments or ()) == {"production", "staging", "qa"}

    def test_out_of_the_archive(self, export: BuiltProject) -> None:
        archived = next(each.key for each in export.experiences if each.archived)
        again = export.with_(experience(archived, archived=False)).experience(archived)
        assert again is not None
        assert not again.archived

    def test_a_new_id(self, export: BuiltProject) -> None:
        changed = export.with_(experience("checkout-layout", id="5")).experience("checkout-layout")
        assert changed is not None
        assert changed.id == "5"

    def test_the_first_one_stays(self, export: BuiltProject) -> None:
        export.with_(experience("checkout-layout", archived=True))
        assert export.document == demo_document()

    def test_sections_that_are_no_lists(self) -> None:
        bare = BuiltProject.parse(
            '{"account_id": "1", "project": {"id": "2"}, "goals": null, "features": [5]}'
        )
        assert bare.with_(goal("buy"), feature("f", x=1)).feature("f") is not None
