"""Rule coverage: the counts of a decision's own walk, the reports, and the plugin in a pytest of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from convert_sdk import ANYWHERE, Client, Project
from convert_sdk.project import Project as Compiled
from convert_sdk.testing import (
    all_of,
    any_of,
    attr,
    audience,
    bucketed_into,
    experience,
    goal,
    location,
    project,
    segment,
)
from convert_sdk.testing.coverage.collector import Collector
from convert_sdk.testing.coverage.counts import CoverageCounts
from convert_sdk.testing.coverage.html import html_report
from convert_sdk.testing.coverage.report import Coverage, measure, text_report, unused

A, B, C = attr("a") == 1, attr("b") == 1, attr("c") == 1
SOURCE = project(
    experience("checkout", {"a": 0, "b": 100}, audience=audience("tested", all_of(any_of(A, B), C))),
    experience("area", {"on": 100}, site_area=attr("path") == "/"),
    experience("others", {"on": 100}, audience=audience("exclusive", ~bucketed_into("checkout"))),
    location("cart", attr("path").contains("cart")),
    segment("vip", attr("spent").exists()),
    goal("large", attr("total") >= 200),
).source


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    running.start()
    running.cover(Project.parse(SOURCE))
    yield running
    running.stop()


def coverage(collector: Collector, *exclude: str) -> Coverage:
    return measure(next(iter(collector.covered.values())), collector.counts, exclude)


def conditions(collector: Collector, key: str = "tested") -> dict[str, tuple[int, int, int]]:
    """By key of the fact: held, failed, asked of nothing."""
    rules = next(each for each in coverage(collector).rules if each.key == key)
    return {leaf.text.split()[0]: (leaf.true, leaf.false, leaf.unknown) for leaf in rules.leaves}


def arms(collector: Collector) -> dict[str, int]:
    """The variations of the first experience, and the times that each was decided."""
    return dict(coverage(collector).experiences[0].variations)


def decide(**facts: object) -> None:
    Client.offline(Project.parse(SOURCE)).visitor("v", facts).peek("checkout")


class TestCounts:
    def test_a_group_ends_with_the_first_that_holds(self, collector: Collector) -> None:
        decide(a=1, b=1, c=1)
        assert conditions(collector) == {"a": (1, 0, 0), "b": (0, 0, 0), "c": (1, 0, 0)}

    def test_a_block_ends_with_the_first_group_that_fails(self, collector: Collector) -> None:
        decide(a=0, b=0, c=1)
        assert conditions(collector) == {"a": (0, 1, 0), "b": (0, 1, 0), "c": (0, 0, 0)}

    def test_no_fact_is_no_outcome(self, collector: Collector) -> None:
        decide(b=1)
        assert conditions(collector) == {"a": (0, 0, 1), "b": (1, 0, 0), "c": (0, 0, 1)}

    def test_but_to_ask_whether_there_is_one_is(self, collector: Collector) -> None:
        vip = Project.parse(SOURCE).segment("vip")
        assert vip is not None
        vip.matches({})
        assert conditions(collector, "vip") == {"spent": (0, 1, 0)}

    def test_an_explanation_counts_what_its_decision_reached(self, collector: Collector) -> None:
        Client.offline(Project.parse(SOURCE)).visitor("v", {"a": 0, "b": 0, "c": 1}).explain("checkout")
        assert conditions(collector)["c"] == (0, 0, 0)
        tested = Project.parse(SOURCE).audience("tested")
        assert tested is not None
        counted = collector.counts.copy()
        tested.explain({"a": 1, "b": 1, "c": 1})
        assert collector.counts == counted

    def test_places_site_areas_and_goals(self, collector: Collector) -> None:
        client = Client.offline(Project.parse(SOURCE))
        client.visitor("v", location={"path": "/"}).peek("area")
        assert conditions(collector, "area") == {"path": (1, 0, 0)}
        client.visitor("v").track("large", rule_data={"total": 1})
        assert conditions(collector, "large") == {"total": (0, 1, 0)}

    def test_variations_of_every_verb(self, collector: Collector) -> None:
        client = Client.offline(Project.parse(SOURCE))
        visitor = client.visitor("v", {"a": 1, "c": 1}, location=ANYWHERE)
        visitor.decide("checkout")
        assert arms(collector) == {"a": 0, "b": 1}
        visitor.force("checkout", "a")
        assert arms(collector) == {"a": 1, "b": 1}
        visitor.decide_all()
        assert arms(collector) == {"a": 2, "b": 1}
        with client.override("checkout", "b"):
            visitor.peek("checkout")
        assert arms(collector) == {"a": 2, "b": 2}

    def test_other_projects_do_not_count(self, collector: Collector) -> None:
        other = project(audience("tested", all_of(any_of(A, B), C)), account_id="9")
        tested = other.audience("tested")
        assert tested is not None
        assert tested.matches({"a": 1, "c": 1})
        assert conditions(collector)["a"] == (0, 0, 0)

    def test_other_rules_of_the_same_project_do_not_count(self, collector: Collector) -> None:
        changed = Project.parse(SOURCE.replace(b'"value": 1', b'"value": 2'))
        tested = changed.audience("tested")
        assert tested is not None
        assert tested.matches({"a": 2, "c": 2})
        assert conditions(collector)["a"] == (0, 0, 0)

    def test_decisions_are_the_same(self, collector: Collector) -> None:
        counted, plain = Project.parse(SOURCE), Client.offline
        collector.stop()
        for facts in ({"a": 1, "c": 1}, {"b": 1}, {}):
            one, other = (
                plain(each).visitor("v", facts).peek("checkout") for each in (counted, Project.parse(SOURCE))
            )
            assert one == other

    def test_nothing_is_left_behind(self) -> None:
        from convert_sdk import visitor

        before = (vars(visitor)["decide"], vars(visitor)["decide_each"], "__init__" in vars(Compiled))
        running = Collector()
        running.start()
        assert vars(visitor)["decide"] is not before[0]
        running.stop()
        assert (vars(visitor)["decide"], vars(visitor)["decide_each"], "__init__" in vars(Compiled)) == before

    def test_counts_of_two_processes_are_added(self) -> None:
        one = CoverageCounts({("x", "true"): 1})
        one.update(CoverageCounts.from_json(CoverageCounts({("x", "true"): 2, ("y", "false"): 1}).to_json()))
        assert one == {("x", "true"): 3, ("y", "false"): 1}


class TestReport:
    def test_says_what_was_not_seen(self, collector: Collector) -> None:
        decide(a=1, c=1)
        decide(a=0)
        assert [*text_report(coverage(collector, "cart", "segment:*"))] == [
            "Tests (1/2)",
            "  experience checkout: never a",
            "  experience area: never on",
            "  experience others: never on",
            "  audience tested: b equals 1: asked only without the fact",
            "  audience tested: c equals 1: never false",
            "  goal large: total not less 200: never reached",
            '  site-area area: path equals "/": never reached',
            "  excluded: location:cart, segment:vip",
            "  4 of 14 outcomes, 28.6 %",
        ]  # fmt: skip

    def test_what_is_excluded_by_mistake(self, collector: Collector) -> None:
        covered = next(iter(collector.covered.values()))
        assert unused(covered, ["cart", "audience:cart", "check*", "experience:checkout", "chekout"]) == [
            "audience:cart",
            "chekout",
        ]

    def test_of_nothing_all_is_seen(self) -> None:
        empty = measure(project(), CoverageCounts())
        assert empty.percent == 100

    def test_the_page_names_everything_and_escapes_it(self) -> None:
        exclusive = audience("x", ~bucketed_into("<i>"))
        odd = project(experience("<i>", audience=audience("<b>", attr("<u>") == "<s>")), exclusive)
        page = html_report([measure(odd, CoverageCounts(), ["nothing"])])
        assert "<code>&lt;i&gt;</code>" in page
        assert "&lt;u&gt; equals &quot;&lt;s&gt;&quot;" in page
        assert "not bucketed into experience &#x27;&lt;i&gt;&#x27;" in page
        assert "never reached" in page
        assert [part for part in ("<i>", "<u>", "<s>", "<script", "http:", "src=") if part in page] == []

    def test_a_page_of_nothing(self) -> None:
        assert "No project was covered" in html_report([])


PLUGIN = ("-p", "convert_sdk_pytest", "-p", "no:cacheprovider")
TESTS = """
from convert_sdk import Client, Project

SHOP = Project.load("shop.json")

def test_decides():
    assert Client.offline(SHOP).visitor("v", {"a": 1, "c": 1}).decide("checkout")

def test_refuses():
    assert not SHOP.audience("tested").matches({"a": 0, "b": 0})
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "shop.json").write_bytes(SOURCE)
    pytester.makeini(
        "[pytest]\nconvert_config = shop.json\nconvert_coverage_exclude = area others experience:xs\n"
    )
    pytester.makepyfile(TESTS)
    return pytester


class TestPlugin:
    def test_nothing_is_measured_unasked(self, folder: pytest.Pytester) -> None:
        result = folder.runpytest_inprocess(*PLUGIN)
        result.assert_outcomes(passed=2)
        assert "convert coverage" not in result.stdout.str()

    def test_in_the_terminal(self, folder: pytest.Pytester) -> None:
        result = folder.runpytest_inprocess(*PLUGIN, "--convert-coverage")
        assert result.ret == 0
        result.stdout.fnmatch_lines(
            [
                "*convert coverage*",
                "Tests (1/2)",
                "  experience checkout: never a",
                "  audience tested: b equals 1: never true",
                "  audience tested: c equals 1: never false",
                "  excluded: experience:area, experience:others, site-area:area",
                "convert_coverage_exclude: 'experience:xs' names nothing",
            ]
        )

    def test_files(self, folder: pytest.Pytester) -> None:
        result = folder.runpytest_inprocess(
            *PLUGIN, "--convert-coverage=html:out/page.html", "--convert-coverage=json"
        )
        result.stdout.fnmatch_lines(["html: *page.html", "json: *convert_coverage.json"])
        found = json.loads((folder.path / "convert_coverage.json").read_text())
        assert found["projects"][0]["experiences"] == [{"key": "checkout", "variations": {"a": 0, "b": 1}}]
        assert f"{found['percent']:.1f} %" in (folder.path / "out" / "page.html").read_text()

    @pytest.mark.parametrize(("least", "status"), [("30", 0), ("99.5", 1)])
    def test_a_share_that_must_be_reached(self, folder: pytest.Pytester, least: str, status: int) -> None:
        result = folder.runpytest_inprocess(*PLUGIN, "--convert-coverage-fail-under", least)
        assert result.ret == status
        assert ("FAIL" in result.stdout.str()) is bool(status)

    def test_workers_of_xdist_are_added(self, folder: pytest.Pytester) -> None:
        pytest.importorskip("xdist", reason="needs the package pytest-xdist")
        files = ("--convert-coverage=json:one.json", "--convert-coverage=json:two.json")
        folder.runpytest_subprocess(*PLUGIN, files[0]).assert_outcomes(passed=2)
        folder.runpytest_subprocess(*PLUGIN, files[1], "-n", "2", "--dist", "each").assert_outcomes(passed=4)
        one, two = (json.loads((folder.path / f"{name}.json").read_text()) for name in ("one", "two"))
        assert two["percent"] == one["percent"]
        arms = [each["projects"][0]["experiences"][0]["variations"]["b"] for each in (one, two)]
        assert arms[1] == 2 * arms[0] > 0

    def test_rows_of_tables_count(self, folder: pytest.Pytester) -> None:
        (folder.path / "cart.convert.csv").write_text(
            "location.path,expect.location.cart\n/cart,true\n/,false\n"
        )
        result = folder.runpytest_inprocess(*PLUGIN, "--convert-coverage=term", "cart.convert.csv")
        result.assert_outcomes(passed=2)
        assert "location cart" not in result.stdout.str()
        assert "goal large" in result.stdout.str()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--convert-coverage=pdf"], "*expected html, json or term*"),
            (["--convert-coverage", "test_files.py"], "*a path to tests stands before the option*"),
            (["--convert-coverage", "--convert-config", "none.json"], "*none.json*"),
        ],
    )
    def test_a_mistake_is_named(self, folder: pytest.Pytester, arguments: list[str], message: str) -> None:
        result = folder.runpytest_inprocess(*PLUGIN, *arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([message])

    def test_no_project(self, folder: pytest.Pytester) -> None:
        folder.makeini("[pytest]\n")
        result = folder.runpytest_inprocess(*PLUGIN, "--convert-coverage-fail-under=1")
        assert result.ret == 1
        result.stdout.fnmatch_lines(["no project was covered: *", "FAIL  0.0 %*"])
