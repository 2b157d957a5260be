"""N callers in a closed loop, and the process that runs them whenever it is asked to."""

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import orjson
import uvloop

from evals.bench.figures import Load, percentile

Send = Callable[[int], Awaitable[None]]
"""Sends the request of a number and waits for its answer; raises when there is none."""


async def closed_loop(send: Send, *, callers: int, first: int, requests: int) -> Load:
    """Send the requests ``first`` to ``first + requests - 1`` from N callers; an exception is an error, and is counted."""
    numbers = itertools.islice(itertools.count(first), requests)
    took: list[float] = []
    errors: list[str] = []

    async def caller() -> None:
        for number in numbers:
            began = time.perf_counter()
            try:
                await send(number)
            except Exception as error:  # whatever it is, it is no answer
                errors.append(f"{type(error).__name__}: {error}"[:300])
            took.append((time.perf_counter() - began) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds = time.perf_counter() - started
    return Load(
        callers, requests, seconds, percentile(took, 0.5), percentile(took, 0.95), len(errors), errors[0] if errors else None
    )


def on_demand(send: Send, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Read a JSON line a measurement from standard input, write what was seen to standard output, until the input ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in iter(sys.stdin.buffer.readline, b""):
            load = runner.run(closed_loop(send, **orjson.loads(line)))
            sys.stdout.buffer.write(orjson.dumps(load.as_json()) + b"\n")
            sys.stdout.buffer.flush()
        runner.run(close())
