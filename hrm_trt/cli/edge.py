"""The command line's edge: where every error becomes a message and an exit code."""

from __future__ import annotations

import traceback

from rich.markup import escape

from hrm.errors import HrmTrtError, missing_package
from hrm_trt.cli.app import app
from hrm_trt.cli.console import people, print_json

_INTERRUPTED = 130
_EXTRAS = {
    "huggingface_hub": "hub",
    "onnx": "cpu",
    "onnxruntime": "cpu",
    "onnxscript": "cpu",
    "torch": "cpu",
    "tritonclient": "triton",
}


class _BugError(HrmTrtError):
    """What nobody foresaw."""

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"a bug in hrm-trt: {type(error).__name__}: {error}",
            why="this case was not foreseen",
            hint="run the same command with --debug and report what it prints",
        )


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. `--debug` anywhere adds the stack trace to an error."""
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="hrm-trt")
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # the reader has gone; typer makes it 1
            return 0
        code = stop.code if isinstance(stop.code, int) else 0
        if code == _INTERRUPTED:
            people.print("interrupted; what was finished is kept", style="yellow")
        return code
    except HrmTrtError as error:
        return _fail(error, debug=debug, json="--json" in arguments)
    except ModuleNotFoundError as error:
        return _fail(_missing(error), debug=debug, json="--json" in arguments)
    except Exception as error:  # noqa: BLE001  (the edge: a bug must still end in a message)
        return _fail(_BugError(error), debug=debug, json="--json" in arguments)
    return 0


def _missing(error: ModuleNotFoundError) -> HrmTrtError:
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return _BugError(error)
    return missing_package(package, _EXTRAS[package], "this command")


def _fail(error: HrmTrtError, *, debug: bool, json: bool) -> int:
    if debug:
        people.print(traceback.format_exc(), markup=False, highlight=False)
    people.print(f"[bold red]error:[/] {escape(error.what)}")
    people.print(f"  [dim]why:[/]  {escape(error.why)}")
    people.print(f"  [dim]next:[/] {escape(error.hint)}")
    if json:
        message = {"what": error.what, "why": error.why, "hint": error.hint, "exit_code": error.exit_code}
        print_json({"format_version": 1, "error": message})
    return error.exit_code
