"""Training in processes of its own, which kill themselves at a chosen moment or stand on a small disk.

They are forked from a server that has loaded PyTorch once, so that a test may start a dozen.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiny_training
import torch

from hrm.errors import HrmTrtError
from hrm.training.journal import JsonLines
from hrm.training.run import Stepped
from hrm_trt.pipeline.training import training

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["pytest", "torch._dynamo", "torch.utils.tensorboard", "hrm.data.drawing", "hrm.training.curve", "hrm.training.run"]
)


class Child:
    """One process that trains; ``kill`` names a moment of ``KILLS`` and counts how often it is let pass."""

    def __init__(
        self, dataset: Path, directory: Path, *, kill: tuple[str, int] | None = None, disk: int | None = None,
        barrier: Barrier | None = None, **changes: Any,
    ) -> None:  # fmt: skip
        self.steps, theirs = context.Pipe(duplex=False)
        """Gives the number of each step when it is done, and at the end the text of an error, if there was one."""
        arguments = (dataset, directory, changes, theirs, kill, disk, barrier)
        self.process = context.Process(target=_train, args=arguments)
        self.process.start()
        theirs.close()

    def finish(self) -> tuple[int, str]:
        """The exit code (negative for a signal) and the error's text."""
        said = ""
        try:
            while True:
                said = self.steps.recv()
        except EOFError:
            pass
        self.process.join()
        assert self.process.exitcode is not None
        return self.process.exitcode, said if isinstance(said, str) else ""


def _train(
    dataset: Path, directory: Path, changes: dict[str, Any], steps: Connection, kill: tuple[str, int] | None,
    disk: int | None, barrier: Barrier | None,
) -> None:  # fmt: skip
    torch.set_num_threads(1)
    if kill is not None:
        KILLS[kill[0]](kill[1])
    if barrier is not None:
        barrier.wait()
    try:
        with training(tiny_training.recipe(dataset, **changes), directory) as (_, events):
            for event in events:
                if isinstance(event, Stepped):
                    steps.send(event.step)
                    if disk is not None:
                        resource.setrlimit(resource.RLIMIT_FSIZE, (disk, disk))
    except HrmTrtError as error:
        steps.send(str(error))
        sys.exit(error.exit_code)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_sync(passed: int) -> None:
    """A file is complete under another name."""
    calls, sync = itertools.count(), os.fsync

    def fsync(handle: int) -> None:
        sync(handle)
        if next(calls) == passed:
            _die()

    os.fsync = fsync


def _at_replace(passed: int) -> None:
    """A file has just got its name."""
    calls, replace = itertools.count(), Path.replace

    def replaced(self: Path, target: Path) -> None:
        replace(self, target)
        if next(calls) == passed:
            _die()

    Path.replace = replaced  # type: ignore[method-assign, assignment]


def _in_state(passed: int) -> None:
    """A state is half-written."""
    calls, save = itertools.count(), torch.save

    def saved(state: Any, file: Any) -> None:
        save(state, file)
        if next(calls) == passed:
            file.truncate(file.tell() // 2)
            _die()

    torch.save = saved


def _in_line(passed: int) -> None:
    """A line of metrics is half-written."""
    calls, write = itertools.count(), JsonLines.write

    def written(self: JsonLines, *arguments: Any) -> None:
        write(self, *arguments)
        if next(calls) == passed:
            self._file.truncate(self._file.tell() - 20)
            _die()

    JsonLines.write = written  # type: ignore[method-assign]


KILLS: dict[str, Callable[[int], None]] = {
    "sync": _at_sync, "replace": _at_replace, "state": _in_state, "line": _in_line,
}  # fmt: skip
