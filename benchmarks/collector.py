"""A tracking endpoint in a process of its own: keeps every body, counts when asked, answers after a delay.

`python collector.py DOCUMENT DELAY_MS` prints its port. A `POST` is a tracking request, `GET /count` answers
what arrived so far and forgets it, any other `GET` answers the document.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import sys
from pathlib import Path


class Collector:
    """What was posted."""

    def __init__(self, document: bytes, delay: float) -> None:
        self.document = document
        self.delay = delay
        self.bodies: list[bytes] = []

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                writer.write(await self.answer(head, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"POST"):
            if self.delay:
                await asyncio.sleep(self.delay)
            packed = re.search(rb"(?i)content-encoding: *gzip", head)
            self.bodies.append(gzip.decompress(body) if packed else body)
            return _reply(b'{"code":200,"message":"ok"}')
        if head.startswith(b"GET /count"):
            counted = json.dumps(self.count()).encode()
            self.bodies.clear()
            return _reply(counted)
        return _reply(self.document)

    def count(self) -> dict[str, int]:
        """Distinct events too, so that one that came twice cannot hide one that was lost."""
        visitors = [entry for body in self.bodies for entry in json.loads(body)["visitors"]]
        events = [(entry["visitorId"], json.dumps(event)) for entry in visitors for event in entry["events"]]
        return {"requests": len(self.bodies), "events": len(events), "distinct": len(set(events))}


def _reply(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(document: bytes, delay: float) -> None:
    collector = Collector(document, delay)
    server = await asyncio.start_server(collector.connection, "127.0.0.1", 0, limit=2**24)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).read_bytes(), float(sys.argv[2]) / 1000))
