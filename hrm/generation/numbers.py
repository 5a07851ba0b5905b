"""Checks of the numbers among a data set's options."""

from __future__ import annotations

from hrm.errors import UsageError


def check_from_zero(**values: int) -> None:
    """Check that none of ``values`` is negative.

    Raises:
        UsageError: one is; it is named.
    """
    for name, value in values.items():
        if value < 0:
            raise UsageError(f"{name} cannot be {value}", why="it is a number from 0", hint="give 0 or more")
