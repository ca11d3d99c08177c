from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from tests.export import export

RUN = CliRunner()


def run(*arguments: object, given: str | None = None) -> Result:
    return RUN.invoke(app, ["explain", *map(str, arguments)], input=given)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(export()), "utf-8")
    return path


class TestOfADecision:
    def test_why_not_and_what_it_takes(self, shop: Path) -> None:
        found = run(shop, "checkout-steps", "v-1", "--location", '{"path": "/checkout/pay"}')
        assert found.exit_code == 0
        assert found.stdout.startswith("checkout-steps for visitor 'v-1': audience\n")
        assert "  attributes.signed_in = true, in place of nothing\n" in found.stdout

    def test_why(self, shop: Path) -> None:
        found = run(shop, "510", "v-1", "--attributes", '{"user_agent": "iPhone"}')
        assert found.stdout.startswith("phone-menu for visitor 'v-1': bucketed: v2\n")
        assert "that lets the visitor take part" not in found.stdout

    def test_of_what_is_remembered(self, shop: Path) -> None:
        state = '{"bucketing": {"home-hero": "original"}}'
        found = run(shop, "home-hero", "v-1", "--state", state, "--location", "anywhere")
        assert found.stdout.startswith("home-hero for visitor 'v-1': sticky: original\n")

    def test_of_files(self, shop: Path) -> None:
        Path("facts.json").write_text('{"signed_in": true}', "utf-8")
        found = run(
            shop, "checkout-steps", "v-1", "--facts", "@facts.json", "--location", '{"path": "/checkout"}'
        )
        assert "bucketed" in found.stdout

    def test_as_json(self, shop: Path) -> None:
        found = json.loads(run(shop, "adult-shelf", "v-1", "--json").stdout)
        assert found["decision"]["reason"] == "audience"
        assert [change["key"] for change in found["counterfactual"]["changes"]] == ["age", "signed_in"]

    def test_as_a_page(self, shop: Path) -> None:
        found = run(shop, "adult-shelf", "v-1", "--html", "why.html")
        assert (found.exit_code, found.stdout) == (0, "")
        assert Path("why.html").read_text("utf-8").startswith("<!doctype html>")

    def test_half_a_surrogate_pair_on_a_page(self, shop: Path) -> None:
        assert run(shop, "adult-shelf", "v-\udcff", "--html", "why.html").exit_code == 0
        assert "v-\\udcff" in Path("why.html").read_text("utf-8")

    def test_a_page_on_standard_output(self, shop: Path) -> None:
        found = run(shop, "adult-shelf", "v-\udcff", "--html", "-")
        assert (found.exit_code, found.stderr) == (0, "")
        assert found.stdout.startswith("<!doctype html>")
        assert "v-\\udcff" in found.stdout
        assert [each.name for each in Path().iterdir()] == [shop.name]
        both = run(shop, "adult-shelf", "v-1", "--html", "-", "--json")
        assert (both.exit_code, both.stdout) == (2, "")
        assert "standard output takes the page or the JSON" in both.stderr

    def test_of_another_environment(self, shop: Path) -> None:
        assert "bucketed" in run(shop, "staging-footer", "v-1", "--environment", "staging").stdout
        assert (
            "no fact opens this: it runs in the environment staging"
            in run(shop, "staging-footer", "v-1").stdout
        )


class TestOfARuleSet:
    def test_in_words(self, shop: Path) -> None:
        assert 'country is "DE" or country is "AT"' in run(shop, "germans").stdout

    def test_of_facts(self, shop: Path) -> None:
        assert run(shop, "germans", "--facts", '{"country": "at"}').stdout.startswith(
            "yes audience germans\n"
        )
        assert run(shop, "cart", "--location", '{"path": "/"}').stdout.startswith("NO  location cart\n")
        assert run(shop, "large-order", "--facts", '{"total": 5}').stdout.startswith("NO  goal large-order\n")
        assert run(shop, "bargain-hunters", "--facts", "{}").stdout.startswith(
            "NO  segment bargain-hunters\n"
        )

    def test_of_standard_input(self, shop: Path) -> None:
        assert run("-", "adults", given=shop.read_text("utf-8")).stdout.startswith("audience adults (203)\n")

    def test_of_two_that_share_a_key(self, shop: Path) -> None:
        document = export()
        document["locations"][0]["key"] = "germans"  # type: ignore[index]  # a list
        shop.write_text(json.dumps(document), "utf-8")
        found = run(shop, "germans")
        assert found.exit_code == 2
        assert "--kind" in found.stderr
        assert run(shop, "germans", "--kind", "location").stdout.startswith("location germans (301): Home\n")


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["germns"], "did you mean 'germans'"),
            (
                ["home-hero", "v-1", "--state", '{"bucketing": {"home-hro": "v2"}}'],
                "did you mean 'home-hero'",
            ),
            (["germans", "v-1"], "without a visitor"),
            (["home-hero", "--facts", '{"a": 1}'], "give a visitor's id"),
            (["home-hero", "v-1", "--facts", "{"], "not JSON"),
            (["home-hero", "v-1", "--facts", "[]"], "a JSON object is needed"),
            (["home-hero", ""], "must not be empty"),
            ([], "expected 1 to 2 arguments"),
        ],
    )
    def test_it_ends_with_two(self, shop: Path, arguments: list[str], said: str) -> None:
        found = run(shop, *arguments)
        assert found.exit_code == 2
        assert said in " ".join(found.stderr.replace("│", " ").split())
