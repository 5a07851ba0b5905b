"""A worker as the benchmark holds it: started with its threads set, spoken to, and ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hrm.errors import EngineError
from hrm_trt.bench.worker import Word, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hrm_trt.bench.worker import Job

T = TypeVar("T")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What numpy's and PyTorch's libraries read when they are loaded."""
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)
_LONGEST_END = 10.0
"""Seconds for a process that has closed its end to be gone."""


class Process(Generic[T]):
    """One job in a fresh process, which has only been started; idle between its turns.

    Args:
        job: what to open.
        words: the file that gets what it prints.
    """

    def __init__(self, job: Job[T], words: Path) -> None:
        self._words = words
        self._began = time.perf_counter()
        self._busy = True
        self._link, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=serve, args=(job, theirs, str(words)), daemon=True)
        with _spawning(job.threads):
            self._process.start()
        theirs.close()

    def opened(self) -> float:
        """Wait until the job is open; returns the seconds since there was nothing, the interpreter's start included.

        Raises:
            EngineError: it cannot be opened, or died of it.
        """
        self._hear(lambda _: None)
        return time.perf_counter() - self._began

    def turn(self, tell: Callable[[int], None]) -> T:
        """One turn; ``tell`` is called with what is done of it.

        Raises:
            EngineError: it failed or died.
        """
        try:
            self._link.send(True)
        except _GONE:
            raise self._died() from None
        measured: T = self._hear(tell)
        return measured

    def close(self) -> None:
        """End it, whatever it does; one that does nothing may tidy up, as compilers with processes of their own do."""
        self._link.close()
        self._process.join(0 if self._busy else _LONGEST_END)
        self._process.kill()
        self._process.join()

    def _hear(self, tell: Callable[[int], None]) -> Any:
        """Wait until it is ready or done."""
        self._busy = True
        while True:
            try:
                word: Word = self._link.recv()
            except _GONE:
                raise self._died() from None
            if word.kind == "progress":
                tell(word.value)
            elif word.kind == "failed":
                raise _failure(str(word.value))
            else:
                self._busy = False
                return word.value

    def _died(self) -> EngineError:
        self._process.join(_LONGEST_END)
        code = self._process.exitcode
        if code == -signal.SIGKILL:
            return _failure(f"its process was killed by signal {signal.SIGKILL:d}: most likely no memory was left")
        end = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return _failure(f"its process ended with {end}; its last words: {self._last_words()}")

    def _last_words(self) -> str:
        said = self._words.read_text("utf-8", errors="replace") if self._words.is_file() else ""
        return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "none")


def _failure(why: str) -> EngineError:
    return EngineError("a subject could not be measured", why=why, hint="the others are measured all the same")


@contextmanager
def _spawning(threads: int) -> Iterator[None]:
    """Have what is started here use ``threads`` threads and never see Ctrl-C: the benchmark sees it, and ends it."""
    resource_tracker.ensure_running()  # it would lift the mask when it starts
    before = {name: os.environ.get(name) for name in _THREADS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
