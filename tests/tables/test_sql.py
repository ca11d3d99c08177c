"""SQL for other engines: run on DuckDB and compared row by row; the others are in tests/servers."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from convert_sdk import ANYWHERE, Project
from convert_sdk._core.bucketing import Bucketing
from convert_sdk._core.facts import Place
from convert_sdk._core.operators import OPERATORS
from convert_sdk._core.problem import ignore
from convert_sdk._core.rules import Condition, compile_rules
from convert_sdk._core.values import MISSING
from convert_sdk.cli.app import app
from convert_sdk.tables import Constant, TableError, assign
from convert_sdk.tables.plan import Columns
from convert_sdk.tables.sql import DIALECTS, write_sql
from convert_sdk.tables.sql.conditions import Conditions
from convert_sdk.tables.sql.golden import golden_rows
from tests.documents import Json, bucketed_into, document, entity, every, experience, leaf, project
from tests.tables.sql_shop import COLUMNS, SHOP, VISITORS, visitors

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed (extra duckdb)")

COMPARANDS: list[object] = [
    *("DE", "", " ", "30", "30.0", "1e21", "a|B|30", "true", "null", "i", "k", "K", "x'y\\z", "NaN "),
    *(30, 30.5, -0.0, True, None, [30, "DE"]),
]
TEXTS = ["DE", "de", "", "30", "a", "a|x", "B", "İstanbul", "\u212a", "k", "ß", "true", "null", "|", "日本"]
VALUES: dict[str, tuple[pa.DataType, list[object]]] = {
    "text": (pa.string(), [*TEXTS, "x'y\\z", "x'y\\", None]),
    "number": (pa.float64(), [30.0, 30.5, -0.0, 0.0, 1e21, 29.999, float("nan"), float("inf"), None, -1.0]),
    "boolean": (pa.bool_(), [True, False, None]),
}


@pytest.mark.parametrize("nulls_are_missing", [False, True])
@pytest.mark.parametrize("kind", sorted(VALUES))
def test_every_condition_that_can_be_said_is_as_in_the_core(kind: str, nulls_are_missing: bool) -> None:
    arrow, values = VALUES[kind]
    said: list[tuple[Condition, str]] = []
    refused = 0
    for operator, comparand, negated in product(sorted(OPERATORS), COMPARANDS, [False, True]):
        rules = compile_rules(every(leaf("x", comparand, operator, negated=negated)), "$", ignore)
        conditions = Conditions(DIALECTS["duckdb"], {"x": kind}, nulls_are_missing=nulls_are_missing)
        expression = conditions.rules(rules)
        if conditions.refused:
            refused += 1
        else:
            said.append((rules[0][0][0], expression))
    connection = duckdb.connect()
    connection.register("cells", pa.table({"x": pa.array(values, arrow)}))
    found = connection.table("cells").select(", ".join(each for _, each in said)).fetchall()
    for row, value in zip(found, values, strict=True):
        asked = MISSING if value is None and nulls_are_missing else value
        assert list(row) == [condition.test(asked) for condition, _ in said], value
    assert len(said) > 150
    assert refused == 0 if kind == "boolean" else refused > 0


def test_two_characters_alone_have_ascii_in_their_lower_case() -> None:
    beyond = map(chr, range(128, 0x110000))
    changed = [each for each in beyond if each.lower() != each]
    assert [each for each in changed if min(each.lower()) < "\x80"] == ["\u0130", "\u212a"]


def view(shop: Project, table: pa.Table, columns: dict[str, str], **more: object) -> pa.Table:
    """The view of a script, run on DuckDB."""
    connection = duckdb.connect()
    connection.register("visitors", table)
    connection.execute(write_sql(shop, "duckdb", columns, **more))  # type: ignore[arg-type]  # as the caller says
    return pa.table(connection.sql("SELECT * FROM assigned"))


@pytest.mark.soak
def test_the_view_is_what_assign_gives_for_a_million_rows() -> None:
    table = visitors(1_000_000)
    wanted, found = assign(SHOP, table), view(SHOP, table, COLUMNS)
    assert found.column_names == wanted.column_names
    for name in wanted.column_names:
        assert found[name].to_pylist() == wanted[name].to_pylist(), name


def test_the_view_is_what_assign_gives() -> None:
    wanted = assign(SHOP, VISITORS).to_pylist()
    assert view(SHOP, VISITORS, COLUMNS).to_pylist() == wanted
    assert len({row["packed_variation_id"] for row in wanted}) > 2
    assert (
        view(SHOP, VISITORS, COLUMNS, experiences=["anchored"], nulls="missing").num_columns
        == 1 + len(COLUMNS) + 4
    )


@pytest.mark.parametrize(
    "bucketing",
    [Bucketing(max_traffic=500), Bucketing(seed=2**32 - 1), Bucketing(exclude_experience_id=True)],
)
def test_other_parameters_of_the_hash(bucketing: Bucketing) -> None:
    shop = SHOP.with_bucketing(bucketing)
    assert view(shop, VISITORS, COLUMNS).to_pylist() == assign(shop, VISITORS).to_pylist()


def test_gates_that_no_column_changes() -> None:
    rules = every(leaf("url", "/cart"))
    shop = project(
        experience("100", "gone"),
        experience("200", "qa", environment="qa"),
        experience("300", "here", locations=["61"]),
        experience("400", "nobody", variations=[]),
        experience("500", "members", audiences=["71"]),
        experience("600", "apart", audiences=["52"]),
        experience("700", "without", audiences=["53"]),
        archived_experiences=["100"],
        locations=[entity("61", "cart", rules)],
        segments=[entity("71", "vip", rules)],
        audiences=[
            entity("52", "not in gone", every(bucketed_into("gone", negated=True))),
            entity("53", "empty"),
        ],
    )
    table = pa.table({"id": ["a", "b", "", None]})
    places: list[tuple[Place, Place | Columns, str | None]] = [
        ({}, {}, "qa"),
        ({"url": "/cart"}, {"url": Constant("/cart")}, None),
        (None, None, None),
    ]
    for place, same, environment in places:
        wanted = assign(shop, table, location=same, environment=environment)
        assert (
            view(shop, table, {}, location=place, environment=environment).to_pylist() == wanted.to_pylist()
        )


def test_an_engine_that_hashes_otherwise_fails_the_query() -> None:
    script = write_sql(SHOP, "duckdb", COLUMNS)
    broken = script.replace("3432918353", "3432918355")
    assert broken != script
    connection = duckdb.connect()
    connection.register("visitors", VISITORS)
    with pytest.raises(duckdb.Error, match="the self-check failed"):
        connection.execute(broken)
    assert connection.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall() == [
        ("visitors",)
    ]


def test_fifty_golden_rows() -> None:
    rows = golden_rows(Bucketing())
    assert len({row.text for row in rows}) == 50
    assert (rows[0].text, rows[0].hashed) == ("", 3523940263)
    assert any(not row.text.isascii() for row in rows)


@pytest.mark.parametrize(
    ("rule", "columns", "message"),
    [
        (leaf("country", "DE"), {}, "equals on 'country' has no declared type"),
        (
            leaf("url", "^/a", "regexMatches"),
            {"url": "text"},
            "regexMatches on 'url' is a regular expression",
        ),
        (leaf("age", 18, "less"), {"age": "text"}, "less on 'age' reads numbers out of text"),
        (leaf("age", "1", "contains"), {"age": "number"}, "contains on 'age' compares the text of a number"),
        (leaf("city", "münchen"), {"city": "text"}, "equals on 'city' compares with 'münchen'"),
        (leaf("age", "Infinity"), {"age": "number"}, "which is no finite number"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(rule: Json, columns: dict[str, str], message: str) -> None:
    shop = project(experience(audiences=["51"]), audiences=[entity("51", "a", every(rule))])
    with pytest.raises(TableError) as caught:
        write_sql(shop, "duckdb", columns)
    assert message in str(caught.value)


def test_arguments_that_name_nothing() -> None:
    with pytest.raises(TableError, match="dialect must be one of duckdb, spark"):
        write_sql(SHOP, "oracle", {})
    with pytest.raises(TableError, match="nulls must be"):
        write_sql(SHOP, "duckdb", COLUMNS, nulls="gone")  # type: ignore[arg-type]  # as the command may
    with pytest.raises(TableError, match="'age' must be one of text, number, boolean, not 'integer'"):
        write_sql(SHOP, "duckdb", {"age": "integer"})
    with pytest.raises(TableError, match=r"max_traffic of 0\.5"):
        write_sql(SHOP.with_bucketing(Bucketing(max_traffic=0.5)), "duckdb", COLUMNS)


@pytest.mark.parametrize(
    ("columns", "visitor", "message"),
    [
        ({"country": "text", "Country": "text"}, "id", "'country' and 'Country', which are one to SQL"),
        ({"checkout_Reason": "text"}, "id", "'checkout_Reason' and 'checkout_reason'"),
        ({}, "checkout_variation_id", "'checkout_variation_id' and 'checkout_variation_id'"),
        ({"convert_fault": "text"}, "id", "'convert_fault' and 'convert_fault'"),
        ({"convert_gate_0": "text"}, "id", "'convert_gate_0' and 'convert_gate_0'"),
    ],
)
def test_columns_that_are_one_to_sql(columns: dict[str, str], visitor: str, message: str) -> None:
    with pytest.raises(TableError, match=message):
        write_sql(project(experience("100", "checkout")), "duckdb", columns, visitor=visitor)


def test_a_project_s_ids_stay_in_the_comment() -> None:
    shop = project(experience("100", "checkout"), project={"id": "2\nDROP TABLE visitors;"})
    first, second = write_sql(shop, "duckdb", {}).splitlines()[:2]
    assert "project 1/2 DROP TABLE visitors;, revision" in first
    assert second == ""


@pytest.mark.parametrize("dialect", ["bigquery", "snowflake"])
def test_engines_that_we_do_not_run_say_so_and_get_equality_alone(dialect: str) -> None:
    german = project(
        experience(audiences=["51"]), audiences=[entity("51", "a", every(leaf("country", "DE")))]
    )
    script = write_sql(german, dialect, {"country": "text"})
    assert script.splitlines()[1].startswith("-- NOT RUN BY US")
    assert all(str(row.hashed) in script for row in golden_rows(Bucketing()))
    with pytest.raises(TableError, match="we do not run it there"):
        write_sql(SHOP, dialect, COLUMNS)


def test_the_function_in_javascript_hashes_as_the_sdk_does(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("only where node is installed: it is what BigQuery and Snowflake run the function with")
    function = DIALECTS["snowflake"].functions(9999).partition("$$")[2].rpartition("$$")[0]
    texts = [row.text for row in golden_rows(Bucketing())]
    program = f"const f = (T) => {{ {function} }}; console.log(JSON.stringify({json.dumps(texts)}.map(f)))"
    found = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == [row.hashed for row in golden_rows(Bucketing())]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    german = document(
        experience(audiences=["51"]), audiences=[entity("51", "a", every(leaf("country", "DE")))]
    )
    Path("shop.json").write_text(json.dumps(german))
    arguments = ["sql", "shop.json", "--dialect", "duckdb"]
    result = CliRunner().invoke(app, [*arguments, "--column", "country=text", "--location", "anywhere"])
    assert result.stdout == write_sql(
        Project.load("shop.json"), "duckdb", {"country": "text"}, location=ANYWHERE
    )
    refused = CliRunner().invoke(app, [*arguments, "-o", "view.sql"])
    assert (refused.exit_code, Path("view.sql").exists()) == (2, False)
    assert "equals on 'country' has no declared type" in refused.stderr
    for wrong in (["--column", "country"], ["--location", "["], ["--location", "[]"]):
        assert CliRunner().invoke(app, [*arguments, *wrong]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "--column", "country=text", "-o", "view.sql"]).exit_code == 0
    assert Path("view.sql").read_text().startswith("-- convert-sdk: project 1/2")
