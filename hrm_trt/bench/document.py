"""What a benchmark leaves: one JSON document, which others are compared with and capacity is planned from."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from engines.act import PolicyName
from hrm.documents import Document
from hrm.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


class Spread(Document):
    """Repeated measurements of one thing, in the order in which they were taken."""

    each: tuple[float, ...] = Field(min_length=1)
    median: float
    least: float
    most: float


class Row(Document):
    """One runtime at one batch under one policy."""

    runtime: str
    target: str
    """``cpu``, an SM, or ``cuda`` for a CPU's ONNX engines on a GPU."""
    precision: str
    topology: str
    model: str | None = None
    """The bundle's name; PyTorch's checkpoint has none."""
    batch: int
    """Puzzles in flight at most."""
    policy: PolicyName
    puzzles: int
    """How many were answered in each repetition."""
    exact: float
    """Share whose every cell is right."""
    depths: dict[int, int]
    """Puzzles by the segments that they took."""
    puzzles_per_second: Spread
    segment_seconds: Spread
    """One engine call with all slots taken; for a row whose batch is never full, its largest calls."""
    latency_seconds: Spread
    """From a puzzle's taking a slot to its answer: medians of the repetitions."""
    open_seconds: float
    """From nothing to engines that can be called."""
    first_call_seconds: float
    """The first segment after that."""
    peak_bytes: int
    """The process's resident memory at its peak, in a process that did nothing else."""
    share_of_limit: float | None = None
    """Multiplications and additions that were needed, over those of a matrix product in the same run."""
    joules_per_puzzle: float | None = None
    """Where the machine tells what its GPU uses."""
    flags: tuple[str, ...] = ()
    """What a reader must not overlook, in sentences."""


class Refused(Document):
    """What was not measured, and why not."""

    runtime: str
    target: str
    precision: str
    reason: str


class BenchDocument(Document):
    """All of one run."""

    format_version: Literal[1] = 1
    benchmark: Literal["hrm-trt bench"] = "hrm-trt bench"
    date: str
    """ISO 8601, UTC."""
    model: str
    parameters: int
    checkpoint: str
    """Digest."""
    dataset: str
    """Digest of the split."""
    max_depth: int
    threads: int
    machine: dict[str, Any]
    versions: dict[str, str]
    matrix_flops: float | None = None
    """Floating-point operations a second of a float32 product of the model's largest shape, in the same run."""
    matrix_shape: tuple[int, int, int] | None = None
    """That product's M, K and N: [M, K] times [K, N], at the largest batch."""
    matrix_by: str | None = None
    """Which library computed it the fastest."""
    interrupted: bool = False
    """Somebody stopped it; what had been measured is here."""
    rows: tuple[Row, ...]
    refused: tuple[Refused, ...] = ()


def spread(values: tuple[float, ...]) -> Spread:
    """The median and the ends of ``values``."""
    return Spread(each=values, median=statistics.median(values), least=min(values), most=max(values))


def read_bench(path: Path) -> BenchDocument:
    """The document in ``path``.

    Raises:
        UsageError: it cannot be read, or is none, or is of another version of the format.
    """
    try:
        return BenchDocument.model_validate_json(path.read_bytes())
    except OSError as error:
        why = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    raise UsageError(
        f"{path} is not a benchmark's document",
        why=why,
        hint="`hrm-trt bench --output FILE.json` writes one; another version's has to be measured anew",
    )
