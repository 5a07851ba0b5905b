"""The thread that steps the slots, and the door through which requests reach it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engines.slots import Slots
    from triton_models.solver.work import Work

POLL_SECONDS = 0.05
"""How often clients are asked whether they have gone."""
PATIENCE_SECONDS = 0.2
"""How old a request is before its client is asked: each question is a round trip to the server's process."""


class Reporter(Protocol):
    """Who is told what happens."""

    def stepped(self, rows: int) -> None:
        """``rows`` were stepped together."""

    def holding(self, slots: int) -> None:
        """So many slots are taken now."""

    def answered(self, work: Work, seconds: float) -> None:
        """``work`` has had its response."""


def _at_once(function: Callable[[Work, float], None], work: Work, seconds: float) -> None:
    function(work, seconds)


class Loop:
    """Steps all occupied slots together, and lets requests come and go between segments.

    Args:
        slots: what is stepped; nobody else may touch it.
        ahead: how many puzzles may wait here when no slot is free. They fill the slots of those that leave without a
            segment's delay; all others wait in Triton's queue, where its limits and priorities hold.
        reporter: who is told.
        clock: seconds.
        run: takes a function and its arguments, and has a response sent with it, here or in another thread: it is a
            round trip to the server's process, for which no segment need wait.
    """

    def __init__(
        self,
        slots: Slots[Work],
        ahead: int,
        reporter: Reporter,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[Work, float], None], Work, float], object] = _at_once,
    ) -> None:
        self._slots = slots
        self._ahead = ahead
        self._reporter = reporter
        self._clock = clock
        self._run_elsewhere = run
        self._condition = threading.Condition()
        self._inbox: list[Work] = []
        self._live: dict[Work, None] = {}
        self._backlog = -slots.capacity
        """Puzzles that have come and wait, less the free slots."""
        self._closing = False
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="slots", daemon=True),
            threading.Thread(target=self._watch, name="cancellation", daemon=True),
        ]

    def start(self) -> None:
        """Have threads call ``advance`` and ``poll`` until ``close``."""
        for thread in self._threads:
            thread.start()

    def submit(self, works: Sequence[Work]) -> None:
        """Let ``works`` in, and come back when there is room for more."""
        with self._condition:
            self._inbox += works
            self._live.update(dict.fromkeys(works))
            self._backlog += sum(len(work.rows) for work in works)
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._backlog <= self._ahead or self._stopped.is_set())
        if self._stopped.is_set():
            self._abandon()

    def close(self) -> None:
        """Answer everything that has come, and stop."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    def advance(self) -> bool:
        """Let in what has come, step once, and answer those that are done; waits while there is nothing to do.

        Returns:
            False when there is nothing more to come.
        """
        arrived = self._next()
        if arrived is None:
            return False
        try:
            self._turn(arrived)
        except Exception as error:  # whatever it is, every client that waits gets an answer
            logging.getLogger(__name__).exception("a segment failed")
            self._slots.clear()
            _fail(self._inside(), str(error))
        self._conclude()
        return True

    def poll(self, patience: float = 0.0) -> None:
        """Ask of every request that is older than ``patience`` seconds whether its client has gone."""
        before = self._clock() - patience
        for work in list(self._live):
            if work.arrived <= before:
                work.poll()

    def _run(self) -> None:
        try:
            while self.advance():
                pass
        finally:
            with self._condition:
                self._stopped.set()
                self._condition.notify_all()
            self._abandon()

    def _watch(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            self.poll(PATIENCE_SECONDS)

    def _next(self) -> list[Work] | None:
        """What has come since the last segment; waits while there is nothing to do. None when it is time to go."""
        with self._condition:
            self._condition.wait_for(lambda: self._inbox or not self._slots.idle or self._closing)
            if self._slots.idle and not self._inbox:
                return None
            arrived, self._inbox = self._inbox, []
            return arrived

    def _turn(self, arrived: Sequence[Work]) -> None:
        self._slots.submit(row for work in arrived for row in work.rows)
        now = self._clock()
        for work in list(self._live):
            work.expire(now)
        self._slots.drop(lambda row: row.owner.outcome is not None)
        if self._slots.idle:
            return
        turn = self._slots.turn()
        self._reporter.stepped(len(turn.rows))
        now = self._clock()
        for row, answer in turn.answers.items():
            if not row.owner.expire(now) and row.owner.answer(row, answer):
                self._hand_over(row.owner, now)

    def _hand_over(self, work: Work, now: float) -> None:
        """Have a complete answer sent; from here on the loop knows nothing of it."""
        with self._condition:
            del self._live[work]
        self._run_elsewhere(self._deliver, work, now - work.arrived)

    def _deliver(self, work: Work, seconds: float) -> None:
        work.send()
        self._reporter.answered(work, seconds)

    def _inside(self) -> list[Work]:
        """The requests that were let in and are not answered; not those that came since."""
        with self._condition:
            since = set(self._inbox)
            return [work for work in self._live if work not in since]

    def _conclude(self) -> None:
        """Report what has been answered, and open the door for as many as have left."""
        now = self._clock()
        with self._condition:
            ended = [work for work in self._live if work.outcome is not None]
            for work in ended:
                del self._live[work]
            free = self._slots.capacity - len(self._slots.running)
            self._backlog = len(self._slots.waiting) + sum(len(work.rows) for work in self._inbox) - free
            self._condition.notify_all()
        self._reporter.holding(len(self._slots.running))
        for work in ended:
            self._reporter.answered(work, now - work.arrived)

    def _abandon(self) -> None:
        """Answer what nobody will step any more; there is something only where the loop has failed."""
        with self._condition:
            left, self._live = list(self._live), {}
        _fail(left, "it has stopped")
        now = self._clock()
        for work in left:
            self._reporter.answered(work, now - work.arrived)


def _fail(works: Iterable[Work], why: str) -> None:
    for work in works:
        work.fail("error", f"the orchestrator failed: {why}")
