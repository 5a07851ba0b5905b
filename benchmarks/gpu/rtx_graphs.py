"""Make the graphs and plans that rtx_hopper.py tries on a GPU: here, where the exporter is.

    PYTHONPATH=. python benchmarks/gpu/rtx_graphs.py DIRECTORY

The demo's graphs are whole; of a random 27M model only the structure travels, and `hollow.filled` gives it weights.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import torch
from hollow import hollow
from low_precision import measure_amax

from export.graphs import export_graphs
from export.models import segment_model
from export.quantise.calibration import Calibration, SiteAmax
from export.quantise.place import quantise_graph
from export.quantise.sites import sites, uniform
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.config import PAPER
from hrm.data.dataset import read_split
from hrm.files import sha256_file, write_bytes
from hrm.network import random_network

if TYPE_CHECKING:
    from hrm.network import HRM

DEMO = Path("checkpoints/sudoku-6x6")
CAPABILITIES = ((), ("SM80",), ("SM89",))


def main() -> None:
    directory = Path(sys.argv[1])
    checkpoint = load(locate(DEMO))
    demo, random = network(checkpoint), random_network(PAPER, seed=0)
    puzzles = torch.from_numpy(read_split(DEMO / "dataset", "calibration", 256).inputs).long()
    digest = sha256_file(checkpoint.located.weights)
    for name, model in graphs(demo, puzzles, digest).items():
        write_bytes(directory / f"demo-{name}.onnx", model.SerializeToString())
    tokens = torch.randint(PAPER.vocab_size, (2, PAPER.seq_len), generator=torch.Generator().manual_seed(0))
    for name, model in graphs(random, tokens, "0" * 64).items():
        write_bytes(directory / f"paper-{name}.onnx", hollow(model).SerializeToString())
    plans(directory, demo.config.tokens)


def graphs(model: HRM, inputs: torch.Tensor, digest: str) -> dict[str, onnx.ModelProto]:
    """Every module in float16, and those with the executor in FP8, calibrated on ``inputs``."""
    made: dict[str, onnx.ModelProto] = {**export_graphs(model, "fp16", source_digest=digest)}
    executor = onnx.ModelProto()
    executor.CopyFrom(made["executor"])
    quantise_graph(executor, uniform(model.config, ["executor"], "fp8"), calibrate(model, inputs, digest))
    segment = segment_model(executor, made["planner"], model.config, "fp16")
    return {**made, "executor-fp8": executor, "segment-fp8": segment}


def calibrate(model: HRM, inputs: torch.Tensor, digest: str) -> Calibration:
    """The largest magnitudes that the executor meets on ``inputs``."""
    amax = measure_amax(model, sites(model.config, "executor"), partial(solve, model, inputs))
    return Calibration(
        method="max",
        sites={site: SiteAmax(input=one.input, weight=one.weight) for site, one in amax.items()},
        segments={},
        checkpoint=digest,
        dataset="",
        split="calibration",
        puzzles=len(inputs),
        seed=0,
        versions={"torch": torch.__version__},
    )


@torch.no_grad()
def solve(model: HRM, inputs: torch.Tensor, segments: int = 4) -> None:
    """The first ``segments`` of ``inputs``."""
    embeddings, carry = model.encode(inputs, torch.zeros(len(inputs), dtype=torch.int64)), None
    carry = model.initial_carry(len(inputs))
    for _ in range(segments):
        carry, _ = model.segment(carry, embeddings)


def plans(directory: Path, tokens: int) -> None:
    """The demo's executor for every capability that a plan can be for."""
    from rtx import Words, build

    for capabilities in CAPABILITIES:
        name = "+".join(capabilities) or "default"
        plan = build((directory / "demo-executor.onnx").read_bytes(), capabilities, tokens, Words())
        write_bytes(directory / f"demo-executor-{name}.plan", plan)


if __name__ == "__main__":
    main()
