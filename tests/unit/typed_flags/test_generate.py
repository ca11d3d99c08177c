from __future__ import annotations

import ast
import importlib.util
import json
import keyword
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from convert_sdk import Client, Project
from convert_sdk.errors import TypedFlagsError
from convert_sdk.testing import RecordingClient
from convert_sdk.typed_flags import FlagSettings, generate_flags, is_current, read_settings
from convert_sdk.typed_flags.names import python_name, quoted
from tests.documents import LOW, change, document, experience, feature, offline, variation
from tests.documents import project as project_of

TYPES = {
    "discount": "float",
    "steps": "integer",
    "label": "string",
    "on": "boolean",
    "table": "json",
    "class": "string",
}
PRICING = feature("81", "pricing-v2", **TYPES)
CHANGE = change("81", discount="1.5", steps=3, label="Sale", on=True, table={"rows": [1]})


KEYS = st.lists(st.text(max_size=4), unique=True, max_size=4)


class Table(BaseModel):
    rows: list[int] = []


def shop(*changes: Any, features: list[Any] | None = None) -> Client:
    arm = variation("1", 100, key="new", changes=[*changes])
    return offline(experience(key="checkout", variations=[arm]), features=features or [PRICING])


def project() -> Project:
    found = shop(CHANGE).project
    assert found is not None
    return found


def module(text: str, name: str = "generated_flags") -> ModuleType:
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None
    made = importlib.util.module_from_spec(spec)
    exec(compile(text, name, "exec"), made.__dict__)  # noqa: S102 # what was generated just now
    return made


class TestValues:
    def test_what_a_variation_sets(self) -> None:
        found = module(generate_flags(project())).pricing_v2(shop(CHANGE).visitor(LOW))
        assert found
        assert (found.discount, found.steps, found.label, found.on) == (1.5, 3, "Sale", True)
        assert found.table == {"rows": [1]}
        assert found.feature.raw["discount"] == "1.5"
        assert repr(found) == "pricing_v2(enabled=True)"

    def test_the_zero_of_each_type_where_nothing_is_set(self) -> None:
        found = module(generate_flags(project())).pricing_v2(shop().visitor(LOW))
        assert not found.enabled
        assert (found.discount, found.steps, found.label, found.on, found.table) == (0.0, 0, "", False, None)

    def test_the_defaults_of_the_settings(self) -> None:
        settings = read_settings(
            '[defaults.pricing-v2]\ndiscount = 2\nlabel = "say \\"no\\""\non = true\ntable = {rows = [7]}',
            project(),
        )
        found = module(generate_flags(project(), settings)).pricing_v2(shop().visitor(LOW))
        assert (found.discount, found.label, found.on, found.table) == (2.0, 'say "no"', True, {"rows": [7]})
        assert found.table is not found.table

    def test_a_model(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        settings = FlagSettings(models={"pricing-v2": {"table": f"{__name__}:Table"}})
        flags = module(generate_flags(project(), settings))
        assert flags.pricing_v2(shop(CHANGE).visitor(LOW)).table == Table(rows=[1])
        assert flags.pricing_v2(shop().visitor(LOW)).table == Table()
        wrong = shop(change("81", table={"rows": "none"}))
        assert [flags.pricing_v2(wrong.visitor(LOW)).table for _ in range(3)] == [Table()] * 3
        assert [record.getMessage() for record in caplog.records] == [
            "the variable 'table' of the feature 'pricing-v2' does not fit Table: the default is used"
        ]

    def test_only_the_call_exposes(self) -> None:
        flags, client = module(generate_flags(project())), RecordingClient(project())
        assert flags.pricing_v2.peek(client.visitor(LOW)).steps == 3
        client.assert_nothing_sent()
        assert flags.pricing_v2(client.visitor(LOW)).steps == 3
        client.assert_exposed(LOW, "checkout", "new")

    def test_the_verbs(self) -> None:
        flags, visitor = module(generate_flags(project())), shop(CHANGE).visitor(LOW)
        assert flags.decide(visitor, "checkout").variation_key == "new"
        assert flags.force(visitor, "checkout", "new").reason.value == "sticky"
        assert flags.track(visitor, "nothing", products=1).reason.value == "unknown_goal"


class TestAnotherDocument:
    def test_what_is_gone_or_changed_is_said_once(self, caplog: pytest.LogCaptureFixture) -> None:
        flags = module(generate_flags(project()))
        types = {
            name: "string" if name == "steps" else kind for name, kind in TYPES.items() if name != "discount"
        }
        changed = feature("81", "pricing-v2", **types)
        other = shop(change("81", label="Sale"), features=[changed])
        without = shop(features=[feature("82", "other")])
        with caplog.at_level(logging.WARNING, "convert_sdk"):
            for _ in range(2):
                found = flags.pricing_v2(other.visitor(LOW))
                assert (found.discount, found.label) == (0.0, "Sale")
                assert not flags.pricing_v2(without.visitor(LOW))
        assert [record.getMessage() for record in caplog.records] == [
            "the feature 'pricing-v2' has no variable 'discount' any more: its default is used",
            (
                "the variable 'steps' of the feature 'pricing-v2' is of type string, and was integer when the flags "
                "were generated: its default is used where it does not fit"
            ),
            "the project has no feature 'pricing-v2' any more: its defaults are used",
        ]

    def test_without_a_document_nothing_is_said(self, caplog: pytest.LogCaptureFixture) -> None:
        flags = module(generate_flags(project()))
        flags.pricing_v2.spec.hold_against(None)
        assert caplog.records == []


class TestNames:
    @given(st.text())
    def test_any_key_has_one(self, key: str) -> None:
        name = python_name(key)
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not name.startswith("__")

    @given(st.text())
    def test_any_text_has_a_literal(self, text: str) -> None:
        assert ast.literal_eval(quoted(text)) == text

    def test_two_keys_of_one_name(self) -> None:
        both = project_of(features=[feature("81", "a-b"), feature("82", "a_b")])
        with pytest.raises(TypedFlagsError, match="features 'a-b' and 'a_b' would both be called a_b"):
            generate_flags(both)
        variables = project_of(features=[feature("81", "a", **{"b-c": "string", "b c": "string"})])
        with pytest.raises(TypedFlagsError, match="variables of the feature 'a' 'b-c' and 'b c'"):
            generate_flags(variables)

    def test_names_of_the_module_and_the_class(self) -> None:
        odd = feature("81", "track", peek="string", feature="float", enabled="integer", float="float")
        flags = module(generate_flags(project_of(features=[odd])))
        assert {"peek_", "feature_", "enabled_", "float_"} <= {*dir(flags.track_)}

    @pytest.mark.parametrize(
        "key", ["_t", "_sdk", "_FlagSpec", "_TypedFeature", "_JsonValue", "annotations", "GoalKey", "int"]
    )
    def test_a_feature_takes_no_name_that_the_module_uses(self, key: str) -> None:
        built = project_of(features=[feature("81", key, table="json", steps="integer")])
        flags = module(generate_flags(built))
        found = getattr(flags, f"{key}_")(Client.offline(built).visitor(LOW))
        assert (found.table, found.steps) == (None, 0)

    def test_a_variable_hides_nothing_that_the_class_uses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither its own attributes nor the module of a model nor the default of one."""
        keys = ("spec", "feature", "tests", "_t", "_default_of_a", "type", "property", "track")
        built = project_of(features=[feature("81", "odd", **dict.fromkeys((*keys, "a"), "json"))])
        models = {"odd": {"a": f"{__name__}:Table"}}
        flags = module(generate_flags(built, FlagSettings(models=models)))
        found = flags.odd(Client.offline(built).visitor(LOW))
        assert found.a == Table()
        assert found.track is None
        renamed = {key for key in keys if key != "track"}
        assert {each for each in dir(flags.odd) if each.removesuffix("_") in renamed} >= {
            f"{key}_" for key in renamed
        }
        assert {getattr(found, f"{key}_") for key in renamed} == {None}

    def test_the_default_of_a_model_is_a_copy(self) -> None:
        settings = FlagSettings(models={"pricing-v2": {"table": f"{__name__}:Table"}})
        flags = module(generate_flags(project(), settings))
        visitor = shop().visitor(LOW)
        flags.pricing_v2(visitor).table.rows.append(1)
        assert flags.pricing_v2(visitor).table == Table()

    @pytest.mark.parametrize(
        "odd", ['"""\nimport os\n"""', "\\", "'", "a\nb", "\0", "\ud800x", "\u2028", "é日本🎉", "{x}", "%s"]
    )
    def test_no_text_of_a_document_is_code(self, odd: str) -> None:
        built = Project.parse(
            json.dumps(
                document(
                    experience("100", odd, variations=[variation("1", 100, key=odd)]),
                    experience("101", odd * 2, variations=[variation("1", 100, key=odd), variation("2")]),
                    features=[{"id": "81", "key": odd, "variables": [{"key": odd, "type": odd}]}],
                    goals=[{"id": "7", "key": odd}],
                    account_id=odd,
                    project={"id": odd},
                )
            )
        )
        text = generate_flags(built)
        flags = module(text)
        assert "os" not in vars(flags)
        (made,) = (each for each in vars(flags).values() if hasattr(each, "spec"))
        assert (made.spec.key, dict(made.spec.variables)) == (odd, {odd: odd})
        assert is_current(text.encode("utf-8").decode("utf-8"), text)

    @given(KEYS, KEYS)
    def test_any_keys_make_a_module(self, features: list[str], variables: list[str]) -> None:
        declared = [{"key": key, "type": "json"} for key in variables]
        built = project_of(
            *(experience(str(i), key, variations=[]) for i, key in enumerate(variables)),
            features=[{"id": str(i), "key": key, "variables": declared} for i, key in enumerate(features)],
        )
        try:
            text = generate_flags(built)
        except TypedFlagsError:
            assume(False)  # test_two_keys_of_one_name
        assert text == generate_flags(built)
        flags = module(text)
        assert {each.spec.key for each in vars(flags).values() if hasattr(each, "spec")} == {
            each.key for each in built.features
        }


class TestSettings:
    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("[defaults", "the settings are no TOML: "),
            ("[default.a]", "default: expected the tables defaults and models; did you mean defaults?"),
            ("defaults = 1", "defaults: expected a table, found 1"),
            ("[defaults]\npricing-v2 = 1", "defaults.pricing-v2: expected a table, found 1"),
            (
                "[defaults.pricing-v1]",
                "defaults.pricing-v1: the project has no such feature; did you mean pricing-v2?",
            ),
            (
                "[defaults.pricing-v2]\ndiscont = 1",
                "defaults.pricing-v2.discont: the project has no such variable; did you mean discount?",
            ),
            (
                "[defaults.pricing-v2]\nsteps = true",
                "defaults.pricing-v2.steps: expected a value of the type integer, found True",
            ),
            (
                "[defaults.pricing-v2]\ndiscount = nan",
                "defaults.pricing-v2.discount: expected a value of the type float, found nan",
            ),
            (
                "[defaults.pricing-v2]\ntable = 2026-01-01",
                "defaults.pricing-v2.table: expected a value of JSON, found ",
            ),
            (
                '[models.pricing-v2]\nlabel = "shop:Label"',
                "models.pricing-v2.label: a model is for a variable of the type json, this one is of string",
            ),
            (
                '[models.pricing-v2]\ntable = "shop.Table"',
                "models.pricing-v2.table: expected \"module:Class\", found 'shop.Table'",
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, source: str, message: str) -> None:
        with pytest.raises(TypedFlagsError) as caught:
            read_settings(source, project())
        assert str(caught.value).startswith(message)


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        pytest.importorskip("typer", reason="needs the extra cli")
        from typer.testing import CliRunner

        from convert_sdk.cli.app import app

        monkeypatch.chdir(tmp_path)
        (tmp_path / "shop.json").write_bytes(project().source)
        return lambda *arguments: CliRunner().invoke(app, ["codegen", *arguments])

    def test_it_writes_and_checks(self, run: Any, tmp_path: Path) -> None:
        assert run("shop.json", "-o", "flags.py").exit_code == 0
        written = (tmp_path / "flags.py").read_text("utf-8")
        assert written == run("shop.json").stdout == generate_flags(project())
        assert run("shop.json", "-o", "flags.py", "--check").exit_code == 0
        more = document(experience(key="checkout"), features=[PRICING, feature("82", "new")])
        (tmp_path / "shop.json").write_bytes(Project.parse(json.dumps(more)).source)
        stale = run("shop.json", "-o", "flags.py", "--check")
        assert (stale.exit_code, stale.stderr) == (
            1,
            "error: flags.py is out of date: run convert-sdk codegen again without --check\n",
        )
        assert (tmp_path / "flags.py").read_text("utf-8") == written
        assert [each.name for each in sorted(tmp_path.iterdir())] == ["flags.py", "shop.json"]

    def test_what_is_wrong(self, run: Any, tmp_path: Path) -> None:
        assert run("shop.json", "--check").exit_code == 2
        assert run("shop.json", "-o", "absent.py", "--check").exit_code == 1
        (tmp_path / "settings.toml").write_text("[defaults.no]")
        wrong = run("shop.json", "--settings", "settings.toml")
        assert (wrong.exit_code, wrong.stderr) == (2, "error: defaults.no: the project has no such feature\n")
        assert run("shop.json", "-o", "absent/flags.py").exit_code == 2


def test_a_format_and_another_revision_are_no_change() -> None:
    text = generate_flags(project())
    assert is_current(text.replace(project().revision, "another").replace("\n\n", "\n"), text)
    assert not is_current(text.replace("steps", "step"), text)
    assert not is_current("no python", text)


def test_it_is_the_same_under_any_hash(tmp_path: Path) -> None:
    from tests.processes import finished

    code = (
        "import sys; from convert_sdk import Project; from convert_sdk.typed_flags import generate_flags\n"
        f"sys.stdout.write(generate_flags(Project.parse({project().source!r})))"
    )
    texts = {finished(code, env={"PYTHONHASHSEED": seed}).out for seed in ("0", "1")}
    assert texts == {generate_flags(project())}


def test_a_thousand_features_make_a_module() -> None:
    many = [feature(str(each), f"feature-{each}", **TYPES) for each in range(1_000)]
    flags = module(generate_flags(project_of(features=many)))
    assert len([each for each in vars(flags).values() if hasattr(each, "spec")]) == 1_000


def test_importing_generated_flags_loads_no_pydantic() -> None:
    from tests.processes import finished

    text = generate_flags(project())
    assert finished(f"{text}\nimport sys\nprint('pydantic' in sys.modules)").out.strip() == "False"
