"""The figures of the page: how soon it shows a large document, how it bears a thousand events a second."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from time import monotonic

import httpx
import pytest

pytest.importorskip("starlette", reason="needs the extra server")
from benchmarks.documents import large
from convert_sdk.server import DEMO_SDK_KEY
from tests.processes import Child
from tests.servers.page.browser import Browser, Tab
from tests.servers.page.requests import CONVERT_SDK
from tests.servers.programs import free_port, server_program
from tests.waiting import eventually

pytestmark = pytest.mark.soak
FIRST_PAINT = 300.0
LONGEST_FRAME = 100.0
KEPT = 5 * 1024 * 1024
SECONDS = 120
A_SECOND = 1000
BATCH = 100
VISITORS = 10_000

# When the first row of a list is there, by the clock of the page.
WATCH_ROWS = """
new MutationObserver(() => {
  if (!window.firstRow && document.querySelector(".item b")) window.firstRow = performance.now();
}).observe(document, { childList: true, subtree: true });
"""
# Every frame from now on, and the scripts in those that the browser calls long: what is left of such a frame is
# time in which the machine let the browser wait.
WATCH_FRAMES = """
(() => {
  window.frames_seen = [];
  window.scripts = [0];
  let before = performance.now();
  const look = (now) => {
    frames_seen.push(now - before);
    before = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame((now) => { before = now; requestAnimationFrame(look); });
  new PerformanceObserver((list) => {
    for (const frame of list.getEntries()) scripts.push(frame.scripts.reduce((sum, each) => sum + each.duration, 0));
  }).observe({ type: "long-animation-frame" });
})()
"""


def told(record_property: object, **figures: object) -> None:
    """Show figures beside the test, and keep them in a report where one is written."""
    for name, value in figures.items():
        assert callable(record_property)
        record_property(name, value)
        print(f"{name}: {value}")  # noqa: T201 # `pytest -rP` shows it


def test_a_large_document_is_painted_at_once(
    browser: Browser, tmp_path: Path, record_property: object
) -> None:
    path = tmp_path / "large.json"
    path.write_text(json.dumps(large(3_500_000)), "utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    paints: list[float] = []
    rows: list[float] = []
    with server_program(*CONVERT_SDK, "serve", str(path), "--port", str(port), at=("127.0.0.1", port)):
        for _ in range(7):
            with browser.tab(url) as tab:
                tab.page.add_init_script(WATCH_ROWS)
                tab.open()
                tab.page.locator(".item b").first.wait_for()
                paint = tab.run("performance.getEntriesByName('first-contentful-paint')[0].startTime")
                paints.append(paint)
                rows.append(tab.run("firstRow"))
                assert tab.run("document.querySelectorAll('.windowed-rows > li').length") < 60
            if len(paints) == 1:
                wait_for_the_check(url)
    told(
        record_property,
        first_paint_ms=[round(each) for each in paints],
        first_row_ms=[round(each) for each in rows],
    )
    assert median(paints[1:]) <= FIRST_PAINT  # the first one comes while the document is checked


def test_a_thousand_events_a_second_leave_every_frame_short_and_memory_as_it_is(
    browser: Browser, record_property: object
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        server_program(*CONVERT_SDK, "serve", "--port", str(port), at=("127.0.0.1", port)) as server,
        browser.tab(url) as tab,
    ):
        tab.open("#/events")
        tab.sees("live", within="header")
        tab.run(WATCH_FRAMES)
        one_round(tab, url, seconds=SECONDS, first=0)
        first = memory(tab), resident(server)
        one_round(tab, url, seconds=SECONDS, first=SECONDS * A_SECOND)
        second = memory(tab), resident(server)
        grown = second[0] - first[0], second[1] - first[1]
        frames: list[float] = sorted(tab.run("frames_seen"))
        scripts: float = tab.run("Math.max(...scripts)")
        told(
            record_property,
            longest_frame_ms=round(frames[-1]),
            frame_p99_ms=round(frames[len(frames) * 99 // 100]),
            frames=len(frames),
            frames_over_100_ms=sum(each > LONGEST_FRAME for each in frames),
            longest_scripts_ms=round(scripts),
            page_grew_kib=grown[0] // 1024,
            server_grew_kib=grown[1] // 1024,
        )
        assert tab.run("document.querySelectorAll('.event').length") < 60
    assert frames[len(frames) * 99 // 100] <= LONGEST_FRAME
    assert scripts <= LONGEST_FRAME
    assert grown[0] <= KEPT
    assert grown[1] <= KEPT


def wait_for_the_check(url: str) -> None:
    """Wait until the server knows the problems of its document."""
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as http:
        place = http.get("/_api/projects").json()["projects"][0]["place"]
        http.get(f"/_api/projects/{place}/problems", params={"limit": 1}).raise_for_status()


def one_round(tab: Tab, url: str, *, seconds: int, first: int) -> None:
    """Send a thousand events a second for so long, and wait until the last one is shown."""
    start = monotonic()
    with httpx.Client(trust_env=False) as http:
        for number in range(seconds * A_SECOND // BATCH):
            due = start + number * BATCH / A_SECOND
            eventually(lambda due=due: monotonic() >= due)  # type: ignore[misc]
            http.post(f"{url}/track/{DEMO_SDK_KEY}", json=batch(first + number * BATCH)).raise_for_status()
            if number % 50 == 0:
                tab.run("1")  # the driver keeps up with the page's messages
    last = str(first + seconds * A_SECOND - 1)
    eventually(lambda: any(row.endswith(last) for row in tab.reads(".event .what")))


def batch(first: int) -> dict[str, object]:
    """A hundred orders; the visitors come again after a while."""
    visitors = [
        {"visitorId": f"visitor-{number % VISITORS}", "events": [order(number)]}
        for number in range(first, first + BATCH)
    ]
    return {"enrichData": False, "visitors": visitors}


def order(number: int) -> dict[str, object]:
    amount = [{"key": "amount", "value": number}]
    data = {"goalId": "100341901", "goalData": amount, "bucketingData": {"100346001": "1003460012"}}
    return {"eventType": "conversion", "data": data}


def memory(tab: Tab) -> int:
    """Bytes that the page's own objects keep, after its garbage is collected."""
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


def resident(child: Child) -> int:
    """Bytes of memory that a process holds."""
    status = Path(f"/proc/{child.pid}/status").read_text("utf-8")
    return 1024 * int(status.partition("VmRSS:")[2].split()[0])
