"""Celery's workers on a Redis: a task goes on with the visitor of the request that has published it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import Child, finished, program
from tests.reliability.collector import Collector
from tests.reliability.site import site
from tests.servers.programs import redis_server
from tests.servers.test_pools import site_environ
from tests.waiting import eventually

pytest.importorskip("celery", reason="needs celery: pip install --group servers")

JOBS = """
import os
from celery import Celery
from convert_sdk import Client, current_visitor
from convert_sdk.integrations.celery import connect

client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    start_wait=60,
    shutdown_timeout=60,
    secrets=["a secret of the shop's own"],
)
app = Celery("jobs", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    beat_schedule={"tick": {"task": "jobs.tick", "schedule": 0.5}},
)
connect(client, app)


def seen(goal):
    visitor = current_visitor(default=None)
    if visitor is None:
        return None
    decision = visitor.decide("button-10")
    return [visitor.id, decision.variation_id, visitor.track(goal).reason.value]


@app.task
def pay(*_):
    return seen("goal-1")


@app.task
def ship(before):
    return [before, seen("goal-2")]


@app.task(bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0)
    return seen("goal-3")


@app.task
def tick():
    with open(os.environ["TICKS"], "a") as file:
        print(seen("goal-4"), file=file)
"""
WEB = """
import json
from wsgiref.util import setup_testing_defaults
from jobs import again, client, current_visitor, pay, ship
from convert_sdk.integrations.wsgi import ConvertMiddleware

asked, ids = [], []


def shop(environ, start_response):
    visitor = current_visitor(client)
    visitor.force("button-10", variation_id="102")  # half of them would get the other one
    ids.append(visitor.id)
    asked.append(publish())
    start_response("200 OK", [])
    return [b""]


def visit():
    environ = {}
    setup_testing_defaults(environ)
    list(ConvertMiddleware(shop, client)(environ, lambda *_: None))


def results():
    return [each.get(timeout=120) for each in asked]
"""
SEEN_IN_A_REQUEST = """
publish = pay.delay
[visit() for _ in range(60)]
assert client.flush(60).pending == 0
print(json.dumps([ids, results(), pay.delay().get(timeout=120)]))
"""


@contextmanager
def worker(tmp_path: Path, convert: Collector, *options: str) -> Iterator[tuple[Child, dict[str, str]]]:
    """A worker of Celery, which is told to end by SIGTERM at the end, and its environment."""
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "web.py").write_text(WEB)
    with redis_server() as redis:
        environ = site_environ(convert.url, tmp_path)
        environ["BROKER"] = "redis+socket://" + redis.url.removeprefix("unix://")
        environ["TICKS"] = str(tmp_path / "ticks")
        command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "--concurrency=2"]
        command += ["--loglevel=WARNING", "--without-gossip", "--without-mingle", *options]
        with program(*command, env=environ, cwd=tmp_path, is_read=False) as celery:
            yield celery, environ
            celery.send(signal.SIGTERM)
            assert celery.end().status == 0


def told(script: str, environ: dict[str, str]) -> list[object]:
    ended = finished("from web import *\nimport web\n" + script, env=environ)
    assert ended.status == 0, ended.err
    lines: list[object] = json.loads(ended.out)
    return lines


def conversions(convert: Collector) -> list[tuple[str, dict[str, object]]]:
    events = [(who, json.loads(event)) for who, event in convert.events]
    return [(who, event["data"]) for who, event in events if event["eventType"] == "conversion"]


@pytest.mark.parametrize("pool", ["prefork", "threads", "gevent"])
def test_a_task_has_the_visitor_of_its_request(pool: str, tmp_path: Path) -> None:
    with site() as convert:
        with worker(tmp_path, convert, f"--pool={pool}") as (_, environ):
            ids, results, outside = told(SEEN_IN_A_REQUEST.replace("publish =", "web.publish ="), environ)
        assert results == [[name, "102", "accepted"] for name in of_list(ids)]
        assert outside is None, "without a request there is no visitor"
        expected = [(name, {"goalId": "71", "bucketingData": {"10": "102"}}) for name in of_list(ids)]
        assert sorted(conversions(convert), key=str) == sorted(expected, key=str), (
            "each counted, and credited"
        )
        assert len(convert.events) == 120, "and one exposure each, the web's"


def of_list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


REST = """
from celery import chain

web.publish = lambda: chain(pay.s(), ship.s()).delay()
visit()
web.publish = again.delay
visit()
gone = client.visitor("gone")
gone.force("button-10", variation_id="102")
token = gone.handover(max_age=1e-9)  # less than a clock can show: it has ended at once
web.publish = lambda: pay.apply_async(headers={"convert_visitor": token})
visit()
web.publish = lambda: pay.apply_async(headers={"convert_visitor": "forged"})
visit()
print(json.dumps([ids, results()]))
"""


def test_chains_retries_beat_and_messages_with_a_token(tmp_path: Path) -> None:
    with site() as convert:
        with worker(tmp_path, convert, "--beat", f"--schedule={tmp_path / 'beat'}") as (celery, environ):
            ids, results = told(REST, environ)
            chained, retried, expired, forged = of_list(results)
            first, second, *_ = of_list(ids)
            eventually((tmp_path / "ticks").exists)
        assert chained == [[first, "102", "accepted"], [first, "102", "accepted"]]
        assert retried == [second, "102", "accepted"]
        assert of_list(expired)[0] == "gone", "the message keeps the token that it has, and its id"
        assert forged is None
        assert set((tmp_path / "ticks").read_text().split()) == {"None"}
        assert "its decisions are not" in celery.log()
        assert "the token is refused (unsigned)" in celery.log()
        (late,) = [data for who, data in conversions(convert) if who == "gone"]
        hashed = of_list(expired)[1]
        assert late["bucketingData"] == {"10": hashed}, "it is decided anew, by the hash"
