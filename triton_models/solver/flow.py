"""From a request's arrival to its response: the line, the embedding, the slots. No threads here, and nothing waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from triton_models.solver.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engines.slots import Row, Slots
    from triton_models.solver.work import Work


PATIENCE_SECONDS = 0.2
"""Most requests are answered before; and each question to the server is a round trip to its process."""


class Reporter(Protocol):
    """Who is told what happens, by any thread."""

    def stepped(self, rows: int) -> None:
        """``rows`` were stepped together."""

    def holding(self, slots: int, waiting: int) -> None:
        """So many slots are taken now, and so many puzzles wait for one."""

    def answered(self, work: Work, seconds: float) -> None:
        """``work`` has had its response."""


def _at_once(function: Callable[[Work, float], None], work: Work, seconds: float) -> None:
    function(work, seconds)


class Flow:
    """Takes requests in, embeds their puzzles, steps all occupied slots together, and answers.

    One thread may call ``prepare`` while another calls ``advance``, and any thread the rest.

    Args:
        slots: what is stepped; nobody else may touch it.
        encode: gives puzzles their embeddings; called for no more puzzles at once than there are slots.
        queue: how many puzzles may wait when no slot is free; a request that finds so many before it is refused.
        reporter: who is told.
        clock: seconds.
        run: takes a function and its arguments, and has a response sent with it, here or in another thread: it is a
            round trip to the server's process, for which no segment need wait.
        patience: how old a request is before its client is asked whether it has gone, seconds.
    """

    def __init__(
        self,
        slots: Slots[Work],
        encode: Callable[[Sequence[Row[Work]]], None],
        queue: int,
        reporter: Reporter,
        clock: Callable[[], float] = time.monotonic,
        run: Callable[[Callable[[Work, float], None], Work, float], object] = _at_once,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._slots = slots
        self._encode = encode
        self._queue = queue
        self._reporter = reporter
        self._clock = clock
        self._run_elsewhere = run
        self._patience = patience
        self.changed = threading.Condition()
        """Guards what follows, and is notified of its changes."""
        self._live: dict[Work, None] = {}
        """Let in, and not answered."""
        self._line = Line()
        self._next: deque[Row[Work]] = deque()
        """Have left the line, and wait for embeddings or a slot; as many as one segment can free slots for."""
        self._taken = 0
        """Slots."""

    def submit(self, works: Sequence[Work]) -> None:
        """Let ``works`` join the line, or refuse them."""
        refused = []
        with self.changed:
            for work in works:
                before = self._line.ahead(work.level) + len(self._next) - (self._slots.capacity - self._taken)
                if before < self._queue:
                    self._line.join(work)
                    self._live[work] = None
                else:
                    refused.append(work)
            self.changed.notify_all()
        for work in refused:
            work.fail("queue_full", f"the queue is full: {self._queue} puzzles wait for a slot")
            self._report(work)

    def can_prepare(self) -> bool:
        """Whether ``prepare`` has something to do."""
        return len(self._line) > 0 and len(self._next) < self._slots.capacity

    def can_advance(self) -> bool:
        """Whether ``advance`` has something to do."""
        return self._taken > 0 or self._is_ready()

    def is_empty(self) -> bool:
        """Whether nothing is on its way to a slot or in one."""
        return not (self._taken or self._next or len(self._line))

    def prepare(self) -> None:
        """Take puzzles from the front of the line and embed them."""
        with self.changed:
            rows = self._line.take(self._slots.capacity - len(self._next))
            self._next += rows
        self._ask({row.owner for row in rows})
        now = self._clock()
        wanted = [row for row in rows if not row.owner.expire(now)]
        try:
            self._encode(wanted)
        except Exception as error:  # whatever it is, every client that waits gets an answer
            logging.getLogger(__name__).exception("puzzles could not be embedded")
            _fail({row.owner for row in wanted}, str(error))
        self._settle()

    def advance(self) -> None:
        """Let in what is embedded, step once, and answer those that are done."""
        with self.changed:
            rows = self._admitted()
        try:
            self._turn(rows)
        except Exception as error:  # as above
            logging.getLogger(__name__).exception("a segment failed")
            _fail({row.owner for row in self._slots.clear()}, str(error))
        with self.changed:
            self._taken = len(self._slots.running)
            waiting = len(self._line) + len(self._next)
        self._reporter.holding(self._taken, waiting)
        self._settle()

    def poll(self) -> None:
        """Ask of all that have left the line whether their clients have gone; the line may be long."""
        with self.changed:
            line = set(self._line)
            asked = [work for work in self._live if work.rows[0] not in line]
        self._ask(asked)

    def abandon(self, why: str) -> None:
        """Answer everyone with an error; nobody calls ``prepare`` or ``advance`` any more."""
        with self.changed:
            left, self._live = list(self._live), {}
        _fail(left, why)
        for work in left:
            self._report(work)

    def _ask(self, works: Iterable[Work]) -> None:
        before = self._clock() - self._patience
        for work in works:
            if work.arrived <= before:
                work.poll()

    def _is_ready(self) -> bool:
        return bool(self._next) and self._next[0].embedding is not None

    def _admitted(self) -> list[Row[Work]]:
        """The puzzles that take the free slots."""
        rows = []
        while self._is_ready() and self._taken < self._slots.capacity:
            rows.append(self._next.popleft())
            self._taken += 1
        return rows

    def _turn(self, rows: Sequence[Row[Work]]) -> None:
        self._slots.submit(rows)
        now = self._clock()
        with self.changed:
            live = list(self._live)
        for work in live:
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
        """Have a complete answer sent; from here on nobody else knows of it."""
        with self.changed:
            del self._live[work]
        self._run_elsewhere(self._deliver, work, now - work.arrived)

    def _deliver(self, work: Work, seconds: float) -> None:
        work.send()
        self._reporter.answered(work, seconds)

    def _settle(self) -> None:
        """Let go of the puzzles of requests that were answered with an error, and report these."""
        with self.changed:
            ended = [work for work in self._live if work.outcome is not None]
            for work in ended:
                del self._live[work]
            if ended:
                self._line.leave()
                self._next = deque(row for row in self._next if row.owner.outcome is None)
            self.changed.notify_all()
        for work in ended:
            self._report(work)

    def _report(self, work: Work) -> None:
        self._reporter.answered(work, self._clock() - work.arrived)


def _fail(works: Iterable[Work], why: str) -> None:
    for work in works:
        work.fail("error", f"the orchestrator failed: {why}")
