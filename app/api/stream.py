"""Events -> bytes on the wire. An answer runs in a task of its own; a route reads what it puts out."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import orjson
from fastapi import Request

from app.core.errors import ShuttingDown
from app.events import Event

KEEP_ALIVE_S = 10.0


class Running:
    """One answer on its way: cancel it and its model call is cancelled, with its rows settled.

    A task of its own, because a web framework cancels a route's own awaits, those of its ``finally`` too: the ledger's last
    write would be lost.
    """

    def __init__(self, events: AsyncGenerator[Event, None], *, stopping: asyncio.Event, tasks: set[asyncio.Task[None]]) -> None:
        self._queue: asyncio.Queue[Event | BaseException | None] = asyncio.Queue()
        self._stopping = stopping
        self.task = asyncio.create_task(self._run(events))
        tasks.add(self.task)
        self.task.add_done_callback(tasks.discard)

    async def next(self, timeout: float | None = None) -> Event | None:
        """Return the next event, or None after the last one.

        Raises:
            TimeoutError: Nothing came in ``timeout`` seconds.
            CitewellError: The question was refused before its first event.
        """
        async with asyncio.timeout(timeout):
            item = await self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    async def _run(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._queue.put_nowait(event)
        except asyncio.CancelledError:
            if self._stopping.is_set():  # before its first event; later it ends with answer.failed by itself
                self._queue.put_nowait(ShuttingDown("The server is stopping. Ask again in a moment.", retry_after_s=2))
        except Exception as error:  # handed to the route that reads the queue, which raises it
            self._queue.put_nowait(error)
        finally:
            self._queue.put_nowait(None)


async def whole(running: Running, request: Request) -> Event | None:
    """Return an answer's last event; None when the client went away, which cancels it.

    Raises:
        CitewellError: The question was refused.
    """
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({running.task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.task.done():
            running.task.cancel()
            return None
    finally:
        gone.cancel()
    last = None
    while (event := await running.next()) is not None:
        last = event
    return last


async def first(running: Running, request: Request) -> Event | None:
    """Return an answer's first event; None when the client went away before it, which cancels it.

    Raises:
        CitewellError: The question was refused.
    """
    gone = asyncio.create_task(_disconnected(request))
    waiting = asyncio.create_task(running.next())
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            running.task.cancel()
            return None
        return waiting.result()
    finally:
        gone.cancel()


async def frames(begun: Event, running: Running) -> AsyncIterator[bytes]:
    """Yield server-sent events; a comment while the model thinks. Closing it cancels the answer."""
    started = time.perf_counter()
    seq = 0
    event: Event | None = begun
    try:
        while event is not None:
            t_ms = round((time.perf_counter() - started) * 1000, 1)
            data = orjson.dumps({"type": event.type, "seq": seq, "t_ms": t_ms, **event.data})
            yield b"event: %b\nid: %d\ndata: %b\n\n" % (event.type.encode(), seq, data)
            seq += 1
            event = None
            while True:
                try:
                    event = await running.next(KEEP_ALIVE_S)
                    break
                except TimeoutError:
                    yield b": keep-alive\n\n"
    finally:
        running.task.cancel()  # does nothing to one that is done


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
