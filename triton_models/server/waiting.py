"""Waiting for what can only be asked about."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _LONGEST = 0.02, 0.5


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Ask until ``true``, ever less often; False if it is not after ``seconds``."""
    deadline, pause = time.monotonic() + seconds, _FIRST
    while not true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return True
