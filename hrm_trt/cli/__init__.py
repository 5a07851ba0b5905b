"""The command line: parse, call one function, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the `hrm-trt` command."""
    from hrm_trt.cli.interrupts import interrupts

    sys.exit(interrupts.guard(_command))


def _command() -> int:
    from hrm_trt.cli.edge import run

    return run(sys.argv[1:])
