"""Options that take one of a few words."""

from __future__ import annotations

from typing import Any

from hrm.errors import UsageError


def choice(option: str, given: str, known: tuple[Any, ...]) -> Any:
    """``given``, if it is one of ``known``.

    Raises:
        UsageError: it is not.
    """
    if given not in known:
        raise UsageError(f"{option} cannot be {given!r}", why="no such choice", hint=f"one of {', '.join(known)}")
    return given
