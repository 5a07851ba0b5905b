"""What operators see: metrics on Triton's ``/metrics`` and one line of JSON per request in its log.

Every update is a round trip to the server's process, so a thread of its own makes them, and the loop never waits.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, get_args

import triton_python_backend_utils as pb_utils

from triton_models.solver.work import Outcome

if TYPE_CHECKING:
    from triton_models.solver.settings import Settings
    from triton_models.solver.work import Work

FLUSH_SECONDS = 0.2
SECONDS_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]
UNEVENTFUL = ("ok", "queue_full")
"""Outcomes without a line in the log, unless every request has one; a full queue would fill it too."""


class Instruments:
    """The metrics of one version of one model.

    Args:
        settings: names, version and depth.
        slots: how many puzzles run at once.
    """

    def __init__(self, settings: Settings, slots: int) -> None:
        self._families: list[Any] = []
        """A metric works for as long as its family lives."""
        self._labels = {"model": settings.name, "version": str(settings.version)}
        requests = self._family("hrm_requests_total", "Requests by how they ended", "COUNTER")
        self.outcomes = {each: requests.Metric(labels=self._labels | {"outcome": each}) for each in get_args(Outcome)}
        self.totals = {
            "cancelled": self._plain("hrm_cancelled_total", "Requests whose client went away", "COUNTER"),
            "deadline": self._plain("hrm_deadline_exceeded_total", "Requests whose timeout passed", "COUNTER"),
        }
        self.in_use = self._plain("hrm_slots_in_use", "Puzzles that are being solved", "GAUGE")
        self.waiting = self._plain("hrm_waiting", "Puzzles that wait for a slot", "GAUGE")
        depths = [float(depth) for depth in range(1, settings.max_depth + 1)]
        self.depth = self._histogram("hrm_depth", "Segments of answered puzzles", depths)
        self.seconds = self._histogram("hrm_solve_seconds", "From arrival to the response", SECONDS_BUCKETS)
        powers = [float(2**power) for power in range(slots.bit_length()) if 2**power < slots]
        self.rows = self._histogram("hrm_batch_rows", "Puzzles per segment", [*powers, float(slots)])

    def _family(self, name: str, description: str, kind: str) -> Any:
        kinds = pb_utils.MetricFamily
        self._families.append(kinds(name=name, description=description, kind=getattr(kinds, kind)))
        return self._families[-1]

    def _plain(self, name: str, description: str, kind: str) -> Any:
        return self._family(name, description, kind).Metric(labels=self._labels)

    def _histogram(self, name: str, description: str, buckets: list[float]) -> Any:
        return self._family(name, description, "HISTOGRAM").Metric(labels=self._labels, buckets=buckets)


class TritonReporter:
    """Sums up what the loop tells, and passes it on a few times a second.

    Args:
        settings: names, version and depth.
        slots: how many puzzles run at once.
        log_requests: whether each request has a line in the log; failures have one, but for those of a full queue.
    """

    def __init__(self, settings: Settings, slots: int, *, log_requests: bool) -> None:
        self._settings = settings
        self._instruments = Instruments(settings, slots)
        self._log_requests = log_requests
        self._holding = (0, 0)
        self._events: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stepped(self, rows: int) -> None:
        """``rows`` were stepped together."""
        self._events.put(("rows", rows))

    def holding(self, slots: int, waiting: int) -> None:
        """So many slots are taken now, and so many puzzles wait for one."""
        if (slots, waiting) != self._holding:
            self._holding = (slots, waiting)
            self._events.put(("holding", self._holding))

    def answered(self, work: Work, seconds: float) -> None:
        """``work`` has had its response."""
        self._events.put(("answered", (work, seconds)))

    def close(self) -> None:
        """Pass on what is left, and stop."""
        self._events.put(None)
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            batch = [self._events.get()]
            self._closed.wait(FLUSH_SECONDS)
            while not self._events.empty():
                batch.append(self._events.get())
            running = None not in batch
            try:
                self._pass_on([event for event in batch if event is not None])
            except Exception:  # what comes next is to be counted all the same
                logging.getLogger(__name__).exception("events are missing in the metrics")

    def _pass_on(self, events: list[tuple[str, Any]]) -> None:
        outcomes: Counter[Outcome] = Counter()
        for kind, value in events:
            if kind == "rows":
                self._instruments.rows.observe(value)
            elif kind == "answered":
                work, seconds = value
                outcomes[work.outcome] += 1
                self._answered(work, seconds)
        for outcome, count in outcomes.items():
            self._instruments.outcomes[outcome].increment(count)
            if outcome in self._instruments.totals:
                self._instruments.totals[outcome].increment(count)
        for slots, waiting in [value for kind, value in events if kind == "holding"][-1:]:
            self._instruments.in_use.set(slots)
            self._instruments.waiting.set(waiting)

    def _answered(self, work: Work, seconds: float) -> None:
        if work.outcome == "ok":
            self._instruments.seconds.observe(seconds)
            for row in work.rows:
                self._instruments.depth.observe(row.depth)
        if self._log_requests or work.outcome not in UNEVENTFUL:
            line = {
                "event": "solve",
                "model": self._settings.name,
                "version": self._settings.version,
                "request": work.request_id,
                "outcome": work.outcome,
                "depth": work.depth,
                "rows": len(work.rows),
                "seconds": round(seconds, 6),
            }
            if work.outcome != "ok":
                line["message"] = work.message
            pb_utils.Logger.log_info(json.dumps(line))
