"""The figures of a client for somebody who looks on: in a file, and at a local server, every second.

Nothing of it exists unless an option asks for it. It has a thread of its own, which no flush waits for, and what goes
wrong there is counted and said once.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from convert_sdk._core.events import to_json
from convert_sdk._http.messages import Failure, Request
from convert_sdk._process.clock import monotonic
from convert_sdk._process.fork import no_fork
from convert_sdk._process.replacement import replace_file
from convert_sdk._version import __version__

if TYPE_CHECKING:
    import httpx

    from convert_sdk.options import Options
    from convert_sdk.status import Status

EVERY = 1.0
"""Seconds between two reports."""
GONE_AFTER = 10.0
"""Seconds without a report after which a client counts as gone."""
CLIENT_HEADER = "Convert-Client"
"""The header that names the client, here and with its events, so that a local server can compare both."""
_PATIENCE = 2.0
"""Seconds for the server to take a report."""
_PID = "{pid}"


class StatusReport:
    """The reports of one client in one process.

    Args:
        options: Those of the client.
        report: Called with a kind and a text for what went wrong.
    """

    def __init__(
        self,
        options: Options,
        report: Callable[[str, str], None],
    ) -> None:
        self.client_id = f"c-{secrets.token_hex(4)}"
        self.status: Callable[[], Status] | None = None
        """Gives the figures; set by the worker, which knows whether it runs."""
        self.closed = False
        """True for the last report."""
        self._url = options.status_url
        self._path = _path(options.status_file)
        self._report = report
        self._options = options
        self._connections: httpx.Client | None = None
        self._started = monotonic()
        self._due = 0.0

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that the client's events carry besides."""
        return {} if self._url is None else {CLIENT_HEADER: self.client_id}

    def due(self) -> float:
        """The time of the next report, in monotonic seconds."""
        return self._due

    def send(self) -> None:
        """Report once, to everybody who wants to know."""
        self._due = monotonic() + EVERY
        if self.status is None:
            return
        with no_fork():  # a child would find locks held, such as that of a document's problems
            body = to_json(self._content(self.status())).encode()
        if self._path is not None:
            self._write(self._path, body)
        if self._url is not None:
            self._post(self._url, body)

    def close(self) -> None:
        """Let go of the connections."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None

    def _content(self, status: Status) -> dict[str, object]:
        return {
            "client": self.client_id,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "version": __version__,
            "language": "python",
            "at": time.time(),
            "uptime": monotonic() - self._started,
            "closed": self.closed,
            "status": status.to_dict(),
        }

    def _write(self, path: Path, body: bytes) -> None:
        try:
            replace_file(path, body)
        except OSError as error:
            self._report("status_file", f"{path.name} cannot be written: {error.strerror or error}")

    def _opened(self) -> httpx.Client:
        """Connections of its own: what the application gives is for Convert alone."""
        from convert_sdk._http.client import open_client

        options = self._options
        with no_fork():
            return open_client(ca_bundle=options.ca_bundle, proxy=options.proxy, trust_env=options.trust_env)

    def _post(self, url: str, body: bytes) -> None:
        from convert_sdk._http.client import send

        if self._connections is None:
            self._connections = self._opened()
        headers = {"Content-Type": "application/json", **self.headers}
        answer = send(self._connections, Request("POST", url, headers, body, _PATIENCE))
        if isinstance(answer, Failure):
            self._report("status_url", f"the status was not taken: {answer.detail}")
        elif answer.status >= 300:
            self._report("status_url", f"the status was not taken: {answer.status}")


class ReceivedReport:
    """A report as it is read, from a client of any version: what is missing or of another kind counts as not told.

    >>> report = ReceivedReport({"pid": 7, "status": {"healthy": True, "events": {"sent": 3, "dropped": "many"}}})
    >>> report.healthy, report.closed, report.events("sent"), report.events("dropped")
    (True, False, 3, 0)
    """

    __slots__ = ("content", "status")

    def __init__(self, content: Mapping[str, object]) -> None:
        self.content = content
        self.status = _mapping(content.get("status"))

    @property
    def about(self) -> dict[str, object]:
        """The process, and the SDK in it."""
        return {name: self.content.get(name) for name in ("pid", "host", "version", "language")}

    @property
    def client(self) -> object:
        """The client's id."""
        return self.content.get("client")

    @property
    def at(self) -> float | None:
        """The time of the report, in seconds since the epoch."""
        return _number(self.content.get("at"))

    @property
    def uptime(self) -> float | None:
        """Seconds since the client began to report."""
        return _number(self.content.get("uptime"))

    @property
    def closed(self) -> bool:
        """True for the last report of a client."""
        return self.content.get("closed") is True

    @property
    def healthy(self) -> bool:
        """True if nothing needs attention."""
        return self.status.get("healthy") is True

    @property
    def revision(self) -> str | None:
        """The document in use."""
        revision = self.status.get("revision")
        return revision if isinstance(revision, str) else None

    def events(self, name: str) -> int:
        """One of the counts of events."""
        return _count(_mapping(self.status.get("events")).get(name))

    def figure(self, name: str) -> int:
        """One of the other figures."""
        return _count(self.status.get(name))

    def errors(self) -> Iterator[str]:
        """The last errors and the incidents, a line each."""
        fetch, last = self.status.get("fetch_error"), _mapping(self.status.get("last_error"))
        if isinstance(fetch, str):
            yield fetch
        if last:
            yield f"tracking: {last.get('status') or ''} {last.get('message')}".strip()
        incidents = _mapping(self.status.get("incidents"))
        if incidents:
            yield ", ".join(f"{name} {count}" for name, count in incidents.items())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _path(option: str | None) -> Path | None:
    return None if option is None else Path(option.replace(_PID, str(os.getpid()))).expanduser()
