"""Requests to a real server that are on their way, and what a test waits for meanwhile."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from triton_models.server.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import tritonclient.grpc as grpc
    from tritonclient.utils import InferenceServerException

PATIENCE = 30.0
"""Seconds after which what should have happened has not; nothing takes so long."""
Answer = dict[str, "np.ndarray"]


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that must happen."""
    assert wait_until(happened, PATIENCE)


class Pending:
    """A request that is on its way."""

    def __init__(self) -> None:
        self.ended = 0.0
        """When its response came; 0 until then."""
        self._done = threading.Event()
        self._result: grpc.InferResult | None = None
        self._error: InferenceServerException | None = None
        self.cancel: Callable[[], None]

    def finish(self, result: grpc.InferResult | None, error: InferenceServerException | None) -> None:
        """Called by tritonclient."""
        self._result, self._error, self.ended = result, error, time.monotonic()
        self._done.set()

    @property
    def done(self) -> bool:
        """Whether it has had its response."""
        return self._done.is_set()

    def error(self) -> str:
        """What the server refused it with."""
        assert self._done.wait(PATIENCE)
        assert self._error is not None
        return f"{self._error.status()}: {self._error.message()}"

    def answer(self) -> Answer:
        """What the server answered."""
        assert self._done.wait(PATIENCE)
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return {output.name: self._result.as_numpy(output.name) for output in self._result.get_response().outputs}
