"""What waits together is done together, and nobody pays for a neighbour."""

import threading
import time
from concurrent.futures import CancelledError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.batch import Batcher, Job


def doubling(seen: list[list[int]], gate: threading.Event | None = None):
    def work(jobs: list[Job[int, int]]) -> None:
        seen.append([job.item for job in jobs])
        if gate is not None:
            gate.wait(10)
        for job in jobs:
            if job.item < 0:
                raise ValueError(f"no {job.item}")
            job.done.set_result(2 * job.item)

    return work


def test_a_lone_item_goes_at_once_and_what_waits_meanwhile_goes_together():
    seen: list[list[int]] = []
    gate = threading.Event()
    batcher = Batcher(doubling(seen, gate), name="test")

    first = batcher.submit(1)
    while not seen:
        time.sleep(0.001)
    rest = [batcher.submit(n) for n in (2, 3, 4)]
    gate.set()

    assert [future.result(10) for future in (first, *rest)] == [2, 4, 6, 8]
    assert seen == [[1], [2, 3, 4]]
    batcher.close()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-3, 20), max_size=40), st.integers(1, 8))
def test_each_gets_its_own_result_or_its_own_error(items: list[int], most: int):
    batcher = Batcher(doubling([]), name="test", most=most)
    futures = [batcher.submit(item) for item in items]
    batcher.close()

    for item, future in zip(items, futures, strict=True):
        if item < 0:
            assert str(future.exception(10)) == f"no {item}"
        else:
            assert future.result(10) == 2 * item


def test_what_is_cancelled_while_it_waits_is_not_done():
    seen: list[list[int]] = []
    gate = threading.Event()
    batcher = Batcher(doubling(seen, gate), name="test")
    running = batcher.submit(1)
    while not seen:
        time.sleep(0.001)
    cancelled, kept = batcher.submit(2), batcher.submit(3)

    assert cancelled.cancel()
    assert not running.cancel(), "what runs is waited for"
    gate.set()
    batcher.close()

    assert seen == [[1], [3]]
    assert (running.result(0), kept.result(0)) == (2, 6)
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_closing_does_what_waits_and_then_takes_no_more():
    gate = threading.Event()
    batcher = Batcher(doubling([], gate), name="test")
    futures = [batcher.submit(n) for n in range(5)]
    gate.set()

    batcher.close()
    batcher.close()

    assert [future.result(0) for future in futures] == [0, 2, 4, 6, 8]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(1)
