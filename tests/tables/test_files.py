"""From file to file: what is written is whole, and an interrupted run goes on."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from convert_sdk.cli.app import app
from convert_sdk.tables import TableError, assign, evaluate
from tests.documents import document, entity, every, experience, leaf

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed (extra duckdb)")

from convert_sdk import Project  # noqa: E402  # what follows needs duckdb
from convert_sdk.tables import files, parts  # noqa: E402  # as above

DOCUMENT = document(
    experience("100", "checkout"),
    experience("200", "banner", audiences=["51"]),
    audiences=[entity("51", "germans", every(leaf("country", "DE"), leaf("age", 18, "less", negated=True)))],
)
SHOP = Project.parse(json.dumps(DOCUMENT))
VISITORS = pa.table(
    {
        "id": [f"{n:05}" for n in range(1000)],
        "country": ["DE", "FR"] * 500,
        "age": [str(n % 40) for n in range(1000)],
    }
)
COLUMNS = assign(SHOP, VISITORS).column_names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a document and files of visitors."""
    monkeypatch.chdir(tmp_path)
    Path("shop.json").write_text(json.dumps(DOCUMENT))
    pq.write_table(VISITORS, "visitors.parquet", row_group_size=100)
    pyarrow.csv.write_csv(VISITORS, "visitors.csv")
    Path("visitors.jsonl").write_text("\n".join(map(json.dumps, VISITORS.to_pylist())))
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["assign", "shop.json", *arguments])
    assert result.exit_code == code, result.output
    return result


WANTED = [
    {name: None if x is None else str(x) for name, x in row.items()}
    for row in assign(SHOP, VISITORS).to_pylist()
]


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("visitors.parquet", "out.parquet"),
        ("visitors.parquet", "out.csv.gz"),
        ("visitors.csv", "out.parquet"),
        ("visitors.csv", "out.csv"),
        ("visitors.jsonl", "out.json"),
    ],
)
def test_every_format_from_and_to(here: Path, source: str, output: str) -> None:
    result = run(source, "-o", output)
    assert result.stdout == f"1,000 rows: {output}\n"
    read = f"read_csv('{output}', all_varchar=true)" if ".csv" in output else f"'{output}'"
    written = duckdb.connect().sql(f"FROM {read}").fetchall()
    shown = [
        {name: None if x is None else str(x) for name, x in zip(COLUMNS, row, strict=True)} for row in written
    ]
    assert shown == WANTED
    assert {each.name for each in here.iterdir()} == {
        "shop.json",
        "visitors.parquet",
        "visitors.csv",
        "visitors.jsonl",
        output,
    }


def test_globs_and_options(here: Path) -> None:
    pq.write_table(VISITORS.slice(0, 10).rename_columns(["user", "country", "years"]), "more-1.parquet")
    pq.write_table(VISITORS.slice(10, 10).rename_columns(["user", "country", "years"]), "more-2.parquet")
    run(
        "more-*.parquet",
        "-o",
        "out.parquet",
        "--visitor",
        "user",
        "--attribute",
        "country",
        "--attribute",
        "age=years",
        "--experience",
        "banner",
        "--keep",
        "user",
        "--location",
        "anywhere",
    )
    found = pq.read_table("out.parquet")
    assert found.column_names == [
        "user",
        "banner_variation_key",
        "banner_variation_id",
        "banner_reason",
        "banner_bucket_value",
    ]
    assert found["banner_reason"].to_pylist() == [row["banner_reason"] for row in WANTED[:20]]


@pytest.mark.parametrize("location", ["anywhere", "unknown"])
def test_a_location_without_facts_takes_no_columns(here: Path, location: str) -> None:
    more = ["--location", location, "--location-column", "path=country"]
    result = run("visitors.parquet", "-o", "out.parquet", *more, code=2)
    assert "Invalid value for --location-column: a location that" in result.output
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.parquet", "-o", "out.parquet"], "nothing.parquet: there is no such file"),
        (["visitors.parquet", "visitors.csv", "-o", "out.parquet"], "the files are of several formats"),
        (["visitors.parquet", "-o", "out.xlsx"], "out.xlsx: the name must end in one of .parquet"),
        (
            ["visitors.parquet", "-o", "out.parquet.gz"],
            "out.parquet.gz: the name must end in one of .parquet",
        ),
        (["visitors.parquet", "-o", "none/out.parquet"], "there is no folder none"),
        (["visitors.parquet", "-o", "visitors.parquet"], "it is one of the files that are read"),
        (
            ["visitors.parquet", "-o", "out.parquet", "--visitor", "user"],
            "visitor: the table has no column 'user'",
        ),
        (["damaged.parquet", "-o", "out.parquet"], "damaged.parquet: "),
        (["twice.parquet", "-o", "out.parquet"], "twice.parquet: it has two columns 'id'; rename one"),
        (["twice.parquet", "-o", "out/"], "twice.parquet: it has two columns 'id'; rename one"),
        (["twice.csv", "-o", "out.parquet"], "twice.csv: it has two columns 'id'; rename one"),
        (["twice.csv", "-o", "out/"], "twice.csv: it has two columns 'id'; rename one"),
        (
            ["capitals.parquet", "-o", "out.parquet"],
            "it has columns 'country' and 'COUNTRY', which only capitals",
        ),
        (["capitals.parquet", "-o", "out/"], "it has columns 'country' and 'COUNTRY', which only capitals"),
        (
            ["capitals.csv", "-o", "out.parquet"],
            "it has columns 'country' and 'COUNTRY', which only capitals",
        ),
        (["capitals.jsonl", "-o", "out/"], "it has columns 'COUNTRY' and 'country', which only capitals"),
        (["visitors.parquet", "-o", "shop.json/"], "shop.json: [Errno 17] File exists"),
        (["late.csv", "-o", "out.csv"], "late.csv: "),
    ],
)
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(
    here: Path, arguments: list[str], message: str
) -> None:
    Path("damaged.parquet").write_bytes(Path("visitors.parquet").read_bytes()[:-100])
    pq.write_table(VISITORS.rename_columns(["id", "country", "id"]), "twice.parquet")
    pyarrow.csv.write_csv(VISITORS.rename_columns(["id", "country", "id"]), "twice.csv")
    pq.write_table(VISITORS.rename_columns(["id", "country", "COUNTRY"]), "capitals.parquet")
    pyarrow.csv.write_csv(VISITORS.rename_columns(["id", "country", "COUNTRY"]), "capitals.csv")
    Path("capitals.jsonl").write_text('{"id": "a", "country": "DE", "COUNTRY": "FR"}')
    Path("uneven.csv").write_text("id,age\na\nb,20\nc,20,more\n")
    Path("late.csv").write_text("id,country,age\n" + "a,DE,20\n" * 50_000 + "b,DE,20,and,more\n")
    before = {each.name for each in here.iterdir()}
    result = run(*arguments, code=2)
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert {each.name for each in here.iterdir()} == before


def test_a_file_that_was_there_stays_where_the_run_fails(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("out.parquet").write_bytes(b"earlier")
    monkeypatch.setattr(evaluate, "_states", _broken)
    Path("bad.jsonl").write_text('{"id": "a", "state": "{}"}\n')
    with pytest.raises(RuntimeError, match="interrupted"):
        CliRunner().invoke(
            app,
            ["assign", "shop.json", "bad.jsonl", "-o", "out.parquet", "--state", "state"],
            catch_exceptions=False,
        )
    assert Path("out.parquet").read_bytes() == b"earlier"
    assert not list(here.glob(".*.part"))


def _broken(*_: object) -> None:
    raise RuntimeError("interrupted")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_ROWS", 200)


def manifest() -> dict[str, object]:
    found: dict[str, object] = json.loads(Path("out/_manifest.json").read_text())
    return found


def test_a_folder_has_parts_and_a_manifest(here: Path, small_parts: None) -> None:
    result = run("visitors.parquet", "-o", "out/")
    assert result.stdout == "1,000 rows: out\n"
    found = pa.concat_tables(pq.read_table(each) for each in sorted(Path("out").glob("part-*.parquet")))
    assert [
        {name: None if x is None else str(x) for name, x in row.items()} for row in found.to_pylist()
    ] == WANTED
    told = manifest()
    assert told["complete"] is True
    assert told["revision"] == SHOP.revision
    assert [each["row_groups"] for each in told["parts"]] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]  # type: ignore[attr-defined]  # a list


def test_an_interrupted_run_goes_on(here: Path, small_parts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Callable[..., int] = files.write_file
    written: list[str] = []

    def interrupted(schema: pa.Schema, batches: object, path: Path, kind: str) -> int:
        if len(written) == 3:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path.name)
        return write(schema, batches, path, kind)

    monkeypatch.setattr(parts, "write_file", interrupted)
    CliRunner().invoke(app, ["assign", "shop.json", "visitors.parquet", "-o", "out/"])
    assert sorted(each.name for each in Path("out").iterdir()) == [
        "_manifest.json",
        "part-000000.parquet",
        "part-000001.parquet",
        "part-000002.parquet",
    ]
    assert manifest()["complete"] is False
    kept = Path("out/part-000001.parquet").stat().st_mtime_ns
    monkeypatch.setattr(parts, "write_file", write)
    assert run("visitors.parquet", "-o", "out/").stdout == "1,000 rows: out\n"
    assert Path("out/part-000001.parquet").stat().st_mtime_ns == kept
    found = pa.concat_tables(pq.read_table(each) for each in sorted(Path("out").glob("part-*.parquet")))
    assert found.num_rows == 1000
    assert manifest()["complete"] is True


def test_a_run_that_is_killed_in_its_first_part_goes_on(here: Path) -> None:
    killed = """
import os, signal, sys
from pathlib import Path
from convert_sdk.cli.app import app
from convert_sdk.tables import parts

def write_file(schema, batches, path, kind):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

parts.write_file = write_file
app(["assign", "shop.json", "visitors.parquet", "-o", "out/"])
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert not list(Path("out").glob("*.parquet"))
    assert run("visitors.parquet", "-o", "out/").stdout == "1,000 rows: out\n"
    assert manifest()["complete"] is True


def test_the_next_run_removes_what_a_killed_one_has_left(here: Path) -> None:
    killed = """
import os, signal
from convert_sdk.cli.app import app
from convert_sdk.tables import files

def write_file(schema, batches, path, kind, compressed):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

files.write_file = write_file
app(["assign", "shop.json", "visitors.parquet", "-o", "out.parquet"])
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == -signal.SIGKILL
    assert len(list(here.glob(".out.parquet.*.part"))) == 1
    with Path(".out.parquet.1-0.part").open("wb") as alive:  # of a process that goes on
        fcntl.flock(alive, fcntl.LOCK_EX)
        run("visitors.parquet", "-o", "out.parquet")
        assert [each.name for each in here.glob(".*")] == [".out.parquet.1-0.part"]
    Path(".out.parquet.more.1-0.part").touch()  # of another file
    run("visitors.parquet", "-o", "out.parquet")
    assert [each.name for each in here.glob(".*")] == [".out.parquet.more.1-0.part"]


def test_two_threads_that_write_one_file_do_not_share_what_becomes_it(here: Path) -> None:
    path = here / "out.json"
    with files.replaced(path) as one:
        with files.replaced(path) as other:
            one.write_text("one and more")
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one and more"
    assert not list(here.glob(".out.json*"))


def test_of_two_processes_that_begin_at_once_the_second_question_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = parts._done
    looks: list[object] = []

    def late(output: Path, identity: Mapping[str, object]) -> dict[str, int] | None:
        looks.append(output)
        if len(looks) == 1:  # it finds nothing, and before it can go on another process has begun
            found = look(output, identity)
            run("visitors.parquet", "-o", "out/", "--experience", "banner")
            return found
        return look(output, identity)

    monkeypatch.setattr(parts, "_done", late)
    assert "another question" in run("visitors.parquet", "-o", "out/", code=2).stderr


def test_a_folder_on_a_file_system_without_links(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "hardlink_to", _unsupported)
    run("visitors.parquet", "-o", "out/")
    assert manifest()["complete"] is True


def _unsupported(*_: object) -> None:
    raise OSError(95, "Operation not supported")


def test_a_csv_with_columns_as_duckdb_renames_them_is_read(here: Path) -> None:
    pyarrow.csv.write_csv(VISITORS.rename_columns(["id", "country", "id_1"]), "named.csv")
    run("named.csv", "-o", "out.parquet", "--experience", "checkout")
    assert pq.read_schema("out.parquet").names[:3] == ["id", "country", "id_1"]


@pytest.mark.parametrize("name", ["v[1].parquet", "v*.parquet", "v?.parquet"])
def test_a_name_with_marks_of_a_glob_is_the_name_of_one_file(here: Path, name: str) -> None:
    pq.write_table(VISITORS.slice(0, 3), name)
    pq.write_table(VISITORS.slice(10, 5), "v1.parquet")
    run(name, "-o", "out.parquet")
    assert pq.read_table("out.parquet")["id"].to_pylist() == ["00000", "00001", "00002"]


@pytest.mark.parametrize("output", ["out.parquet", "out/"])
def test_the_columns_are_those_in_the_files(here: Path, output: str) -> None:
    folder = Path("country=DE")
    folder.mkdir()
    pq.write_table(VISITORS.drop(["country"]), folder / "v.parquet")
    run("country=DE/v.parquet", "-o", output, "--experience", "checkout")
    path = next(Path(output).glob("*.parquet")) if output == "out/" else Path(output)
    assert pq.read_schema(path).names[:3] == ["id", "age", "checkout_variation_key"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: Path("shop.json").write_text(json.dumps({**DOCUMENT, "more": 1})),
            "another revision of the document",
        ),
        (lambda: pq.write_table(VISITORS.slice(1), "visitors.parquet"), "another input"),
        (lambda: Path("out/_manifest.json").write_text("{"), "it cannot be read"),
        (lambda: Path("out/_manifest.json").write_text("[]"), "another version of the manifest"),
        (lambda: Path("out/_manifest.json").unlink(), "the folder is not empty and has no _manifest.json"),
    ],
)
def test_a_folder_of_another_assignment_is_refused(
    here: Path, change: Callable[[], object], message: str
) -> None:
    run("visitors.parquet", "-o", "out/")
    before = {each: each.read_bytes() for each in Path("out").glob("part*")}
    change()
    assert message in run("visitors.parquet", "-o", "out/", code=2).stderr
    assert {each: each.read_bytes() for each in Path("out").glob("part*")} == before


def test_a_value_in_the_middle_of_a_long_csv_makes_it_another_input(here: Path) -> None:
    lines = [f"{n:08}" for n in range(30_000)]
    Path("long.csv").write_text("\n".join(["id", *lines]))
    run("long.csv", "-o", "out/", "--experience", "checkout")
    lines[15_000] = "another8"
    Path("long.csv").write_text("\n".join(["id", *lines]))
    assert "another input" in run("long.csv", "-o", "out/", "--experience", "checkout", code=2).stderr


@pytest.mark.parametrize("output", ["out.parquet", "out/"])
def test_a_disk_that_is_full_is_said_of_the_output(
    here: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "write_file", _full)
    monkeypatch.setattr(parts, "write_file", _full)
    told = run("visitors.parquet", "-o", output, code=2).stderr
    assert told.startswith("error: out")
    assert "No space left on device" in told
    assert not list(here.rglob("*part*"))


def _full(*_: object, **__: object) -> int:
    raise OSError(28, "No space left on device")


def test_an_input_that_is_damaged_in_its_middle_is_said_of_the_input(here: Path) -> None:
    whole = bytearray(Path("visitors.parquet").read_bytes())
    whole[4:400] = bytes(396)
    Path("holed.parquet").write_bytes(whole)
    for output in ("out.parquet", "out/"):
        assert run("holed.parquet", "-o", output, code=2).stderr.startswith("error: holed.parquet: ")


def test_another_question_is_refused(here: Path) -> None:
    run("visitors.parquet", "-o", "out/")
    assert (
        "another question" in run("visitors.parquet", "-o", "out/", "--experience", "banner", code=2).stderr
    )


def test_files_of_other_columns_are_refused(here: Path) -> None:
    pq.write_table(VISITORS.drop(["age"]), "other.parquet")
    assert (
        "'age' is in one of them alone"
        in run("visitors.parquet", "other.parquet", "-o", "out/", code=2).stderr
    )


def test_a_folder_of_csv_has_a_part_for_each_file(here: Path) -> None:
    pyarrow.csv.write_csv(VISITORS.slice(0, 7), "more.csv")
    assert run("visitors.csv", "more.csv", "-o", "out").stdout == "1,007 rows: out\n"
    assert [each["rows"] for each in manifest()["parts"]] == [1000, 7]  # type: ignore[attr-defined]  # a list


def test_ids_of_json_stay_as_they_are_written(here: Path) -> None:
    for written in ("0f8fad5b-d9cb-469f-a165-70867728950E", "2020-01-01", "2020-01-01 10:00:00", "0012"):
        Path("odd.jsonl").write_text(json.dumps({"id": written}))
        run("odd.jsonl", "-o", "out.json", "--experience", "checkout")
        assert json.loads(Path("out.json").read_text())["id"] == written


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["DE", 5, True, None, "x", 1.5], ["DE", "5", "true", None, "x", "1.5"]),
        ([["2020-01-01"], ["x", 5]], [["2020-01-01"], ["x", "5"]]),
        ([{"at": "2020-01-01"}], [{"at": "2020-01-01"}]),
        ([{'"': {"to": ["12:00:00"]}}], [{'"': {"to": ["12:00:00"]}}]),
        (
            [{f"day {n}": "2020-01-01" for n in range(300)}],
            [[(f"day {n}", "2020-01-01") for n in range(300)]],
        ),
    ],
)
@pytest.mark.parametrize("output", ["out.parquet", "out/"])
def test_values_of_json_stay_as_they_are_written(
    here: Path, written: list[object], read: list[object], output: str
) -> None:
    Path("odd.jsonl").write_text("".join(json.dumps({"id": "v", "odd": each}) + "\n" for each in written))
    run("odd.jsonl", "-o", output, "--experience", "checkout")
    assert pq.read_table(output, columns=["odd"])["odd"].to_pylist() == read


def test_keys_and_types_that_come_late_in_json(here: Path) -> None:
    late = {"id": "00123", "country": "DE", "age": "twenty"}
    early = '{"id": 1, "age": 20}\n' * 30_000
    Path("late.jsonl").write_text(early + json.dumps(late) + "\n")
    run("late.jsonl", "-o", "out.parquet", "--experience", "banner")
    found = pq.read_table("out.parquet", columns=["id", "country", "age"])
    assert found.slice(30_000).to_pylist() == [late]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("id\n'a'\n'b'\n", ["'a'", "'b'"]),
        ("id,country\n#1,DE\n2,DE\n#3,DE\n", ["#1", "2", "#3"]),
        ("id\na;b\nc;d\n", ["a;b", "c;d"]),
        ('id\n"a""b"\n"c\nd"\n"e\\"\n', ['a"b', "c\nd", "e\\"]),
        ("id,2024\na,1\n", ["a"]),
        ("id;country\na;DE\n", ["a"]),
    ],
)
def test_ids_of_csv_stay_as_they_are_written(here: Path, written: str, read: list[str]) -> None:
    Path("odd.csv").write_text(written)
    run("odd.csv", "-o", "out.parquet", "--experience", "checkout", "--keep", "id")
    assert pq.read_table("out.parquet")["id"].to_pylist() == read


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["00123"]}, "'id' is string, and int64 in one.parquet"),
        ({"id": [3.5]}, "'id' is double, and int64 in one.parquet"),
        ({"id": [1], "country": ["DE"]}, "'country' is in one of them alone"),
    ],
)
def test_parquet_files_that_duckdb_would_cast_or_cut_are_refused(
    here: Path, columns: dict[str, list[object]], message: str
) -> None:
    pq.write_table(pa.table({"id": [1]}), "one.parquet")
    pq.write_table(pa.table(columns), "other.parquet")
    assert message in run("one.parquet", "other.parquet", "-o", "out.parquet", code=2).stderr


def test_csv_files_of_which_duckdb_would_leave_out_a_column_are_refused(here: Path) -> None:
    Path("one.csv").write_text("id,country\na,DE\n")
    Path("other.csv").write_text("country,id\nFR,b\n")
    run("one.csv", "other.csv", "-o", "out.parquet", "--experience", "checkout")
    assert pq.read_table("out.parquet")["id"].to_pylist() == ["a", "b"]
    Path("other.csv").write_text("id,country,age\na,DE,20\n")
    told = run("one.csv", "other.csv", "-o", "out.parquet", code=2).stderr
    assert "other.csv: its columns differ from those of one.csv: 'age' is in one of them alone" in told


def test_parquet_files_that_differ_in_the_width_of_their_types(here: Path) -> None:
    pq.write_table(pa.table({"id": [1], "country": ["DE"]}), "one.parquet")
    narrow = pa.table({"country": pa.array(["FR"]).dictionary_encode(), "id": pa.array([2], pa.int8())})
    pq.write_table(narrow, "two.parquet")
    pq.write_table(pa.table({"id": [3], "country": pa.nulls(1)}), "three.parquet")
    run("one.parquet", "two.parquet", "three.parquet", "-o", "out.parquet", "--experience", "checkout")
    found = pq.read_table("out.parquet")
    assert (found["id"].to_pylist(), found["country"].to_pylist()) == ([1, 2, 3], ["DE", "FR", None])


def test_columns_of_lists_are_kept(here: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "seen": [["x", "y"]]}), "lists.parquet")
    run("lists.parquet", "-o", "out.parquet", "--experience", "checkout")
    assert pq.read_table("out.parquet")["seen"].to_pylist() == [["x", "y"]]


def test_results_that_only_capitals_tell_apart(here: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "Checkout_Reason": ["x"]}), "capitals.parquet")
    for output in ("out.csv", "out.json"):
        told = run("capitals.parquet", "-o", output, "--experience", "checkout", code=2).stderr
        assert "'Checkout_Reason' and 'checkout_reason', which only capitals tell apart" in told
    run("capitals.parquet", "-o", "out.parquet", "--experience", "checkout")
    assert {"Checkout_Reason", "checkout_reason"} <= {*pq.read_schema("out.parquet").names}


def test_the_function_of_a_query(here: Path) -> None:
    from convert_sdk.tables.udf import register_udf

    connection = duckdb.connect()
    register_udf(connection, SHOP, "banner", {"country": "VARCHAR", "age": "INTEGER"})
    query = "SELECT convert_assign(id, {'country': country, 'age': age::INTEGER}) FROM 'visitors.parquet'"
    found = [row[0] for row in connection.sql(query).fetchall()]
    assert [each["variation_key"] for each in found] == [row["banner_variation_key"] for row in WANTED]
    assert [each["reason"] for each in found] == [row["banner_reason"] for row in WANTED]


def test_a_function_of_a_query_says_once_what_nothing_gives(caplog: pytest.LogCaptureFixture) -> None:
    from convert_sdk.tables.udf import register_udf

    connection = duckdb.connect()
    with pytest.raises(TableError, match="experiences: the project has no 'nothing'"):
        register_udf(connection, SHOP, "nothing", {"country": "VARCHAR"})
    register_udf(connection, SHOP, "banner", {"country": "VARCHAR"})
    query = "SELECT convert_assign('v-' || n, {'country': 'DE'}) FROM range(10_000) AS numbers (n)"
    assert len(connection.sql(query).fetchall()) == 10_000
    told = [each.getMessage() for each in caplog.records]
    assert told == ["rules ask for age, which the function's arguments do not give"]
