"""The command line's edge: where every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback

from rich.markup import escape

from hrm.errors import HrmTrtError, missing_package
from hrm_trt.cli.app import app
from hrm_trt.cli.console import people, print_json
from hrm_trt.cli.interrupts import interrupts

_EXTRAS = {
    "adam_atan2_pytorch": "train",
    "fsspec": "remote",
    "huggingface_hub": "hub",
    "modelopt": "quantise",
    "onnx": "cpu",
    "onnxruntime": "cpu",
    "onnxscript": "cpu",
    "tensorboard": "train",
    "tensorrt": "tensorrt",
    "tensorrt_rtx_bindings": "rtx",
    "torch": "cpu",
    "torch_tensorrt": "torch-tensorrt",
    "tritonclient": "triton",
    "wandb": "wandb",
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
    debug, json = "--debug" in arguments, "--json" in arguments
    try:
        return _call([argument for argument in arguments if argument != "--debug"])
    except HrmTrtError as error:
        return _fail(error, debug=debug, json=json)
    except ModuleNotFoundError as error:
        return _fail(_missing(error), debug=debug, json=json)
    except Exception as error:  # noqa: BLE001  (the edge: a bug must still end in a message)
        return _fail(_BugError(error), debug=debug, json=json)


def _call(arguments: list[str]) -> int:
    code = 0
    try:
        app(arguments, prog_name="hrm-trt")
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
        if isinstance(stop.__context__, BrokenPipeError):  # the reader has gone; typer makes it 1
            code = 0
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    return code


def _missing(error: ModuleNotFoundError) -> HrmTrtError:
    package = (error.name or "").partition(".")[0]
    if package not in _EXTRAS:
        return _BugError(error)
    return missing_package(package, _EXTRAS[package], "this command")


def _fail(error: HrmTrtError, *, debug: bool, json: bool) -> int:
    if interrupts.code is not None:  # a library can make any error of an interrupt
        return interrupts.code
    try:
        _explain(error, debug=debug)
        if json:
            message = {"what": error.what, "why": error.why, "hint": error.hint, "exit_code": error.exit_code}
            print_json({"format_version": 1, "error": message})
        sys.stdout.flush()
    except (OSError, SystemExit):  # nobody reads (rich leaves then) or the disk is full: no more can be said
        _forget_stdout()
    return error.exit_code


def _explain(error: HrmTrtError, *, debug: bool) -> None:
    if debug:
        people.print(traceback.format_exc(), markup=False, highlight=False)
    people.print(f"[bold red]error:[/] {escape(error.what)}")
    people.print(f"  [dim]why:[/]  {escape(error.why)}")
    people.print(f"  [dim]next:[/] {escape(error.hint)}")


def _forget_stdout() -> None:
    """Send what is still to be flushed nowhere, or Python would complain of it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
