"""The threads that drive the flow of requests: one embeds, one steps the slots, one asks whether clients have gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triton_models.solver.flow import Flow
    from triton_models.solver.work import Work

POLL_SECONDS = 0.05
"""How often clients are asked whether they have gone."""


class Loop:
    """Drives ``flow`` from ``start`` to ``close``."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._closing = False
        self._stopped = threading.Event()
        self._workers = [
            threading.Thread(target=self._drive, args=steps, name=name, daemon=True)
            for name, *steps in (
                ("encoder", flow.can_prepare, flow.prepare),
                ("slots", flow.can_advance, flow.advance),
            )
        ]
        self._watch = threading.Thread(target=self._poll, name="cancellation", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._workers, self._watch):
            thread.start()

    def submit(self, works: Sequence[Work]) -> None:
        """Let ``works`` in, or refuse them; never waits."""
        self._flow.submit(works)
        if self._stopped.is_set():
            self._flow.abandon("it has stopped")

    def close(self) -> None:
        """Answer everything that has come, and stop."""
        with self._flow.changed:
            self._closing = True
            self._flow.changed.notify_all()
        for thread in self._workers:
            thread.join()
        self._stopped.set()
        self._watch.join()

    def _drive(self, can_step: Callable[[], bool], step: Callable[[], None]) -> None:
        """Call ``step`` whenever it can do something; if it fails, nobody is left waiting."""
        try:
            while self._wait(can_step):
                step()
        except BaseException:
            with self._flow.changed:
                self._stopped.set()
                self._flow.changed.notify_all()
            self._flow.abandon("it has stopped")
            raise

    def _wait(self, can_step: Callable[[], bool]) -> bool:
        """Wait until there is something to do; False when there never will be."""
        with self._flow.changed:
            self._flow.changed.wait_for(lambda: can_step() or self._is_over())
            return can_step() and not self._stopped.is_set()

    def _is_over(self) -> bool:
        return self._stopped.is_set() or (self._closing and self._flow.is_empty())

    def _poll(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            self._flow.poll()
