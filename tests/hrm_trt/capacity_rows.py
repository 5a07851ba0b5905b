"""Documents of a benchmark that nobody ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrm_trt.bench.document import BenchDocument, Row, spread

if TYPE_CHECKING:
    from pathlib import Path

DEPTHS = {1: 50, 2: 30, 4: 15, 8: 5}
"""2.1 segments on average."""
MEAN = 2.1


def row(batch: int = 8, segment: float = 0.02, **changes: Any) -> Row:
    """A row whose puzzles take nothing beside their segments, as long as all slots are taken."""
    values: dict[str, Any] = {
        "runtime": "onnxruntime",
        "target": "cpu",
        "precision": "fp32",
        "topology": "segment",
        "batch": batch,
        "policy": "adaptive",
        "puzzles": 100,
        "exact": 0.97,
        "depths": DEPTHS,
        "puzzles_per_second": spread((batch / (segment * MEAN),)),
        "segment_seconds": spread((segment,)),
        "latency_seconds": spread((segment * MEAN,)),
        "open_seconds": 0.1,
        "first_call_seconds": 0.1,
        "peak_bytes": 10**8,
    }
    return Row(**values | changes)


def document(*rows: Row, **changes: Any) -> BenchDocument:
    values: dict[str, Any] = {
        "date": "2026-11-28T00:00:00+00:00",
        "model": "nothing",
        "parameters": 1,
        "checkpoint": "0",
        "dataset": "0",
        "max_depth": 8,
        "threads": 1,
        "machine": {"processor": "Some Processor", "cores": 2},
        "versions": {},
        "rows": rows,
    }
    return BenchDocument(**values | changes)


def written(home: Path, *rows: Row, **changes: Any) -> Path:
    """The document in a file."""
    path = home / "bench.json"
    path.write_text(document(*rows, **changes).model_dump_json())
    return path
