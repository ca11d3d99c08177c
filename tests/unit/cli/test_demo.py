from __future__ import annotations

import json
import socket
from collections.abc import Callable
from math import comb
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("starlette", reason="needs the extra server")
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from convert_sdk import Client
from convert_sdk.analysis.sample_ratio import chi_square, p_value
from convert_sdk.cli.app import app
from convert_sdk.demo.experiments import run
from convert_sdk.server import LocalServer
from tests.processes import finished
from tests.servers.programs import free_port
from tests.waiting import eventually

RUN = CliRunner()
DOCUMENT = str(Path(__file__).parents[3] / "convert_sdk" / "server" / "demo_document.json")


def figures(*options: str) -> dict[str, Any]:
    done = RUN.invoke(app, ["demo", "--json", "--visitors", "300", *options])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def met(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of the demonstration lasts until a request has met it, however slow the sender is."""
    clients: list[Client] = []
    make, start = run._client, LocalServer.start

    def is_met() -> bool:
        return clients[-1].status().retries > 0

    def client(*arguments: Any) -> Client:
        clients.append(make(*arguments))
        return clients[-1]

    def start_again(server: LocalServer) -> None:
        if clients:
            eventually(is_met)
        start(server)

    def timer(seconds: float, end: Callable[[], object]) -> Timer:
        def end_once_met() -> None:
            eventually(is_met)
            end()

        return Timer(seconds, end_once_met)

    monkeypatch.setattr(run, "_client", client)
    monkeypatch.setattr(LocalServer, "start", start_again)
    monkeypatch.setattr(run, "Timer", timer)


class TestDemo:
    def test_everything_arrives(self) -> None:
        found = figures()
        assert found["visitors"] == 300
        assert found["decisions"] == 6 * 300
        assert found["events_offered"] == found["events_sent"] == found["events_received"] > 300
        assert found["events_lost"] == found["events_repeated"] == 0
        assert found["us_per_decision"] > 0

    def test_the_same_seed_gives_the_same_visitors(self) -> None:
        assert figures("--seed", "7")["sample_ratio_p"] == figures("--seed", "7")["sample_ratio_p"]

    @pytest.mark.usefixtures("met")
    def test_nothing_is_lost_while_the_server_is_gone(self) -> None:
        found = figures("--kill-server", "--port", str(free_port()))
        assert found["events_received"] == found["events_offered"]
        assert found["retries"] > 0

    @pytest.mark.usefixtures("met")
    def test_nothing_is_lost_while_the_server_fails(self) -> None:
        found = figures("--fail-for", "0.3")
        assert found["events_received"] == found["events_offered"]
        assert found["retries"] > 0

    def test_it_listens_where_it_is_told(self) -> None:
        port = free_port()
        with socket.create_server(("127.0.0.1", port)):
            done = RUN.invoke(app, ["demo", "--visitors", "1", "--port", str(port)])
        assert done.exit_code == 1
        assert f"error: 127.0.0.1:{port} cannot be listened on" in done.stderr
        assert figures("--port", str(port))["events_lost"] == 0

    def test_tables(self) -> None:
        done = RUN.invoke(app, ["demo", "--visitors", "300"], env={"COLUMNS": "120"})
        assert done.exit_code == 0
        for words in (
            "checkout-layout",
            "one-page",
            "discount=0.05",
            "purchase",
            "<- here",
            "Every event arrived, once.",
        ):
            assert words in done.stdout

    def test_the_shell_of_another_project_is_not_heeded(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("CONVERT_ENVIRONMENT", "staging")
        monkeypatch.setenv("CONVERT_SPOOL", str(tmp_path / "spool"))
        monkeypatch.setenv("CONVERT_TRACKING", "off")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
        assert figures()["events_received"] > 300
        assert not (tmp_path / "spool").exists()

    def test_a_lost_event_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from convert_sdk.server import Record
        from convert_sdk.server.tracking import TrackingRequest

        add = Record.add
        left_out: list[int] = []

        def add_all_but_one(record: Record, request: TrackingRequest, *details: Any) -> int:
            if left_out:
                return add(record, request, *details)
            left_out.append(sum(len(each.events) for each in request.visitors))
            return left_out[0]

        monkeypatch.setattr(Record, "add", add_all_but_one)
        done = RUN.invoke(app, ["demo", "--json", "--visitors", "50"])
        assert done.exit_code == 1
        found = json.loads(done.stdout)
        assert found["events_sent"] == found["events_offered"]
        assert [found["events_lost"]] == [found["events_offered"] - found["events_received"]] == left_out


class TestSampleRatio:
    @pytest.mark.parametrize(
        ("statistic", "freedom", "p"),
        [
            (0, 1, 1),
            (3.841459, 1, 0.05),
            (5.991465, 2, 0.05),
            (7.814728, 3, 0.05),
            (18.307038, 10, 0.05),
            (24.0, 4, 7.987e-5),
        ],
    )
    def test_as_in_the_tables(self, statistic: float, freedom: int, p: float) -> None:
        assert p_value(statistic, freedom) == pytest.approx(p, rel=1e-4)

    def test_close_to_the_exact_probability_of_coins(self) -> None:
        throws, heads = 1_000, 450
        exact = 2 * sum(comb(throws, k) for k in range(heads + 1)) / 2**throws
        assert p_value(chi_square([heads, throws - heads], [50, 50]), 1) == pytest.approx(exact, rel=0.1)

    def test_a_share_of_next_to_nothing(self) -> None:
        assert p_value(chi_square([10, 0], [1e308, 1e-300]), 1) == pytest.approx(1)
        assert p_value(chi_square([10, 1], [1e308, 1e-300]), 1) == 0.0

    @given(st.lists(st.integers(1, 10_000), min_size=2, max_size=6))
    def test_what_fits_exactly_is_certain(self, counts: list[int]) -> None:
        assert p_value(chi_square(counts, counts), len(counts) - 1) == pytest.approx(1)

    @given(st.floats(0, 500), st.floats(0, 500), st.integers(1, 20))
    @example(one=6.103515625e-05, other=1e-05, freedom=8)
    def test_further_off_is_never_more_probable(self, one: float, other: float, freedom: int) -> None:
        """But for the rounding of a sum of ten doubles at most, each of an exponent up to 500."""
        near, far = sorted((one, other))
        assert 0 <= p_value(far, freedom) <= 1
        assert p_value(far, freedom) <= p_value(near, freedom) + 1e-12


class TestDocument:
    def test_no_document_at_all(self, tmp_path: Path) -> None:
        bad = tmp_path / "bad.json"
        bad.write_text("<html>")
        done = RUN.invoke(app, ["explain", str(bad), "key", "v"])
        assert done.exit_code == 2
        assert "expected JSON" in done.stderr

    def test_explain(self) -> None:
        asked = ["explain", DOCUMENT, "checkout-layout", "v-1", "--location", '{"path": "/checkout"}']
        assert "bucketed: one-page" in RUN.invoke(app, asked).stdout
        told = json.loads(RUN.invoke(app, [*asked, "--json"]).stdout)
        assert told["decision"]["variation_key"] == "one-page"
        assert "NO  location" in RUN.invoke(app, asked[:4]).stdout
        assert "location rules are ignored" in RUN.invoke(app, [*asked[:4], "--location", "anywhere"]).stdout
        staging = RUN.invoke(app, [*asked, "--environment", "staging"]).stdout
        assert "'production' wanted, 'staging' given" in staging

    @pytest.mark.parametrize("options", [["--facts", "{"], ["--facts", "[1]"], ["--location", "3"]])
    def test_what_is_no_object_is_refused(self, options: list[str]) -> None:
        done = RUN.invoke(app, ["explain", DOCUMENT, "checkout-layout", "v-1", *options])
        assert done.exit_code == 2
        assert options[0] in done.stderr

    def test_nobody_is_refused(self) -> None:
        assert RUN.invoke(app, ["explain", DOCUMENT, "checkout-layout", ""]).exit_code == 2


class TestCommand:
    def test_version(self) -> None:
        from convert_sdk import __version__

        assert RUN.invoke(app, ["--version"]).stdout == f"{__version__}\n"

    def test_spool_is_there(self) -> None:
        assert "Events on disk" in RUN.invoke(app, ["spool", "--help"]).stdout

    @pytest.mark.parametrize(
        ("missing", "command"), [("typer", []), ("starlette", ["demo"]), ("uvicorn", ["serve"])]
    )
    def test_a_missing_extra_is_one_line(self, missing: str, command: list[str]) -> None:
        program = f"import sys; sys.modules[{missing!r}] = None; from convert_sdk.cli import main; main()"
        told = f"{missing} is not installed: pip install 'convert-sdk[cli,server]'\n"
        assert finished(program, *command) == (1, "", told)
