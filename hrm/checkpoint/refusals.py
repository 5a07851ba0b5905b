"""What is said the same way wherever a checkpoint is refused."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

_REPR = reprlib.Repr()
_REPR.maxstring = 100


def refusal(weights: Path, why: str) -> CheckpointError:
    """The error for a file whose tensors are not those of the HRM that its configuration describes."""
    return CheckpointError(
        f"{weights} does not hold the HRM that its configuration describes",
        why=why,
        hint="take the weights and the configuration from the same training run, or fetch both again",
    )


def shown(value: object) -> str:
    """A value from a file, in a few words however long or deep it is."""
    return _REPR.repr(value)
