"""A TCP proxy that misbehaves on demand, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from threading import Event, Thread
from types import TracebackType
from typing import Literal, NamedTuple, Self

Kind = Literal[
    "none",
    "latency",
    "reset",
    "half_close",
    "cut",
    "hang_up",
    "drip",
    "drip_body",
    "corrupt",
    "black_hole",
    "canned",
]


class Fault(NamedTuple):
    """What happens to the answers from now on.

    `reset`, `half_close`: the request arrives, its answer never comes. `cut`: half the answer's body.
    `hang_up`: the connection ends after the answer, though it promised to stay open.
    `drip`, `drip_body`: a byte every `seconds`. `corrupt`: the body's middle byte is wrong.
    `black_hole`: the request is read and goes nowhere. `canned`: `raw` is the answer.
    """

    kind: Kind = "none"
    seconds: float = 0.0
    raw: bytes = b""


def canned(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Fault:
    """An answer that the server behind never gave."""
    lines = [f"HTTP/1.1 {status} Canned", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return Fault("canned", raw="\r\n".join([*lines, "", ""]).encode() + body)


class FaultProxy:
    """Stands before a server; set `fault` at any time."""

    def __init__(self, upstream: tuple[str, int], fault: Fault | None = None) -> None:
        self.fault = fault or Fault()
        self.requests = 0
        self.arrived = Event()
        """Set by the first request."""
        self.hung_up = Event()
        """Set when the first connection has ended."""
        self._upstream = upstream
        self._tasks: set[asyncio.Task[object]] = set()
        self._listening = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(120)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(120)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        # A connection that was just being taken becomes a task meanwhile, which nobody else would end.
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A loop keeps no task alive: one whose client has gone while it waits for the server would be collected.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()
            await writer.wait_closed()
        self.hung_up.set()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and what becomes of its answer; whether the connection lives on."""
        request = await _message(reader)
        self.requests += 1
        self.arrived.set()
        fault = self.fault
        if fault.kind == "black_hole":
            await reader.read()
            return False
        answer = fault.raw if fault.kind == "canned" else await self._ask(request)
        head = answer.index(b"\r\n\r\n") + 4
        middle = (head + len(answer)) // 2
        if fault.kind == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if fault.kind == "half_close":
            writer.write_eof()
            await reader.read()
            return False
        if fault.kind == "latency":
            await _gone(reader, fault.seconds)
        if fault.kind == "corrupt":
            answer = answer[:middle] + bytes([answer[middle] ^ 0xFF]) + answer[middle + 1 :]
        if fault.kind == "cut":
            writer.write(answer[:middle])
            return False
        at_once = {"drip": 0, "drip_body": head}.get(fault.kind, len(answer))
        writer.write(answer[:at_once])
        for byte in answer[at_once:]:
            writer.write(bytes([byte]))
            if await _gone(reader, fault.seconds):
                return False
        await writer.drain()
        return fault.kind != "hang_up"

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with its body, as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


async def _gone(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Wait until the client hangs up, so many seconds at most; whether it did."""
    try:
        async with asyncio.timeout(seconds):
            return not await reader.read(1)
    except TimeoutError:
        return False
