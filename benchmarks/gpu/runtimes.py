"""PyTorch's own ways to run a segment of the 27M model on one GPU, against the GPU's matrix rate in the same run.

    PYTHONPATH=. python benchmarks/gpu/runtimes.py [--minutes 3.5] [--output DIR]

Every way computes segment after segment on its own carry, as solving does; the ways take turns. A puzzle is 16
segments. Weights are random: this is about speed, and each way's first segment is compared with float32.
`--rehearse` does all of it with a tiny model, on any machine.
"""

from __future__ import annotations

import argparse
import gc
import time
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from low_precision import Amax, Fp8Linear, measure_amax, replaced
from matrices import DTYPES, ROUNDS, matrix_rates, shapes
from results import DEVICE, Results, show
from timing import captured, interleaved

from export.quantise.sites import sites
from hrm.config import PAPER, HRMConfig
from hrm.network import HRM, Carry, random_network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

SMALL = HRMConfig(
    vocab_size=11, seq_len=15, num_puzzle_identifiers=1, hidden_size=64, num_heads=2, H_layers=1, L_layers=1,
    H_cycles=2, L_cycles=2, halt_max_steps=16, puzzle_emb_ndim=64,
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    config: HRMConfig
    batches: tuple[int, ...]
    cube: int
    """Side of the square matrices whose product gives the matrix rate."""


FULL = Scale(PAPER, (32, 1, 512), 8192)
REHEARSAL = Scale(SMALL, (2, 1), 128)


@dataclass(frozen=True)
class Way:
    """One way to run a segment."""

    dtype: str
    compiled: str = ""
    """What is compiled by Inductor: nothing, each ``block``, the whole ``segment``, or that with PyTorch's own CUDA
    graphs (``reduce-overhead``)."""
    graph: bool = False
    """Whether it is captured in a CUDA graph."""
    fp8: bool = False
    """Whether the executor's linears multiply in FP8."""

    @property
    def name(self) -> str:
        """For the table."""
        parts = (
            self.dtype + (" + FP8 executor" if self.fp8 else ""),
            f"compiled {self.compiled}" if self.compiled else "eager",
            "CUDA graph" if self.graph else "",
        )
        return ", ".join(filter(None, parts))


def ways() -> list[Way]:
    """What is timed at every batch, the most telling first."""
    half = [Way(dtype, compiled, graph) for dtype in ("bfloat16", "float16") for compiled, graph in _HOW]
    wide = [Way("float32", compiled, graph) for compiled, graph in _HOW]
    return [*half, *wide, Way("bfloat16", "block", graph=True, fp8=True), Way("float16", "block", graph=True, fp8=True)]


_HOW = (("", False), ("", True), ("block", True), ("block", False))
WHOLE = (Way("bfloat16", "segment", graph=True), Way("bfloat16", "reduce-overhead"))
"""Timed last: they take longest to compile."""


@dataclass
class Segments:
    """A network that computes segment after segment for one batch, on its own carry."""

    network: HRM
    embeddings: Tensor
    first: Carry
    carry: Carry = field(init=False)
    logits: Tensor | None = None

    def __post_init__(self) -> None:
        self.carry = Carry(*(state.clone() for state in self.first))
        self.segment = self.network.segment

    def __call__(self) -> None:
        """One segment; the carry stays where it is in memory."""
        carry, heads = self.segment(self.carry, self.embeddings)
        self._take(carry)
        self.logits = heads.logits

    def restart(self) -> None:
        """Back to before the first segment."""
        self._take(self.first)

    def _take(self, carry: Carry) -> None:
        for mine, new in zip(self.carry, carry, strict=True):
            mine.copy_(new)


@dataclass
class Bench:
    """One batch size: its inputs, and the answers in float32 that every way is held to."""

    config: HRMConfig
    batch: int

    @cached_property
    def network(self) -> HRM:
        """In float32."""
        return random_network(self.config, seed=0).to(DEVICE)

    @cached_property
    def inputs(self) -> Tensor:
        """Random tokens, int64 [B, S]."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, self.config.seq_len)
        return torch.randint(self.config.vocab_size, shape, generator=generator).to(DEVICE)

    @cached_property
    def reference(self) -> Tensor:
        """Logits of the first segment."""
        segments = self.segments(self.network)
        segments()
        assert segments.logits is not None
        return segments.logits.float()

    @cached_property
    def amax(self) -> dict[str, Amax]:
        """What calibrates the executor's FP8."""
        segments = self.segments(self.network)
        return measure_amax(self.network, sites(self.config, "executor"), lambda: [segments() for _ in range(4)])

    def segments(self, network: HRM) -> Segments:
        """Segments of ``network`` on this batch."""
        identifiers = torch.zeros(self.batch, dtype=torch.int64, device=DEVICE)
        return Segments(network, network.encode(self.inputs, identifiers), network.initial_carry(self.batch))

    def prepare(self, way: Way) -> tuple[Callable[[], Any], dict[str, Any]]:
        """``way`` as something to call, and what it took: seconds to the first answer, memory, error."""
        network = HRM(self.config, DTYPES[way.dtype]).to(DEVICE).eval()  # `to(dtype)` would narrow rotary angles too
        network.load_state_dict(self.network.state_dict())
        if way.fp8:
            linears = {site: network.get_submodule(site).get_parameter("weight") for site in self.amax}
            made = {s: Fp8Linear(weight, self.amax[s], fast_accumulate=True) for s, weight in linears.items()}
            network = replaced(network, made)
        segments = self.segments(network)
        before = _reset_peak()
        began = time.perf_counter()
        work = self._made_fast(way, network, segments)
        segments.restart()
        work()
        _wait()
        assert segments.logits is not None
        seconds = time.perf_counter() - began
        error = ((segments.logits.float() - self.reference).norm() / self.reference.norm()).item()
        for _ in range(2):  # what fails only when called again must not fail among the others
            work()
        _wait()
        return work, {
            "first_call_seconds": seconds,
            "peak_activation_mib": _peak_mib(before),
            "weights_mib": sum(t.nbytes for t in network.state_dict().values()) / 2**20,
            "first_segment_error": error,
        }

    def _made_fast(self, way: Way, network: HRM, segments: Segments) -> Callable[[], Any]:
        if way.compiled == "block":
            for level in (network.L_level, network.H_level):
                for block in level.layers:
                    block.compile(dynamic=False, fullgraph=True)
        elif way.compiled == "segment":
            segments.segment = torch.compile(network.segment, dynamic=False, fullgraph=True)
        elif way.compiled:
            segments.segment = torch.compile(network.segment, dynamic=False, fullgraph=True, mode=way.compiled)
        return captured(segments) if way.graph else segments


def main() -> None:
    arguments = parse()
    scale = REHEARSAL if arguments.rehearse else FULL
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("highest")  # no TF32
    torch._dynamo.config.recompile_limit = 64
    results = Results(arguments.output / "gpu_runtimes.json", "gpu_runtimes", arguments.rehearse, arguments.minutes)
    results.measure("model", lambda: {"config": scale.config.to_dict(), "segment_flops": flops(scale.config)})
    rates = results.measure("matrix rate", partial(matrix_rates, scale.cube)) or {}
    rows = [row for batch in scale.batches for row in run(results, Bench(scale.config, batch), possible(ways()), rates)]
    for batch in scale.batches:
        results.measure(f"matrix products of the model's shapes, batch {batch}", partial(shapes, scale.config, batch))
    rows += [row for batch in scale.batches for row in run(results, Bench(scale.config, batch), possible(WHOLE), rates)]
    columns = (
        "way",
        "batch",
        "ms/segment",
        "± %",
        "segments/s",
        "puzzles/s",
        "% of rate",
        "first s",
        "peak MiB",
        "error",
    )
    show("One segment of the model", columns, rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.5, help="When to begin nothing more.")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--rehearse", action="store_true", help="A tiny model, on any machine.")
    return parser.parse_args()


def possible(wanted: Sequence[Way]) -> list[Way]:
    """The ways that this machine knows: CUDA graphs need CUDA."""
    if DEVICE.type == "cuda":
        return list(wanted)
    return list(dict.fromkeys(replace(way, graph=False) for way in wanted))


def run(results: Results, bench: Bench, wanted: Sequence[Way], rates: dict[str, Any]) -> list[list[Any]]:
    """Prepare every way, time them by turns, and note both; rows for the table."""
    works: dict[str, Callable[[], Any]] = {}
    prepared: dict[str, dict[str, Any]] = {}
    by_name = {way.name: way for way in wanted}

    def prepare(way: Way) -> dict[str, Any]:
        works[way.name], prepared[way.name] = bench.prepare(way)
        return prepared[way.name]

    for way in wanted:
        results.measure(f"prepare {way.name}, batch {bench.batch}", partial(prepare, way))
    if not works:
        return []
    timed: dict[str, dict[str, Any]] = {}

    def take_turns() -> dict[str, Any]:
        found = interleaved(works, ROUNDS)
        timed.update({name: describe(bench, by_name[name], one, rates) | prepared[name] for name, one in found.items()})
        return {"batch": bench.batch, "ways": timed}

    results.measure(f"segments, batch {bench.batch}", take_turns)
    works.clear()
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
    return [row(name, bench.batch, one) for name, one in timed.items()]


def describe(bench: Bench, way: Way, timed: dict[str, Any], rates: dict[str, Any]) -> dict[str, Any]:
    """What the time of a segment means."""
    per_second = 1 / timed["median_seconds"]
    rate = rates.get("tflops", {}).get(way.dtype, {}).get("median")
    work = flops(bench.config) * bench.batch * per_second / 1e12
    return {
        **timed,
        "segments_per_second": per_second,
        "puzzles_per_second": per_second * bench.batch / bench.config.halt_max_steps,
        "tflops": work,
        "share_of_matrix_rate": None if rate is None else work / rate,
    }


def row(name: str, batch: int, one: dict[str, Any]) -> list[Any]:
    share = one["share_of_matrix_rate"]
    return [
        name,
        batch,
        1000 * one["median_seconds"],
        50 * one["quartiles_apart"],
        one["segments_per_second"],
        one["puzzles_per_second"],
        None if share is None else 100 * share,
        one["first_call_seconds"],
        one["peak_activation_mib"],
        one["first_segment_error"],
    ]


def flops(config: HRMConfig) -> int:
    """Operations of one segment of one puzzle, a multiplication and an addition being two; norms left out."""
    hidden, tokens = config.hidden_size, config.tokens
    linears = 2 * (4 * hidden**2 + 3 * hidden * config.mlp_width)
    attention = 4 * tokens * hidden
    blocks = config.H_cycles * (config.L_cycles * config.L_layers + config.H_layers)
    heads = 2 * hidden * (config.seq_len * config.vocab_size + 2)
    return blocks * tokens * (linears + attention) + heads


def _reset_peak() -> int:
    if DEVICE.type == "cpu":
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _peak_mib(before: int) -> float | None:
    return (torch.cuda.max_memory_allocated() - before) / 2**20 if DEVICE.type == "cuda" else None


def _wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
