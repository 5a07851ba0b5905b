"""Time of work on a GPU by its own events, several ways of doing it by turns; on a CPU by the wall clock."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Work = Callable[[], Any]

SAMPLE_SECONDS = 0.03
"""A sample repeats the work until about this long has passed."""
MOST_CALLS = 200


def seconds(work: Work, calls: int) -> float:
    """Seconds per call of ``work``, over ``calls`` of them."""
    if not torch.cuda.is_available():
        began = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - began) / calls
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(calls):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000 / calls


def interleaved(works: Mapping[str, Work], rounds: int) -> dict[str, dict[str, Any]]:
    """Every work's samples, taken by turns so that a slow moment of the machine hits them all.

    Returns:
        By name: median, least and most seconds per call, the share of the median between the quartiles, and how often.
    """
    calls = {name: max(1, min(MOST_CALLS, round(SAMPLE_SECONDS / _estimate(work)))) for name, work in works.items()}
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            samples[name].append(seconds(work, calls[name]))
    return {name: {**summary(values), "calls": calls[name]} for name, values in samples.items()}


def summary(values: list[float]) -> dict[str, Any]:
    """Median and spread of ``values``."""
    low, median, high = statistics.quantiles(values, n=4)
    return {
        "median_seconds": median,
        "least_seconds": min(values),
        "most_seconds": max(values),
        "quartiles_apart": (high - low) / median,
        "samples": len(values),
    }


def captured(work: Work) -> Work:
    """``work`` recorded as a CUDA graph: a call that launches all of its kernels at once.

    It keeps ``work``, whose tensors a graph reads and does not own.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return partial(_replay, graph, work)


def _replay(graph: torch.cuda.CUDAGraph, work: Work) -> None:
    del work
    graph.replay()


def _estimate(work: Work) -> float:
    work()
    return max(seconds(work, 2), 1e-6)
