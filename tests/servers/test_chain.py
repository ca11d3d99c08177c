"""One visitor from a page to a task to a service, each a real server of its own."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from convert_sdk import Client, Project
from tests.processes import program
from tests.reliability.site import BODY, site
from tests.servers.programs import redis_server, server_program
from tests.servers.test_celery import conversions
from tests.servers.test_pools import site_environ

pytest.importorskip("celery", reason="needs celery: pip install --group servers")
pytest.importorskip("gunicorn", reason="needs gunicorn: pip install --group reliability")

JOBS = """
import json, os
import httpx
from celery import Celery
from convert_sdk import Client, current_visitor
from convert_sdk.integrations.celery import connect
from convert_sdk.integrations.wsgi import ConvertMiddleware

client = Client(
    os.environ["SITE_KEY"],
    config_endpoint=os.environ["SITE"],
    track_endpoint=os.environ["SITE"],
    start_wait=60,
    shutdown_timeout=60,
    secrets=["a secret of the shop's own"],
)
app = Celery("chained", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
connect(client, app)


@app.task
def pay():
    visitor = current_visitor()
    seen = visitor.decide("button-10").variation_id
    assert visitor.track("goal-1")
    transport = httpx.HTTPTransport(uds=os.environ["SERVICE"])
    with httpx.Client(transport=transport, base_url="http://stock", timeout=60) as stock:
        return [visitor.id, seen, *stock.get("/", headers={"X-Visitor": visitor.handover()}).json()]


def page(environ, start_response):
    visitor = current_visitor(client)
    seen = visitor.decide("button-10").variation_id
    paid = pay.delay()
    start_response("200 OK", [])
    return [json.dumps([visitor.id, seen, *paid.get(timeout=60)]).encode()]


web = ConvertMiddleware(page, client)


def service(environ, start_response):
    visitor = client.visitor_from(environ["HTTP_X_VISITOR"])
    seen = visitor.decide("button-10").variation_id
    assert visitor.track("goal-2")
    start_response("200 OK", [])
    return [json.dumps([visitor.id, seen]).encode()]
"""
VISITORS = 20


def test_from_a_page_to_a_task_to_a_service(tmp_path: Path) -> None:
    (tmp_path / "chained.py").write_text(JOBS)
    sockets = {"web": str(tmp_path / "web.sock"), "service": str(tmp_path / "service.sock")}
    with ExitStack() as stack:
        convert, redis = stack.enter_context(site()), stack.enter_context(redis_server())
        environ = site_environ(convert.url, tmp_path)
        environ["BROKER"] = "redis+socket://" + redis.url.removeprefix("unix://")
        environ["SERVICE"] = sockets["service"]
        celery = [sys.executable, "-m", "celery", "-A", "chained", "worker", "--concurrency=2"]
        celery += ["--loglevel=WARNING", "--without-gossip", "--without-mingle"]
        servers = [stack.enter_context(program(*celery, env=environ, cwd=tmp_path, is_read=False))]
        for name, address in sockets.items():
            command = [sys.executable, "-m", "gunicorn", f"chained:{name}", f"--bind=unix:{address}"]
            command += ["--workers=2", "--timeout=120", "--log-level=warning", f"--chdir={tmp_path}"]
            servers.append(stack.enter_context(server_program(*command, at=address, env=environ)))
        transport = httpx.HTTPTransport(uds=sockets["web"])
        answers = []
        with httpx.Client(transport=transport, base_url="http://shop", timeout=120) as browser:
            for _ in range(VISITORS):
                browser.cookies.clear()
                answers.append(browser.get("/", headers={"User-Agent": "Mozilla/5.0"}).json())
        for server in servers:
            server.send(signal.SIGTERM)
            assert server.end().status == 0
        assert convert.wait_for(3 * VISITORS)
    alone = Client.offline(Project.parse(BODY))
    for name, seen, *elsewhere in answers:
        assert elsewhere == [name, seen, name, seen], "the same visitor and variation in all three"
        assert seen == alone.visitor(name).peek("button-10").variation_id
    exposures = [
        (who, event["data"]["variationId"])
        for who, event in ((who, json.loads(event)) for who, event in convert.events)
        if event["eventType"] == "bucketing"
    ]
    assert sorted(exposures) == sorted((name, seen) for name, seen, *_ in answers), "one exposure each"
    credited = [(who, data["goalId"], data["bucketingData"]) for who, data in conversions(convert)]
    expected = [(name, goal, {"10": seen}) for name, seen, *_ in answers for goal in ("71", "72")]
    assert sorted(credited, key=str) == sorted(expected, key=str)
