"""The memory of the server: what is kept of many events has a bound."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests import processes

from .conftest import PLACE

RUN = "from convert_sdk.cli import main; main()"
EVENTS, BATCH = 120_000, 100
MOST_GROWTH = 5 * 1024 * 1024
ARMS = ("1003460011", "1003460012")


def bodies(first: int) -> Iterator[bytes]:
    """Batches in which every visitor is new, and each fourth one buys."""
    for start in range(first, first + EVENTS, BATCH):
        visitors = []
        for number in range(start, start + BATCH):
            arm = ARMS[number % 2]
            shown = {"experienceId": "100346001", "variationId": arm}
            event: dict[str, object] = {"eventType": "bucketing", "data": shown}
            if number % 4 == 0:
                paid = [{"key": "amount", "value": 12.5}, {"key": "transactionId", "value": f"T-{number}"}]
                data = {"goalId": "100341001", "goalData": paid, "bucketingData": {"100346001": arm}}
                event = {"eventType": "conversion", "data": data}
            visitors.append({"visitorId": f"visitor-{number}", "events": [event]})
        yield json.dumps({"enrichData": True, "visitors": visitors}).encode()


def memory(pid: int) -> int:
    """The resident bytes of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


@pytest.mark.soak
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_stays_after_the_first_events() -> None:
    """A page looks on all the while."""
    with processes.running(RUN, "serve", "--port", "0", "--no-open") as process:
        url = process.hear().split("CONVERT_CONFIG_ENDPOINT=")[1].split()[0]
        read = 0

        def look_on() -> None:
            nonlocal read
            path = f"{url}/_api/projects/{PLACE}/stream"
            with (
                suppress(httpx.HTTPError),  # at the end, the server goes
                httpx.stream("GET", path, timeout=300, trust_env=False) as response,
            ):
                for chunk in response.iter_bytes():
                    read += len(chunk)

        Thread(target=look_on, daemon=True).start()
        sizes = [memory(process.pid)]
        with httpx.Client(trust_env=False, timeout=60) as http:
            for first in (0, EVENTS):
                for body in bodies(first):
                    answer = http.post(
                        f"{url}/track/{PLACE}", content=body, headers={"Content-Type": "application/json"}
                    )
                    assert answer.status_code == 200
                sizes.append(memory(process.pid))
            received = http.get(f"{url}/_api/projects/{PLACE}/totals").json()["received"]
    assert received == 2 * EVENTS
    assert read > 0
    assert sizes[2] - sizes[1] <= MOST_GROWTH, sizes
