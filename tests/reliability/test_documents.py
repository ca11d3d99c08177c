"""Whatever the Serving API answers: a good project is replaced by a good one or not at all."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from convert_sdk import Client, Project
from convert_sdk._delivery.engine import Engine
from convert_sdk._delivery.runtime import Runtime
from convert_sdk._delivery.visitors import VisitorCache
from convert_sdk._http.messages import Failure, Response
from convert_sdk.options import Options
from tests.processes import finished
from tests.reliability.collector import Answer, Collector
from tests.reliability.site import BODY, DOCUMENT, KEY, dead, serving, site
from tests.waiting import eventually

FIXTURE = Path(__file__).parents[1] / "fixtures" / "serving_document.json"


def line() -> Runtime:
    engine = Engine(VisitorCache(10, stored=False), None)
    return Runtime(Options(sdk_key=KEY), KEY, engine, None, notify=lambda: None)


def answered(subject: Runtime, reply: Response | Failure) -> Project | None:
    """What is served after one fetch."""
    now = subject.poller.due()
    assert subject.poller.next_request(now) is not None
    subject.poller.handle_response(reply, now)
    return subject.engine.project


REFUSED = {
    "an error body": b'{"error": "no such key", "code": 404}',
    "a message": b'{"code": 401, "message": "unauthorized"}',
    "an empty body": b"",
    "an empty object": b"{}",
    "a list": b"[]",
    "null": b"null",
    "a number": b"12",
    "text": b'"document"',
    "cut short": BODY[: len(BODY) // 2],
    "a page": b"<!doctype html><html>maintenance</html>",
    "depth 100,000": b"[" * 100_000 + b"]" * 100_000,
    "depth 100,000 in a document": BODY[:-1] + b', "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not UTF-8": BODY.replace(b"button-10", b"\xff\xfe\xfd"),
    "another project": json.dumps({**DOCUMENT, "project": {"id": "2003"}}).encode(),
    "another account": json.dumps({**DOCUMENT, "account_id": "1002"}).encode(),
    "no project": json.dumps({**DOCUMENT, "project": None}).encode(),
    "NaN as the account": BODY.replace(b'"account_id": "1001"', b'"account_id": NaN'),
    "an error beside a shell": b'{"error": {"code": 1}, "account_id": null, "project": null}',
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_a_body_that_is_no_document_of_this_project_replaces_nothing(body: bytes) -> None:
    subject = line()
    good = answered(subject, Response(200, {"etag": '"1"'}, BODY))
    assert good is not None
    assert answered(subject, Response(200, {"etag": '"2"'}, body)) is good
    assert subject.poller.error
    assert subject.poller.etag == '"1"'


@pytest.mark.parametrize("flaw", ["too large", "too slow", "not gzip: cut short"])
def test_an_answer_that_cannot_be_trusted_replaces_nothing(flaw: str) -> None:
    subject = line()
    good = answered(subject, Response(200, {}, BODY))
    assert answered(subject, Response(200, {}, b"", flaw)) is good


def mutants(seed: bytes, count: int) -> Iterator[bytes]:
    """Bytes that were cut, doubled, swapped and overwritten; and JSON whose values became others'."""
    dice = random.Random(1_848)
    document = json.loads(seed)
    odd: list[object] = [
        None,
        True,
        0,
        -1,
        1e308,
        "",
        "x" * 50,
        [],
        {},
        [[]],
        {"id": []},
        "NaN",
        float("nan"),
        10**400,
    ]
    for number in range(count):
        if number % 2:
            yield spoiled(seed, dice)
        else:
            yield json.dumps(changed(document, dice, odd), allow_nan=True).encode()


def spoiled(seed: bytes, dice: random.Random) -> bytes:
    body = bytearray(seed)
    for _ in range(dice.randint(1, 6)):
        start = dice.randrange(len(body))
        end = min(len(body), start + dice.randint(1, 40))
        piece = dice.choice(
            [
                b"",
                bytes(body[start:end]) * 2,
                dice.randbytes(end - start),
                b"{",
                b"]",
                b'"',
                b"\x00",
                b",,",
                b"NaN",
            ]
        )
        body[start:end] = piece
    return bytes(body)


def changed(node: object, dice: random.Random, odd: list[object]) -> object:
    """The same tree with about one value replaced on the way down."""
    if dice.random() < 0.04:
        return dice.choice(odd)
    if isinstance(node, dict) and node:
        key = dice.choice(list(node))
        return {**node, key: changed(node[key], dice, odd)}
    if isinstance(node, list) and node:
        place = dice.randrange(len(node))
        return [*node[:place], changed(node[place], dice, odd), *node[place + 1 :]]
    return dice.choice(odd)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_mutants_raise_nothing_and_leave_a_project_that_decides(count: int) -> None:
    subject = line()
    served = answered(subject, Response(200, {}, FIXTURE.read_bytes()))
    assert served is not None
    home = (served.account_id, served.id)
    taken = 0
    for body in mutants(FIXTURE.read_bytes(), count):
        project = answered(subject, Response(200, {}, body))
        assert project is not None
        assert (project.account_id, project.id) == home
        if project is not served:
            taken += 1
            assert subject.poller.error is None
            assert json_or_none(body) is not None, "what was taken is JSON"
            client = Client.offline(project)
            client.visitor("v", {"country": "DE"}).decide_all()
            assert isinstance(project.problems, tuple)
        else:
            assert subject.poller.error
        served = project
    assert 0 < taken < count


def json_or_none(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def test_a_bomb_is_refused_and_the_document_on_disk_serves(tmp_path: Path) -> None:
    """400 KB of gzip that would be 400 MB: the last good document goes on."""
    bomb = gzip.compress(b" " * 400_000_000, 9)
    with site() as convert:
        with Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            cache_dir=str(tmp_path),
        ) as client:
            client.visitor("v")
        convert.answer = lambda _: Answer(200, {"Content-Encoding": "gzip"}, bomb)
        script = """
import sys
from pathlib import Path
from convert_sdk import Client
url, key, folder = sys.argv[1:4]
client = Client(key, config_endpoint=url, track_endpoint=url, start_wait=120, cache_dir=folder, tracking=False)
assert client.visitor("v").decide("button-10").variation is not None
from convert_sdk._process.fork import import_all
from convert_sdk._delivery.runtime import NEEDED
import_all(NEEDED)
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

Path("/proc/self/clear_refs").write_text("5")
before = peak()
while client.status().fetch_error is None:
    client._worker._ready.wait(0.01)
grown = peak() - before
print(client.status().fetch_error, client.status().stale, grown < 16 * 1024)
"""
        status, out, _ = finished(script, convert.url, KEY, str(tmp_path))
        assert (status, out) == (0, "the document is too large True True\n")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign", "a folder"])
def test_a_damaged_document_on_disk_is_not_served(damage: str, tmp_path: Path) -> None:
    with site() as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "cache_dir": str(tmp_path)}
        with Client(KEY, start_wait=120, shutdown_timeout=120, **options) as client:  # type: ignore[arg-type]
            client.visitor("v")
        (kept,) = tmp_path.iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600
        raw = kept.read_bytes()
        if damage == "a folder":
            kept.unlink()
            kept.mkdir()
        elif damage == "foreign":
            kept.write_bytes(BODY)
        else:
            kept.write_bytes({"cut": raw[:-9], "flipped": raw[:-9] + b"x" + raw[-8:], "empty": b""}[damage])
        convert.answer = lambda _: Answer(503)
        with Client(KEY, start_wait=0.1, shutdown_timeout=0.1, **options) as client:  # type: ignore[arg-type]
            assert client.visitor("v").decide("button-10").variation is None
            assert client.project is None


def test_a_disk_that_cannot_keep_the_document_is_said_once() -> None:
    with site() as convert:
        client = Client(
            KEY,
            config_endpoint=convert.url,
            track_endpoint=convert.url,
            start_wait=120,
            cache_dir="/proc/nowhere",
        )
        assert client.visitor("v").decide("button-10").variation is not None
        # The document is kept by a thread of its own.
        eventually(lambda: "cache" in client.status().incidents)
        client.flush(120)
        assert client.status().incidents["cache"] == 1
        client.close()


@pytest.mark.parametrize("etag", [b'"\xe4\xf6"', b'"' + b"x" * 60_000 + b'"'], ids=["bytes", "60 KB"])
def test_a_poisoned_etag_keeps_no_fetch_failing(etag: bytes, tmp_path: Path) -> None:
    """Neither in this process nor, through `cache_dir`, in the next one."""
    with site() as convert:
        convert.answer = lambda _: Answer(200, {"ETag": etag.decode("latin-1")}, BODY)
        for _ in range(2):
            with Client(
                KEY,
                config_endpoint=convert.url,
                track_endpoint=convert.url,
                start_wait=120,
                cache_dir=str(tmp_path),
                refresh_interval=0.05,
            ) as client:
                client.visitor("v")
                seen = len(convert.requests)
                assert convert.wait_for_requests(seen + 3)
                assert client.status().fetch_error is None
        asked = [received for received in convert.requests if received.method == "GET"]
        assert all("if-none-match" not in received.headers for received in asked)


def test_whoever_finds_a_document_finds_it_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its fetcher stands still right after it is there."""
    found = []
    with Collector(dead) as convert:
        at = {"config_endpoint": convert.url, "track_endpoint": convert.url}
        with Client(KEY, start_wait=0.0, **at) as client:  # type: ignore[arg-type]
            install = client._engine.install

            def look(project: Project) -> None:
                install(project)
                status = client.status()
                found.append((status.healthy, status.stale, status.age is None, status.fetch_error))

            monkeypatch.setattr(client._engine, "install", look)
            client.start()
            eventually(lambda: client.status().fetch_error)
            convert.answer = serving()
            eventually(lambda: found)
    assert found == [(True, False, False, None)]


def test_a_cached_etag_that_is_refused_is_dropped(tmp_path: Path) -> None:
    with site() as convert:
        options = {"config_endpoint": convert.url, "track_endpoint": convert.url, "cache_dir": str(tmp_path)}
        with Client(KEY, start_wait=120, **options) as client:  # type: ignore[arg-type]
            client.visitor("v")
        convert.answer = lambda received: (
            Answer(431) if "if-none-match" in received.headers else Answer(200, {}, BODY)
        )
        convert.requests.clear()
        with Client(KEY, start_wait=120, **options) as client:  # type: ignore[arg-type]
            assert client.visitor("v").decide("button-10").variation is not None
            eventually(lambda: not client.status().stale)
            assert client.status().fetch_error is None
        assert ["if-none-match" in received.headers for received in convert.requests[:2]] == [True, False]


def test_a_sub_interpreter_says_what_to_do() -> None:
    """As the second application of one mod_wsgi process."""
    script = """
import os, sys, warnings
warnings.simplefilter("ignore")
import pydantic_core
try:
    import _xxsubinterpreters as interpreters
    other = interpreters.create(isolated=False)
except ImportError:
    import _interpreters as interpreters
    other = interpreters.create("legacy")
interpreters.run_string(other, f'''
import sys
from convert_sdk import Client
client = Client("1001/2002", config_endpoint={sys.argv[1]!r}, track_endpoint={sys.argv[1]!r}, start_wait=120)
client.visitor("v")
print(client.status().fetch_error, flush=True)
''')
os._exit(0)  # the interpreter above cannot end while a thread runs in it
"""
    with site() as convert:
        status, out, _ = finished(script, convert.url)
    assert status == 0
    assert "pydantic_core cannot be loaded" in out
    assert "WSGIApplicationGroup %{GLOBAL}" in out
