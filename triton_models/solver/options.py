"""How a request wants to be solved: the parameters that Triton passes on beside its tensors."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

LEVELS = (1, 2, 3)
"""Priorities; 1 goes first."""
DEFAULT_LEVEL = 2
_SHOWN = 64
"""Characters of a wrong value that an error repeats."""


class Options(NamedTuple):
    """What a request says of all its puzzles."""

    policy: str | None = None
    level: int = DEFAULT_LEVEL


def read_options(parameters: str) -> Options:
    """The options in a request's parameters, which are a JSON object; Triton and gateways add others to it.

    They are no tensors. A string tensor that is malformed ends every request that Triton's batcher has put beside it
    (Python backend 24.10); and with Triton's own ``priority`` its batcher sleeps while requests wait.

    Raises:
        ValueError: one of them has no meaning.
    """
    values = json.loads(parameters or "{}")
    policy, level = values.get("policy"), values.get("queue_priority", DEFAULT_LEVEL)
    if not (policy is None or isinstance(policy, str)):
        raise ValueError(f"policy is {_shown(policy)}; it must be a string")
    if type(level) is not int or level not in LEVELS:
        raise ValueError(f"queue_priority is {_shown(level)}; it must be {', '.join(map(str, LEVELS))}")
    return Options(policy and policy[:_SHOWN], level)


def _shown(value: Any) -> str:
    return repr(value)[:_SHOWN]
