"""The command line's edge: where every error becomes a message and an exit code."""

from __future__ import annotations

import sys
import traceback

from hrm.errors import HrmTrtError
from hrm_trt.cli.app import app
from hrm_trt.cli.console import people

_INTERRUPTED = 130


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. `--debug` anywhere adds the stack trace to an error."""
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="hrm-trt")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        people.print("interrupted; what was finished is kept", style="yellow")
        return _INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # the reader has gone; keep Python from complaining about it at exit
        return 0
    except HrmTrtError as error:
        _show(error, debug=debug)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  (the edge: a bug must still end in a message)
        _show_bug(error, debug=debug)
        return HrmTrtError.exit_code
    return 0


def _show(error: HrmTrtError, *, debug: bool) -> None:
    if debug:
        people.print(traceback.format_exc(), markup=False, highlight=False)
    people.print(f"[bold red]error:[/] {_plain(error.what)}")
    people.print(f"  [dim]why:[/]  {_plain(error.why)}")
    people.print(f"  [dim]next:[/] {_plain(error.hint)}")


def _show_bug(error: Exception, *, debug: bool) -> None:
    if debug:
        people.print(traceback.format_exc(), markup=False, highlight=False)
    people.print(f"[bold red]error:[/] a bug in hrm-trt: {_plain(f'{type(error).__name__}: {error}')}")
    people.print("  [dim]why:[/]  this case was not foreseen")
    people.print("  [dim]next:[/] run the same command with --debug and report what it prints")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
