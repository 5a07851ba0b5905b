"""The calibration artefact: the largest magnitudes that every site meets on real trajectories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from hrm.documents import Document
from hrm.errors import CalibrationError

if TYPE_CHECKING:
    from pathlib import Path

Method = Literal["max", "percentile", "mse"]
"""How a maximum is chosen: the largest magnitude, nearly the largest, or the one whose clipping costs least."""


class SiteAmax(Document):
    """The magnitudes at which one linear's operands are clipped."""

    input: float
    weight: float


class Calibration(Document):
    """What quantisation has to know of a checkpoint, and what it was measured on."""

    format_version: Literal[1] = 1
    method: Method
    sites: dict[str, SiteAmax]
    """By layer: ``L_level.layers.0.self_attn.qkv_proj``."""
    segments: dict[str, tuple[float, ...]]
    """The largest input of each site in each segment, from the first."""
    checkpoint: str
    """Digest of the checkpoint."""
    dataset: str
    """Digest of the split that the puzzles are from."""
    split: str
    puzzles: int
    """How many puzzles were run, through every segment."""
    seed: int
    """What they were drawn by."""
    versions: dict[str, str]
    """Of the libraries that the numbers depend on."""


def check_calibration(calibration: Calibration) -> None:
    """Refuse a calibration that would ruin every scale made from it.

    Raises:
        CalibrationError: a maximum is zero, NaN or infinite.
    """
    for site, amax in calibration.sites.items():
        for operand, value in (("input", amax.input), ("weight", amax.weight)):
            if not (math.isfinite(value) and value > 0):
                raise CalibrationError(
                    f"the calibration of {site} cannot be used",
                    why=f"the largest magnitude of its {operand} is {value}, and a scale must be finite and above zero",
                    hint="check the checkpoint with `hrm-trt evaluate`; if it solves puzzles, calibrate on more",
                )


def read_calibration(path: Path) -> Calibration:
    """The calibration in ``path``, checked.

    Raises:
        CalibrationError: it cannot be read, or holds what no scale can be made from.
    """
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CalibrationError(
            f"{path} is not a calibration",
            why=str(error).strip().partition("\n")[0],
            hint="`hrm-trt build` makes one for every checkpoint that it quantises",
        ) from error
    check_calibration(calibration)
    return calibration
