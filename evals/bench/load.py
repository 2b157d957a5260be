"""The client, in a process of its own: raw HTTP/1.1, one kept connection a caller, so that it costs the machine little.

``python -m evals.bench.load URL BODIES`` measures on demand (``callers.on_demand``). BODIES holds a
request body a line.
"""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urlsplit

from evals.bench.callers import on_demand


class Client:
    """Posts JSON over kept connections; anything but a 200 is an error."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port or 80
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> bytes:
        """Send a body and return the response's.

        Raises:
            OSError: The connection broke.
            ValueError: The response is not a 200, or is none.
        """
        while self._idle and self._idle[-1][0].at_eof():  # the server closes what was idle for seconds
            self._idle.pop()[1].close()
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(self._head + b"%d\r\n\r\n" % len(body) + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r")[0])
            answer = await reader.readexactly(length)
        except BaseException:  # also when cancelled: half a response must not be the next one's beginning
            writer.close()
            raise
        self._idle.append((reader, writer))
        if head[9:12] != b"200":
            raise ValueError(f"{head[9:12].decode()}: {answer[:200].decode(errors='replace')}")
        return answer

    async def close(self) -> None:
        """Close every connection."""
        for _, writer in self._idle:
            writer.close()
            await writer.wait_closed()
        self._idle.clear()


def main(url: str, file: Path) -> None:
    """Measure as often as asked."""
    bodies = file.read_bytes().splitlines()
    client = Client(url)

    async def send(number: int) -> None:
        await client.post(bodies[number % len(bodies)])

    on_demand(send, client.close)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
