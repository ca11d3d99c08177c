from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from convert_sdk import MemoryStore
from convert_sdk._doctor.host import examine_host
from convert_sdk._doctor.subject import Subject, subject_of
from convert_sdk.diagnosis import Diagnosis, Examined, Health
from convert_sdk.options import build
from convert_sdk.status import Counts, Status
from convert_sdk.stores.sqlite import SqliteStore
from tests.processes import finished

WORKING = Status("6bf257005086", age=1.0, worker_alive=True)


def look(
    status: Status = WORKING, modules: dict[str, Any] | None = None, inherited: bool = False, **more: Any
) -> Diagnosis:
    environ = more.pop("environ", {})
    subject = Subject(build({"sdk_key": "1/2", **more}, {}), "1/2", "2", status, inherited)
    return Diagnosis(tuple(examine_host(subject, modules=modules or {}, environ=environ)))


def verdicts(found: Diagnosis) -> dict[str, str]:
    return {each.name: each.verdict.value for each in found.examined}


def test_a_plain_process_is_well() -> None:
    assert verdicts(look()) == {
        "document": "ok",
        "store": "ok",
        "preload": "skipped",
        "uwsgi threads": "skipped",
        "gevent order": "skipped",
        "lambda flush": "skipped",
        "worker": "ok",
    }


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status(None, fetch_error="HTTP 503"), "HTTP 503"),
        (Status(None), "none yet"),
        (WORKING._replace(stale=True), "not confirmed of late"),
        (WORKING._replace(problems=3), "3 problems"),
    ],
)
def test_the_document(status: Status, said: str) -> None:
    found = look(status).of("document")
    assert found.verdict is Health.WARNING
    assert said in found.found
    assert found.advice


class TestStore:
    def test_none_under_a_server_of_many_processes(self) -> None:
        found = look(modules={"gunicorn": object()}).of("store")
        assert found.verdict is Health.WARNING
        assert "gunicorn is loaded" in found.found

    def test_one_of_this_process(self) -> None:
        assert look(store=MemoryStore()).of("store").verdict is Health.OK
        assert look(store=MemoryStore(), modules={"celery": object()}).of("store").verdict is Health.WARNING

    def test_a_shared_one(self, tmp_path: Any) -> None:
        store = SqliteStore(tmp_path / "visitors.db")
        found = look(store=store, modules={"gunicorn": object()}).of("store")
        assert (found.verdict, found.found) == (Health.OK, "SqliteStore, shared by processes")
        store.close()


def test_a_client_from_before_the_fork() -> None:
    assert look(inherited=True).of("preload").verdict is Health.OK
    found = look(Status(None), inherited=True).of("preload")
    assert found.verdict is Health.WARNING
    assert "wait_until_ready" in found.advice


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, "failed"),
        ({b"enable-threads": True}, "ok"),
        ({"threads": b"2"}, "ok"),
        ({b"http": b":80"}, "failed"),
    ],
)
def test_uwsgi(options: dict[object, object], verdict: str) -> None:
    found = look(modules={"uwsgi": SimpleNamespace(opt=options)}).of("uwsgi threads")
    assert found.verdict.value == verdict


class TestGevent:
    @pytest.mark.parametrize(
        ("before", "verdict"),
        [
            ("from gevent import monkey; monkey.patch_all()", "ok"),
            ("from gevent import monkey; monkey.patch_socket()", "warning"),
            ("import gevent; gevent.get_hub()", "warning"),
            ("import gevent", "ok"),
            ("", "skipped"),
        ],
    )
    def test_its_order(self, before: str, verdict: str) -> None:
        pytest.importorskip("gevent", reason="needs the package gevent")
        program = f"""
{before}
from convert_sdk import Client, Project
project = Project.parse(b'{{"account_id": "1", "project": {{"id": "2"}}}}')
print(Client.offline(project).doctor().of("gevent order").verdict.value)
"""
        status, out, err = finished(program)
        assert (status, out) == (0, f"{verdict}\n"), err


def test_lambda() -> None:
    environ = {"AWS_LAMBDA_FUNCTION_NAME": "shop"}
    assert look(environ=environ).of("lambda flush").verdict is Health.OK
    waiting = WORKING._replace(events=Counts(offered=3, queued=3))
    found = look(waiting, environ=environ).of("lambda flush")
    assert (found.verdict, found.found) == (Health.WARNING, "3 events wait")
    assert "flush()" in found.advice


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (WORKING._replace(worker_alive=False), "failed"),
        (WORKING._replace(worker_alive=False, started=False), "ok"),
        (WORKING._replace(offline=True), "skipped"),
    ],
)
def test_the_worker(status: Status, verdict: str) -> None:
    assert look(status).of("worker").verdict.value == verdict


class TestDiagnosis:
    def test_its_text(self) -> None:
        found = Diagnosis((Examined("a", Health.FAILED, "no", "Do it."), Examined("b", Health.WARNING, "hm")))
        assert not found.healthy
        assert str(found).splitlines() == [
            "failed   a                     no",
            f"{'':<31}Do it.",
            "warning  b                     hm",
            "1 failed, 1 warning",
        ]
        assert found.to_dict()["healthy"] is False

    def test_a_name_that_is_not_there(self) -> None:
        with pytest.raises(KeyError):
            Diagnosis(()).of("a")

    def test_a_subject_shows_no_key(self) -> None:
        subject = subject_of(
            build({"sdk_key": "12/34", "sdk_secret": "s3cret"}, {}), "12/34", None, WORKING, 1.0, made_in=0
        )
        assert subject.is_inherited
        assert subject.project_id == "34"
        assert "s3cret" not in repr(subject)
        assert "12/34" not in repr(subject)
