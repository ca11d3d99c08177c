"""The audit of logged exposures: what agrees, and the cause of what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from convert_sdk.cli.app import app
from convert_sdk.project import Project
from convert_sdk.tables import TableError, assign
from convert_sdk.tables.audit import AuditColumns, audit
from tests.documents import document, experience, variation

DOCUMENT = document(
    experience("100", "checkout"),
    experience("200", "banner", variations=[variation("3", 20), variation("4", 30)]),
)
SHOP = Project.parse(json.dumps(DOCUMENT))
ROWS = 2_000


def logged(key: str = "checkout") -> pa.Table:
    """Exposures as they were decided."""
    decided = assign(SHOP, pa.table({"visitor_id": [f"v-{n}" for n in range(ROWS)]}), visitor="visitor_id")
    found = decided.filter(decided[f"{key}_variation_id"].is_valid())
    return pa.table(
        {
            "visitor_id": found["visitor_id"],
            "experience": [key] * len(found),
            "variation": found[f"{key}_variation_id"].cast(pa.string()),
        }
    )


def other(variation_id: str) -> str:
    return {"1": "2", "2": "1"}[variation_id]


def test_what_was_decided_agrees() -> None:
    both = pa.concat_tables([logged(), logged("banner")])
    report = audit(SHOP, both)
    assert (report.rows, report.agreed, report.mismatches, report.real) == (len(both), len(both), {}, 0)
    assert report.by_experience == {"checkout": {"agreed": ROWS}, "banner": {"agreed": len(both) - ROWS}}
    assert report.mismatched.num_rows == 0
    assert not report.exceeds(0)


def test_keys_in_place_of_ids() -> None:
    table = logged()
    keys = pa.table(
        {
            "visitor_id": table["visitor_id"],
            "experience": ["100"] * ROWS,
            "variation": [f"arm-{each}" for each in table["variation"].to_pylist()],
        }
    )
    assert audit(SHOP, keys).agreed == ROWS


def test_every_cause() -> None:
    rows = logged().slice(0, 9).to_pylist()
    elsewhere = next(row for row in logged().to_pylist() if row["variation"] != rows[5]["variation"])
    shop = SHOP.revision
    columns = AuditColumns(reason="reason", revision="revision", other_ids=("user",))
    changes: list[dict[str, object]] = [
        {},
        {"variation": other(rows[1]["variation"])},
        {"variation": other(rows[2]["variation"]), "reason": "sticky"},
        {"variation": other(rows[3]["variation"]), "reason": "forced", "revision": "old"},
        {"variation": other(rows[4]["variation"]), "reason": "sticky", "revision": "old"},
        {"visitor_id": elsewhere["visitor_id"], "user": rows[5]["visitor_id"]},
        {"variation": "nothing"},
        {"experience": "nothing"},
        {"visitor_id": None},
    ]
    usual = {"reason": "bucketed", "revision": shop, "user": None}
    given = [{**usual, **row, **more} for row, more in zip(rows, changes, strict=True)]
    report = audit(SHOP, pa.Table.from_pylist(given), columns)
    assert (report.rows, report.agreed) == (9, 1)
    assert report.mismatches == {
        "real": 1, "sticky": 1, "forced": 1, "other_revision": 1, "other_id": 1, "unknown": 2, "no_id": 1,
    }  # fmt: skip
    assert sorted(report.mismatched["cause"].to_pylist()) == sorted([*report.mismatches, "unknown"])
    real = next(row for row in report.mismatched.to_pylist() if row["cause"] == "real")
    assert real["expected_variation"] == f"arm-{rows[1]['variation']}"
    assert report.exceeds(0.1)
    assert not report.exceeds(0.2)


def test_a_sample_ratio_that_does_not_hold_is_seen_on_its_day() -> None:
    table = logged("banner")
    ids = table["variation"].to_pylist()
    days = [
        "2026-01-01T10:00:00" if n % 2 or ids[n] == "3" else "2026-01-02T10:00:00" for n in range(len(table))
    ]
    skewed = table.append_column("time", pa.array(days))
    report = audit(SHOP, skewed, AuditColumns(time="time"))
    first, second = report.days
    assert (first.day, second.day) == ("2026-01-01", "2026-01-02")
    assert sum(first.counts.values()) + sum(second.counts.values()) == len(table)
    assert first.counts["arm-3"] == ids.count("3")
    assert second.counts == {"arm-3": 0, "arm-4": days.count("2026-01-02T10:00:00")}
    assert second.p_value is not None
    assert second.p_value < 1e-6
    (fair,) = audit(
        SHOP, table.append_column("time", pa.array(["2026-01-01"] * len(table))), AuditColumns(time="time")
    ).days
    assert fair.p_value is not None
    assert fair.p_value > 0.001


def test_a_day_of_a_few_visitors_is_too_few_to_tell() -> None:
    few = logged("banner").slice(0, 3)
    timed = few.append_column("time", pa.array(["2026-01-01"] * 3))
    (day,) = audit(SHOP, timed, AuditColumns(time="time")).days
    assert sum(day.counts.values()) == 3
    assert day.p_value is None


def test_a_day_counts_each_visitor_once_and_nobody_who_was_forced() -> None:
    table = logged().slice(0, 40)
    days, usual = pa.array(["2026-01-01"] * 40), pa.array(["bucketed"] * 40)
    once = table.append_column("time", days).append_column("reason", usual)
    rows = once.to_pylist()
    again = pa.Table.from_pylist([*rows, *[rows[0]] * 60])
    tester = {**rows[0], "variation": "1", "reason": "forced"}
    forced = pa.Table.from_pylist([*rows, *({**tester, "visitor_id": f"tester-{n}"} for n in range(60))])
    columns = AuditColumns(time="time", reason="reason")
    (first,), *others = (audit(SHOP, each, columns).days for each in (once, again, forced))
    assert sum(first.counts.values()) == 40
    assert others == [(first,), (first,)]


def test_a_day_counts_a_visitor_by_the_id_that_was_hashed() -> None:
    """A visitor who is the same in two batches, and whose other id gave the variation."""
    table = logged("banner")
    count = len(table)
    swapped = pa.table(
        {
            "visitor_id": [f"device-{n % (count // 2)}" for n in range(count)],
            "user": table["visitor_id"],
            "experience": table["experience"],
            "variation": table["variation"],
            "time": ["2026-01-01"] * count,
        }
    )
    (day,) = audit(SHOP, swapped, AuditColumns(time="time", other_ids=("user",))).days
    told = table["variation"].to_pylist()
    met = {(n % (count // 2), told[n]) for n in range(count)}
    assert day.counts == {f"arm-{each}": sum(arm == each for _, arm in met) for each in "34"}


def test_a_day_that_cannot_be_read_is_none() -> None:
    table = logged().slice(0, 2)
    times = pa.array([b"2026-01-01", b"\xff"], pa.binary()).cast(pa.string(), safe=False)
    (day,) = audit(SHOP, table.append_column("time", times), AuditColumns(time="time")).days
    assert (day.day, sum(day.counts.values())) == ("2026-01-01", 1)


def test_views_of_text_as_polars_gives_them() -> None:
    table = logged().slice(0, 4)
    told = table["variation"].to_pylist()
    views = {name: pa.array(table[name].to_pylist(), pa.string_view()) for name in table.column_names}
    views["variation"] = pa.array([told[0], other(told[1]), *told[2:]], pa.string_view())
    seen = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3, 4], pa.int32()), views["visitor_id"])
    report = audit(SHOP, pa.table({**views, "seen": seen}))
    assert (report.agreed, report.mismatches) == (3, {"real": 1})
    row = table.slice(1, 1).to_pylist()[0]
    assert report.mismatched.to_pylist() == [
        {
            **row,
            "variation": other(told[1]),
            "seen": [row["visitor_id"]],
            "cause": "real",
            "expected_variation": f"arm-{told[1]}",
        }
    ]


@pytest.mark.parametrize(
    ("times", "day"),
    [
        (pa.array([1_700_000_000_123_456_789] * ROWS, pa.timestamp("ns")), "2023-11-14"),
        (pa.array([1_700_000_000] * ROWS, pa.timestamp("s", "Asia/Tokyo")), "2023-11-15"),
        (pa.array([19_675] * ROWS, pa.date32()), "2023-11-14"),
        (pa.array(["2023-11-14 and so on"] * ROWS).dictionary_encode(), "2023-11-14"),
    ],
)
def test_days_of_every_kind_of_time(times: pa.Array, day: str) -> None:
    report = audit(SHOP, logged().append_column("at", times), AuditColumns(time="at"))
    assert [(each.experience, each.day) for each in report.days] == [("checkout", day)]


def test_a_time_that_has_no_day() -> None:
    table = logged().append_column("at", pa.array([1_700_000_000] * ROWS))
    with pytest.raises(TableError, match="time: column 'at' is int64; it must be a date"):
        audit(SHOP, table, AuditColumns(time="at"))


def test_what_is_no_log() -> None:
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        audit(SHOP, [])
    with pytest.raises(TableError, match="visitor: the table has no column 'visitor_id'"):
        audit(SHOP, pa.table({"id": ["a"]}))
    with pytest.raises(TableError, match="a visitor's id is text or a whole number"):
        audit(SHOP, logged().append_column("user", pa.array([0.5] * ROWS)), AuditColumns(other_ids=("user",)))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb", reason="duckdb is not installed (extra duckdb)")
    monkeypatch.chdir(tmp_path)
    Path("shop.json").write_text(json.dumps(DOCUMENT))
    pq.write_table(logged(), "good.parquet")
    good = CliRunner().invoke(app, ["audit", "shop.json", "good.parquet"])
    assert good.exit_code == 0, good.output
    assert good.stdout.splitlines() == [
        "2,000 exposures, 2,000 as the hash gives them",
        "checkout: 2,000 agreed",
    ]
    rows = logged().to_pylist()
    rows[0]["variation"] = other(rows[0]["variation"])
    pq.write_table(pa.Table.from_pylist(rows), "bad.parquet")
    bad = CliRunner().invoke(app, ["audit", "shop.json", "bad.parquet", "--json", "-o", "rows.parquet"])
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["mismatches"] == {"real": 1}
    assert pq.read_table("rows.parquet")["visitor_id"].to_pylist() == ["v-0"]
    assert CliRunner().invoke(app, ["audit", "shop.json", "bad.parquet", "--bound", "0.001"]).exit_code == 0
    assert CliRunner().invoke(app, ["audit", "shop.json", "none.parquet"]).exit_code == 2
