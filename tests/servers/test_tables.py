"""Engines for tables that are programs of their own: Spark and PostgreSQL."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO, StringIO
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra arrow)")

import pyarrow as pa  # what follows needs it
import pyarrow.csv  # as above

from convert_sdk.tables import assign  # as above
from convert_sdk.tables.spark import Assigner  # as above
from convert_sdk.tables.sql import write_sql  # as above
from tests.processes import ROOT  # as above
from tests.servers.programs import free_port, server_program  # as above
from tests.tables.sql_shop import COLUMNS, SHOP, VISITORS, visitors  # as above

JAVA = Path("/usr/lib/jvm/java-17-openjdk-amd64")
JOB = 1_800.0
"""Seconds after which a job must be hanging. Its cluster lives longer: without workers a job waits for ever."""


def spark_job(master: str, rows: int, parts: int, *keys: str) -> dict[str, object]:
    """What `spark_job` found, with a Spark at this master."""
    pytest.importorskip("pyspark", reason="pyspark is not installed (extra spark)")
    if not JAVA.is_dir() and shutil.which("java") is None:
        pytest.skip("java is not installed (Debian: openjdk-17-jre-headless)")
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    if JAVA.is_dir():
        environment["JAVA_HOME"] = str(JAVA)
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.spark_job", master, str(rows), str(parts), *keys],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=JOB,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_spark_decides_as_assign_does_by_arrow_and_by_sql() -> None:
    found = spark_job("local[2]", 500, 2, "anchored")
    assert (found["rows"], found["assign_is_equal"], found["sql_is_equal"]) == (500, True, True)
    assert found["checks"] == [{"self_check": "ok"}]


@pytest.mark.soak
def test_a_cluster_of_two_workers_decides_as_assign_does() -> None:
    """With one worker and with two; their times, and those of handing on the same batches, are written beside it."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed (extra spark)")
    home = Path(str(pyspark.__file__)).parent
    launcher, port = str(home / "bin" / "spark-class"), free_port()
    found = {}
    deploy, master = "org.apache.spark.deploy", f"spark://127.0.0.1:{port}"
    java = {"JAVA_HOME": str(JAVA)} if JAVA.is_dir() else {}
    for workers in (1, 2):
        with ExitStack() as stack:
            stack.enter_context(
                server_program(
                    launcher, f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port),
                    "--webui-port", "0", at=("127.0.0.1", port), env=java, patience=2 * JOB,
                )
            )  # fmt: skip
            for _ in range(workers):
                own = free_port()
                stack.enter_context(
                    server_program(
                        launcher, f"{deploy}.worker.Worker", "--cores", "1", "--memory", "1g", "--host", "127.0.0.1",
                        "--port", str(own), "--webui-port", "0", master, at=("127.0.0.1", own), env=java,
                        patience=2 * JOB,
                    )
                )  # fmt: skip
            found[workers] = spark_job(master, 1_000_000, 4, "anchored")
    for each in found.values():
        assert (each["rows"], each["assign_is_equal"], each["sql_is_equal"]) == (1_000_000, True, True)
    ratios = {
        name: float(str(found[1][name])) / float(str(found[2][name]))
        for name in ("identity_seconds", "assign_seconds")
    }
    sys.stderr.write(f"two workers over one: {ratios}; {found}\n")


Psql = Callable[..., str]


@pytest.fixture(scope="module")
def psql() -> Iterator[Psql]:
    """A PostgreSQL server of its own; the answer runs a script and gives what it prints."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not binaries:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    programs = binaries[-1].parent
    folder = Path(
        tempfile.mkdtemp(prefix="convert-sdk-postgres-")
    )  # of its own: pytest's folders are closed to others
    user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(folder, "postgres")
    data, port = folder / "data", free_port()

    def run(*command: str | Path, stdin: str = "") -> str:
        done = subprocess.run(
            [*user, *map(str, command)], input=stdin, capture_output=True, text=True, cwd="/", check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(programs / "initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = f"-p {port} -c listen_addresses= -c fsync=off -k {folder}"
    run(programs / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield lambda script: run(
            programs / "psql", "-h", folder, "-p", str(port), "-U", "postgres" if user else os.environ["USER"],
            "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-q", stdin=script,
        )  # fmt: skip
    finally:
        run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


def postgres_gives_what_assign_gives(psql: Psql, table: pa.Table) -> None:
    """Run the script on a server that has this table alone, and compare every cell of its view."""
    fields = StringIO()
    writer = csv.writer(fields, lineterminator="\n")
    for row in table.to_pylist():
        writer.writerow(r"\N" if value is None else value for value in row.values())
    psql(
        "DROP TABLE IF EXISTS visitors CASCADE;\n"
        "CREATE TABLE visitors (id text, country text, age double precision, plan text, member boolean);\n"
        f"COPY visitors FROM STDIN (FORMAT csv, NULL '\\N');\n{fields.getvalue()}\\.\n"
    )
    assert "ok" in psql(write_sql(SHOP, "postgres", COLUMNS))
    wanted = assign(SHOP, table).to_pydict()
    told = psql("COPY (SELECT * FROM assigned) TO STDOUT (FORMAT csv, HEADER, NULL '\\N');")
    found = pyarrow.csv.read_csv(
        BytesIO(told.encode()),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: as_read(values) for name, values in wanted.items()},
            null_values=[r"\N"],
            strings_can_be_null=True,
            true_values=["t"],
            false_values=["f"],
        ),
    ).to_pydict()
    order = {each: row for row, each in enumerate(found["id"])}
    assert len(order) == len(table)
    rows = [order[each] for each in wanted["id"]]
    for name, values in wanted.items():
        assert [found[name][row] for row in rows] == values, name


def as_read(values: list[object]) -> pa.DataType:
    """The type of a column that holds these values."""
    return pa.array([each for each in values if each is not None][:1]).type


def test_postgres_decides_as_assign_does(psql: Psql) -> None:
    postgres_gives_what_assign_gives(psql, VISITORS)


@pytest.mark.soak
def test_postgres_does_so_for_a_million_rows(psql: Psql) -> None:
    postgres_gives_what_assign_gives(psql, visitors(1_000_000))


def test_a_postgres_that_hashes_otherwise_fails_the_script(psql: Psql) -> None:
    script = write_sql(SHOP, "postgres", COLUMNS)
    broken = script.replace("11601", "11603").replace("CREATE OR REPLACE VIEW assigned", "CREATE VIEW broken")
    assert broken != script
    with pytest.raises(AssertionError, match="the self-check failed"):
        psql(broken)
    assert (
        "broken"
        not in psql("SELECT table_name FROM information_schema.views WHERE table_name = 'broken';").partition(
            "\n"
        )[2]
    )


def test_dask_takes_an_assigner() -> None:
    bag = pytest.importorskip("dask.bag", reason="dask is not installed (group servers)")
    halves = [VISITORS.slice(0, 250), VISITORS.slice(250)]
    found = bag.from_sequence(halves).map(Assigner(SHOP)).compute(scheduler="processes", num_workers=2)
    assert [row for table in found for row in table.to_pylist()] == assign(SHOP, VISITORS).to_pylist()


@pytest.mark.soak
def test_ray_takes_an_assigner() -> None:
    """In a process of its own: Ray leaves threads, and warnings, behind. Its 200 MB are not a part of any group."""
    pytest.importorskip("ray", reason="ray is not installed (pip install 'ray[data]')")
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.ray_job"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "equal"
