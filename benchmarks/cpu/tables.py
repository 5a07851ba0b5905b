"""What `benchmarks.cpu` measured, as the README shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrm_trt.bench.labels import mean_depth

if TYPE_CHECKING:
    from collections.abc import Iterator

BASELINE = ("torch", "fp32", "fixed")
ROWS = (
    (*BASELINE, "PyTorch eager, all segments (the official loop)"),
    ("torch", "fp32", "adaptive", "PyTorch eager, halting, in flight"),
    ("torch-compile", "fp32", "adaptive", "`torch.compile`, halting, in flight"),
    ("onnxruntime", "fp32", "fixed", "hrm-trt fp32, all segments"),
    ("onnxruntime", "fp32", "adaptive", "**hrm-trt fp32**, halting, in flight"),
    ("onnxruntime", "int8", "adaptive", "**hrm-trt int8**, halting, in flight"),
)
TRAINED, RANDOM = ("demo", "sample"), "random-27m"
LARGEST = 32


def tables(document: dict[str, Any]) -> str:
    """Markdown."""
    return "\n".join((*_speed(document), "", *_segments(document), "", *_profile(document), "", _process(document)))


def _speed(document: dict[str, Any]) -> Iterator[str]:
    yield "| batch 32 | " + " | ".join(f"{name}: puzzles/s | × | solved | segments" for name in TRAINED) + " |"
    yield "|---|" + "--:|" * (4 * len(TRAINED))
    for runtime, precision, policy, title in ROWS:
        cells = []
        for name in TRAINED:
            row, first = (_row(document, name, *which) for which in ((runtime, precision, policy), BASELINE))
            speed = row["puzzles_per_second"]["median"]
            depth = mean_depth({int(segments): puzzles for segments, puzzles in row["depths"].items()})
            ratio = speed / first["puzzles_per_second"]["median"]
            cells.append(f"{speed:,.0f} | {ratio:.1f} | {row['exact']:.1%} | {depth:.2f}")
        yield f"| {title} | {' | '.join(cells)} |"


def _segments(document: dict[str, Any]) -> Iterator[str]:
    names = (*TRAINED, RANDOM)
    yield "| ms a segment | " + " | ".join(f"{name}, batch {batch}" for name in names for batch in (1, LARGEST)) + " |"
    yield "|---|" + "--:|" * (2 * len(names))
    for runtime, precision in (
        ("torch", "fp32"),
        ("torch-compile", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
    ):
        cells = (
            f"{1e3 * _row(document, name, runtime, precision, 'fixed', batch)['segment_seconds']['median']:,.3g}"
            for name in names
            for batch in (1, LARGEST)
        )
        yield f"| {runtime} {precision} | {' | '.join(cells)} |"
    limits = (
        f"{document['bench'][name]['matrix_flops'] / 1e9:.0f} ({document['bench'][name]['matrix_by']})"
        for name in names
    )
    yield "GFLOP/s of a matrix product in the same runs: " + ", ".join(limits)


def _profile(document: dict[str, Any]) -> Iterator[str]:
    for name, seconds in document["profile_of_a_segment"].items():
        total = sum(seconds.values())
        shares = (f"{operator} {value / total:.0%}" for operator, value in list(seconds.items())[:6])
        yield f"{name}: {1e3 * total:.1f} ms: {', '.join(shares)}"


def _process(document: dict[str, Any]) -> str:
    process = document["one_process"]
    return (
        f"one process, random 27M int8, {process['segments']} segments: {process['seconds']:.2f} s, "
        f"{process['peak_bytes'] / 1e6:.0f} MB resident"
    )


def _row(
    document: dict[str, Any], name: str, runtime: str, precision: str, policy: str, batch: int = LARGEST
) -> dict[str, Any]:
    found = (runtime, precision, policy, batch)
    return next(
        row
        for row in document["bench"][name]["rows"]
        if (row["runtime"], row["precision"], row["policy"], row["batch"]) == found
    )
