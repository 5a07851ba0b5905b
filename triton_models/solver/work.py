"""One request of a client: its puzzles, and how it comes to its one response."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Literal, Protocol

from triton_models.solver.options import DEFAULT_LEVEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.slots import Answer, Row

Outcome = Literal["ok", "invalid", "cancelled", "deadline", "error", "not_finite", "queue_full"]


class Reply(Protocol):
    """The way back to the client; exactly one of ``send`` and ``refuse`` is called, once."""

    def send(self, answers: Sequence[Answer]) -> None:
        """Answer every puzzle of the request."""

    def refuse(self, outcome: Outcome, message: str) -> None:
        """Answer with an error."""

    def is_cancelled(self) -> bool:
        """Whether the client has gone; never called after the response."""


class Work:
    """A request on its way. The loop answers it; another thread may ask meanwhile whether its client has gone.

    Args:
        reply: the way back.
        request_id: the client's, for logs.
        arrived: when, on the loop's clock.
        deadline: when the answer is of no use any more, on the same clock; None for never.
    """

    def __init__(self, reply: Reply, request_id: str, arrived: float, deadline: float | None = None) -> None:
        self.rows: tuple[Row[Work], ...] = ()
        self.level = DEFAULT_LEVEL
        """Its priority."""
        self.request_id = request_id
        self.arrived = arrived
        self.outcome: Outcome | None = None
        """None until it is answered."""
        self.message = ""
        """What went wrong, where it was not answered."""
        self._answers: dict[Row[Work], Answer] = {}
        self._cancelled = False
        self._deadline = deadline
        self._lock = threading.Lock()
        self._reply = reply

    @property
    def depth(self) -> int:
        """The deepest of its puzzles so far, in segments."""
        return max((row.depth for row in self.rows), default=0)

    def poll(self) -> None:
        """Ask whether the client has gone; a question that fails is asked again the next time."""
        with self._lock, contextlib.suppress(Exception):
            if self.outcome is None:
                self._cancelled = self._reply.is_cancelled()

    def expire(self, now: float) -> bool:
        """End it if nobody wants its answer any more; whether that is so."""
        if self.outcome is None and self._cancelled:
            self.fail("cancelled", "the client cancelled the request")
        if self.outcome is None and self._deadline is not None and now > self._deadline:
            self.fail("deadline", f"the request's timeout passed after {self.depth} segments")
        return self.outcome is not None

    def answer(self, row: Row[Work], answer: Answer) -> bool:
        """Take one puzzle's answer; whether it was the last, and ``send`` is due."""
        self._answers[row] = answer
        if not answer.finite:
            self.fail("not_finite", f"the model gave NaN or infinity in segment {answer.depth}")
        return self.outcome is None and len(self._answers) == len(self.rows)

    def send(self) -> None:
        """Send the answers of all puzzles."""
        with self._lock:
            try:
                self._reply.send([self._answers[row] for row in self.rows])
                self.outcome = "ok"
            except Exception as error:  # noqa: BLE001  (shared memory may be full; the client is to be answered)
                self._refuse("error", f"the answer could not be sent: {error}")

    def fail(self, outcome: Outcome, message: str) -> None:
        """Answer with an error, unless it is answered already."""
        with self._lock:
            if self.outcome is None:
                self._refuse(outcome, message)

    def _refuse(self, outcome: Outcome, message: str) -> None:
        self.outcome, self.message = outcome, message
        try:
            self._reply.refuse(outcome, message)
        except Exception as error:  # noqa: BLE001  (as above)
            self.message += f"; the client could not be told: {error}"
