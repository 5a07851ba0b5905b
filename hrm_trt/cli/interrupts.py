"""Ctrl-C and SIGTERM: what runs is broken off, and every command ends with one line and the code that shells expect.

A library that is interrupted while it is imported may swallow the interrupt or make any other error of it, so an
import that is under way is finished first. An interrupt that is lost elsewhere (in a finaliser, in a callback from C)
is raised again, unless it is being handled: what cleans up has the time it needs. A second one waits for nothing.
"""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # to import `typing` for it takes longer than all the rest, and nobody listens for Ctrl-C yet
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPORTING = 0.005
"""Seconds until an import under way is looked at again: no longer than a gap between two is likely to be."""
_LOST = 0.5
"""Seconds until an interrupt that was raised is looked for."""


class _Interrupted(KeyboardInterrupt):
    """A class of its own: where a plain one has passed through an `exec`, Python 3.11 ends by SIGINT, caught or not."""


class Interrupts:
    """What interrupted this process, if anything did."""

    def __init__(self) -> None:
        self.code: int | None = None
        """The exit code that the first interrupt asks for."""

    def guard(self, command: Callable[[], int]) -> int:
        """Run ``command`` in the main thread; returns its exit code, or an interrupt's once the one line is said."""
        try:
            self._watch()
            code = command()
            _ignore()  # what is done cannot be interrupted any more
        except KeyboardInterrupt:  # the lines around the command can be interrupted as well
            _ignore()
            self.code = self.code or 128 + signal.SIGINT
        if self.code is None:
            return code
        _say_so()
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)  # threads can keep Python from ending
        return self.code

    def _watch(self) -> None:
        sys.unraisablehook = _report_unraisable
        signal.signal(signal.SIGALRM, self._look)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.code is not None:
            raise _Interrupted
        self.code = 128 + number
        self._look(number, frame)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        importing = _is_importing(frame)
        signal.setitimer(signal.ITIMER_REAL, _IMPORTING if importing else _LOST)
        if not importing and not _is_handled():
            raise _Interrupted


interrupts = Interrupts()
"""This process's."""


def _ignore() -> None:
    for number in (signal.SIGALRM, *_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether an import is under way in ``frame`` or in what called it."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib."):
        frame = frame.f_back
    return frame is not None


def _is_handled() -> bool:
    """Whether an `except`, a `finally` or the end of a `with` has an interrupt, or what became of one, in hand."""
    error = sys.exception()
    while error is not None and not isinstance(error, _Interrupted):
        error = error.__context__
    return error is not None


def _report_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    """Say nothing of an interrupt that got lost, since it comes again; of another exception what Python says."""
    if not issubclass(unraisable.exc_type, _Interrupted):
        sys.__unraisablehook__(unraisable)


def _say_so() -> None:
    from hrm_trt.cli.console import people

    people.show_cursor()  # a progress bar that was only about to start has hidden it
    people.print("interrupted; what was finished is kept", style="yellow")
