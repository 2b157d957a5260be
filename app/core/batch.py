"""What waits together is done together, in one thread: nobody waits for a batch to fill, and a lone item goes at once."""

import queue
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Job(Generic[Item, Result]):
    """Something to do, and where its outcome goes."""

    item: Item
    done: Future[Result] = field(default_factory=Future)


class Batcher(Generic[Item, Result]):
    """Hands whatever waits to ``work``, which completes each job's future, in any order and as early as it can.

    When ``work`` raises, the jobs that are not done yet are tried again one by one, so that an error reaches the job it
    belongs to and no other. Work that may be tried again has no other effect than its results.
    """

    def __init__(self, work: Callable[[list[Job[Item, Result]]], None], *, name: str, most: int = 64) -> None:
        self._work = work
        self._most = most
        self._jobs: queue.SimpleQueue[Job[Item, Result] | None] = queue.SimpleQueue()
        self._closing = Lock()
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: Item) -> Future[Result]:
        """Have something done; cancelling the future takes it back as long as it waits.

        Raises:
            RuntimeError: It was closed.
        """
        job: Job[Item, Result] = Job(item)
        with self._closing:
            if self._closed:
                raise RuntimeError(f"{self._thread.name} is closed")
            self._jobs.put(job)
        return job.done

    def close(self) -> None:
        """Do what waits, then end the thread; closing twice does nothing."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            waiting = [self._jobs.get()]
            while len(waiting) < self._most and not self._jobs.empty():  # nobody else takes: what is there stays there
                waiting.append(self._jobs.get())
            going = None not in waiting
            self._do([job for job in waiting if job is not None and job.done.set_running_or_notify_cancel()])

    def _do(self, jobs: list[Job[Item, Result]]) -> None:
        if not jobs:
            return
        try:
            self._work(jobs)
        except Exception as error:  # the caller's to judge
            left = [job for job in jobs if not job.done.done()]
            if len(jobs) == 1:
                for job in left:
                    job.done.set_exception(error)
            else:
                for job in left:
                    self._do([job])
