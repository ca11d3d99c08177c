"""RQ's and Dramatiq's workers on a Redis: a job goes on with the visitor of the request that has enqueued it."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.processes import finished, program
from tests.reliability.site import site
from tests.servers.programs import redis_server
from tests.servers.test_celery import conversions
from tests.servers.test_pools import site_environ
from tests.waiting import eventually

SHOP = """
import os, sys, json
from redis import Redis
from wsgiref.util import setup_testing_defaults
from convert_sdk import Client, current_visitor
from convert_sdk.integrations.wsgi import ConvertMiddleware

client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    start_wait=60,
    shutdown_timeout=60,
    secrets=["a secret of the shop's own"],
)


def pay(_=None):
    visitor = current_visitor(default=None)
    if visitor is not None:
        assert visitor.decide("button-10").variation_id == "102"
        assert visitor.track("goal-1")


def visit(publish):
    def shop(environ, start_response):
        current_visitor(client).force("button-10", variation_id="102")
        publish()
        start_response("200 OK", [])
        return [b""]

    environ = {}
    setup_testing_defaults(environ)
    list(ConvertMiddleware(shop, client)(environ, lambda *_: None))
"""
RQ = """
from convert_sdk.integrations.rq import ConvertQueue, ConvertWorker, SimpleConvertWorker, with_visitor

store = Redis.from_url(os.environ["BROKER"])


class ShopQueue(ConvertQueue):
    convert_client = client


class ShopWorker(ConvertWorker):
    convert_client = client


class SimpleShopWorker(SimpleConvertWorker):
    convert_client = client


decorated = with_visitor(client)(pay)
"""
ENQUEUE = """
from shop import *

queue = ShopQueue(connection=store)
[visit(lambda: queue.enqueue("shop.{job}")) for _ in range(8)]
visit(lambda: queue.enqueue_call("shop.{job}", meta={{"convert_visitor": "forged", "own": 1}}))
queue.enqueue("shop.{job}")
assert client.flush(60).pending == 0
"""
WORK = """
import rq
from shop import *

worker = {worker}([ShopQueue(connection=store)], connection=store)
worker.work(burst=True)
queue = worker.queues[0]
print("jobs", len(queue.failed_job_registry), len(queue.finished_job_registry))
"""


@pytest.mark.parametrize(
    ("worker", "job"), [("ShopWorker", "pay"), ("SimpleShopWorker", "pay"), ("rq.Worker", "decorated")]
)
def test_a_job_of_rq_has_the_visitor_of_its_request(worker: str, job: str, tmp_path: Path) -> None:
    pytest.importorskip("rq", reason="needs rq: pip install --group servers")
    (tmp_path / "shop.py").write_text(SHOP + RQ)
    with site() as convert, redis_server() as redis:
        environ = {**site_environ(convert.url, tmp_path), "BROKER": redis.url}
        assert finished(ENQUEUE.format(job=job), env=environ).status == 0
        ended = finished(WORK.format(worker=worker), env=environ)
        assert (ended.status, ended.out.splitlines()[-1]) == (0, "jobs 0 10"), ended.err
        made = conversions(convert)
        assert [data for _, data in made] == [{"goalId": "71", "bucketingData": {"10": "102"}}] * 8
        assert len({who for who, _ in made}) == 8
        assert len(convert.events) == 8 + 9, "one exposure for each visit, the web's"


DRAMATIQ = """
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from convert_sdk.integrations.dramatiq import VisitorMiddleware

broker = RedisBroker(client=Redis.from_url(os.environ["BROKER"]))
broker.add_middleware(VisitorMiddleware(client))
dramatiq.set_broker(broker)
paid = dramatiq.actor(pay, max_retries=0)
"""


def test_an_actor_has_the_visitor_of_its_request(tmp_path: Path) -> None:
    pytest.importorskip("dramatiq", reason="needs dramatiq: pip install --group servers")
    (tmp_path / "shop.py").write_text(SHOP + DRAMATIQ)
    send = (
        "from shop import *\n"
        "[visit(paid.send) for _ in range(40)]\n"
        "paid.send()\n"
        "assert client.flush(60).pending == 0\n"
    )
    command = [sys.executable, "-m", "dramatiq", "shop", "--processes=2", "--threads=2"]
    with site() as convert, redis_server() as redis:
        environ = {**site_environ(convert.url, tmp_path), "BROKER": redis.url}
        with program(*command, env=environ, cwd=tmp_path, is_read=False) as worker:
            ended = finished(send, env=environ)
            assert ended.status == 0, ended.err
            eventually(lambda: convert.wait_for(41))
            worker.send(signal.SIGTERM)
            assert worker.end().status == 0
        made = conversions(convert)
        assert [data for _, data in made] == [{"goalId": "71", "bucketingData": {"10": "102"}}] * 40
        assert (len({who for who, _ in made}), len(convert.events)) == (40, 80)


LAMBDA = """
import json, os, sys
from convert_sdk import Client
from convert_sdk.integrations.aws_lambda import convert_handler

client = Client(
    os.environ["SITE_KEY"], config_endpoint=os.environ["SITE"], track_endpoint=os.environ["SITE"], start_wait=60
)


class Context:
    def get_remaining_time_in_millis(self):
        return 120_000


@convert_handler(client, timeout=60)
def handler(event, context):
    visitor = client.visitor(event["visitor"])
    visitor.decide("button-10")
    return bool(visitor.track("goal-1"))


for line in sys.stdin:
    print(json.dumps(handler(json.loads(line), Context())), flush=True)
"""


def test_a_sandbox_that_is_frozen_has_delivered(tmp_path: Path) -> None:
    """Frozen after each invocation; meanwhile the collector closes every connection."""
    environ = site_environ("", tmp_path)
    with site() as convert:
        environ["SITE"] = convert.url
        with program(sys.executable, "-c", LAMBDA, env=environ) as sandbox:
            for number in range(10):
                sandbox.say(json.dumps({"visitor": f"v{number}"}))
                sandbox.hear("true")
                sandbox.freeze()
                assert len(convert.events) == 2 * (number + 1), "nothing waits for the next invocation"
                convert.hang_up()
                sandbox.send(signal.SIGCONT)
            assert sandbox.end().status == 0
        assert convert.duplicates() == 0
