"""A subject's own process: it opens one job, and takes a turn whenever it is told to.

What goes wrong in it stays in it: a library that crashes takes this process and no other, and what libraries print
goes into a file of words, whose last line says why.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

from hrm.errors import HrmTrtError

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

T_co = TypeVar("T_co", covariant=True)
_DIE_WITH_PARENT = 1
"""``PR_SET_PDEATHSIG``"""
_PAUSE = 0.5
"""Seconds between two words of progress: each costs the measurement microseconds."""


class Session(Protocol[T_co]):
    """Something opened."""

    def turn(self, tell: Callable[[int], None]) -> T_co:
        """Do the work once; ``tell`` is called with what is done of it."""


class Job(Protocol[T_co]):
    """Something to open; a value that can be pickled."""

    @property
    def threads(self) -> int:
        """How many the process may use."""

    def open(self) -> Session[T_co]:
        """Open it.

        Raises:
            HrmTrtError: it cannot be opened.
        """


class Word(NamedTuple):
    """What a worker says."""

    kind: Literal["ready", "progress", "done", "failed"]
    value: Any = None
    """How much is done; what a turn came to; why it failed."""


def serve(job: Job[Any], link: Connection, words: str) -> None:
    """Open ``job``, and take a turn for each message of ``link``, until it is closed."""
    _keep_words(words)
    _die_with_parent()
    try:
        session = job.open()
        link.send(Word("ready"))
        while link.recv():
            link.send(Word("done", session.turn(_Teller(link))))
    except HrmTrtError as error:
        link.send(Word("failed", f"{error.what}: {error.why}"))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # nobody listens any more
        return


class _Teller:
    """Passes progress on, now and then."""

    def __init__(self, link: Connection) -> None:
        self._link = link
        self._next = time.perf_counter() + _PAUSE

    def __call__(self, done: int) -> None:
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + _PAUSE
            self._link.send(Word("progress", done))


def _keep_words(path: str) -> None:
    """Send whatever is printed, from Python or from C, into the file at ``path``."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(handle, stream.fileno())
    os.close(handle)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
