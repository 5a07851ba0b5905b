"""How far FP8 that is only rounded is from FP8 on tensor cores: the demo's puzzles, solved both ways on one GPU.

    PYTHONPATH=. python benchmarks/gpu/fp8_check.py [--minutes 2] [--output DIR]

The executor's linears multiply E4M3 operands (scales from the calibration split, largest magnitude) on tensor cores,
with float32 and with fast accumulation, or round the same operands and multiply them in float32 or float16, as a
graph's Q/DQ does on a CPU. Everything else is float16; every puzzle runs all segments. Beside it, for NVFP4, which
this GPU cannot multiply: rounded alone, all test puzzles at once; each site alone, and every mixture with FP8, on the
search split. `--rehearse` takes few puzzles.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from low_precision import (
    Amax,
    DequantisedFp8Linear,
    ExactFp8Linear,
    Fp8Linear,
    Nvfp4Linear,
    measure_amax,
    replaced,
    to_e4m3,
)
from results import DEVICE, Results, show

from export.quantise.sites import sites
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import PuzzleSet, read_split
from hrm.data.layout import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from hrm.network import HRM

    Make = Callable[[Tensor, Amax], nn.Module]

CHECKPOINT = Path("checkpoints/sudoku-6x6")
LISTED = 40
"""How many numbers of puzzles that differ are written down."""
MAKES: dict[str, Make] = {
    "fp8 tensor cores": partial(Fp8Linear, fast_accumulate=False),
    "fp8 tensor cores, fast": partial(Fp8Linear, fast_accumulate=True),
    "fp8 rounded, float32 products": ExactFp8Linear,
    "fp8 rounded, float16 products": DequantisedFp8Linear,
    "nvfp4 rounded": Nvfp4Linear,
}
PAIRS = (
    ("fp8 tensor cores", "fp8 rounded, float32 products"),
    ("fp8 tensor cores", "fp8 rounded, float16 products"),
    ("fp8 tensor cores, fast", "fp8 tensor cores"),
    ("fp8 tensor cores, fast", "fp8 rounded, float16 products"),
    ("fp8 rounded, float16 products", "fp8 rounded, float32 products"),
)


@dataclass(frozen=True)
class Answers:
    """What a network gave for N puzzles."""

    tokens: Tensor
    """[N, S], of the last segment."""
    solved: Tensor
    """bool [N]"""
    logits: Tensor
    """float32 [segments, N, S, V]"""


@dataclass
class Check:
    """The demo, its puzzles, and the float32 answers that all others are held to."""

    wide: HRM
    narrow: HRM
    """In the type that whatever is not made anew computes in."""
    amax: dict[str, Amax]
    puzzles: PuzzleSet
    search: PuzzleSet

    def changed(self, makes: Mapping[str, Make]) -> HRM:
        """The narrow network with its linears at these sites made anew from the float32 weights."""
        dtype = self.narrow.H_init.dtype
        weights = {site: self.wide.get_submodule(site).get_parameter("weight").to(dtype) for site in makes}
        return replaced(self.narrow, {site: make(weights[site], self.amax[site]) for site, make in makes.items()})

    def uniform(self, make: Make, modules: tuple[Any, ...]) -> HRM:
        """The narrow network with all linears of ``modules`` made anew."""
        return self.changed({site: make for module in modules for site in sites(self.wide.config, module)})


def main() -> None:
    arguments = parse()
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("highest")  # no TF32
    results = Results(arguments.output / "gpu_fp8_check.json", "gpu_fp8_check", arguments.rehearse, arguments.minutes)
    check = prepare(8 if arguments.rehearse else None)
    results.measure("scales", lambda: {"sites": {site: amax._asdict() for site, amax in check.amax.items()}})
    results.measure("one product at a time", partial(products, check))
    base = answer(check.wide, check.puzzles)
    answers = uniform(results, check, base)
    for one, other in PAIRS:
        if one in answers and other in answers:
            results.measure(f"{one} against {other}", partial(compare, answers[one], answers[other]))
    search = answer(check.wide, check.search)
    results.measure("nvfp4 at one site alone (search split)", partial(single_sites, check, search))
    limit = 4 if arguments.rehearse else None
    results.measure("every mixture of nvfp4 and fp8 (search split)", partial(mixtures, check, search, limit))
    table(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2, help="When to begin nothing more.")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--rehearse", action="store_true", help="Few puzzles.")
    return parser.parse_args()


def prepare(limit: int | None) -> Check:
    """Read the demo and measure its scales on the calibration split, in float32 over all segments."""
    checkpoint, dataset = load(locate(CHECKPOINT)), CHECKPOINT / "dataset"
    wide, half = network(checkpoint).to(DEVICE), network(checkpoint, torch.float16).to(DEVICE)
    calibration, test, search = (read_split(dataset, split, limit) for split in ("calibration", "test", "search"))
    places = (*sites(wide.config, "executor"), *sites(wide.config, "planner"))
    return Check(wide, half, measure_amax(wide, places, lambda: answer(wide, calibration)), test, search)


def answer(model: HRM, puzzles: PuzzleSet) -> Answers:
    """All puzzles in one batch, through every segment."""
    inputs = torch.from_numpy(puzzles.inputs).long().to(DEVICE)
    identifiers = torch.from_numpy(puzzles.puzzle_identifiers).long().to(DEVICE)
    labels = torch.from_numpy(puzzles.labels).to(DEVICE)
    embeddings, carry = model.encode(inputs, identifiers), model.initial_carry(len(inputs))
    logits = []
    for _ in range(model.config.halt_max_steps):
        carry, heads = model.segment(carry, embeddings)
        logits.append(heads.logits.float())
    tokens = logits[-1].argmax(-1)
    return Answers(tokens, ((tokens == labels) | (labels == IGNORE)).all(1), torch.stack(logits))


def compare(one: Answers, other: Answers) -> dict[str, Any]:
    """``one`` against ``other``: puzzles, cells and logits that differ."""
    lost, won = (other.solved & ~one.solved), (one.solved & ~other.solved)
    apart = (one.logits - other.logits).abs()
    return {
        "exact_accuracy": one.solved.float().mean().item(),
        "count": len(one.solved),
        "lost": int(lost.sum()),
        "won": int(won.sum()),
        "puzzles_with_another_answer": int((one.tokens != other.tokens).any(1).sum()),
        "cells_that_differ": int((one.tokens != other.tokens).sum()),
        "largest_logit_difference_by_segment": apart.amax(dim=(1, 2, 3)).tolist(),
        "mean_logit_difference_by_segment": apart.mean(dim=(1, 2, 3)).tolist(),
        "finite": bool(one.logits.isfinite().all()),
        "lost_examples": lost.nonzero().flatten()[:LISTED].tolist(),
        "won_examples": won.nonzero().flatten()[:LISTED].tolist(),
    }


def uniform(results: Results, check: Check, base: Answers) -> dict[str, Answers]:
    """Every type and format in whole modules, against float32 PyTorch."""
    answers: dict[str, Answers] = {}

    def look(name: str, build: Callable[[], HRM]) -> dict[str, Any]:
        answers[name] = answer(build(), check.puzzles)
        return compare(answers[name], base)

    results.measure("float32", lambda: compare(base, base))
    results.measure("float16", partial(look, "float16", lambda: check.narrow))
    results.measure(
        "bfloat16", partial(look, "bfloat16", lambda: network(load(locate(CHECKPOINT)), torch.bfloat16).to(DEVICE))
    )
    for name, make in MAKES.items():
        results.measure(f"{name}, executor", partial(look, name, partial(check.uniform, make, ("executor",))))
    for name, make in MAKES.items():
        for modules in (("planner",), ("executor", "planner")):
            whole = f"{name}, {' and '.join(modules)}"
            results.measure(whole, partial(look, whole, partial(check.uniform, make, modules)))
    return answers


def products(check: Check) -> dict[str, Any]:
    """Each executor linear on the operands that it meets last: the error of every way to multiply the FP8 operands."""
    seen: dict[str, Tensor] = {}
    linears = {site: check.narrow.get_submodule(site) for site in sites(check.narrow.config, "executor")}
    handles = [
        linear.register_forward_pre_hook(lambda _, inputs, site=site: seen.update({site: inputs[0]}))
        for site, linear in linears.items()
    ]
    answer(check.narrow, check.search)
    for handle in handles:
        handle.remove()
    return {"relative_error": {site: errors(linears[site], seen[site], check.amax[site]) for site in linears}}


def errors(linear: nn.Module, x: Tensor, amax: Amax) -> dict[str, float]:
    """Distance from the float64 product of the same FP8 operands, over that product's length."""
    weight = linear.get_parameter("weight")
    exact = ExactFp8Linear(weight, amax)
    operands = to_e4m3(x, exact.input_scale).double() * exact.input_scale, exact.weight.double() * exact.weight_scale
    wanted = operands[0] @ operands[1].t()
    unquantised = x.double() @ weight.double().t()
    found = {name: (make(weight, amax)(x).double() - wanted).norm() for name, make in MAKES.items() if "fp8" in name}
    found["rounding the operands"] = (wanted - unquantised).norm()
    return {name: (distance / wanted.norm()).item() for name, distance in found.items()}


def single_sites(check: Check, base: Answers) -> dict[str, Any]:
    """Each site in NVFP4, and in FP8, with all others in float16."""
    rows = {}
    for site in check.amax:
        for name in ("nvfp4 rounded", "fp8 tensor cores"):
            rows[f"{site}, {name}"] = compare(answer(check.changed({site: MAKES[name]}), check.search), base)
    return {"sites": rows}


def mixtures(check: Check, base: Answers, limit: int | None) -> dict[str, Any]:
    """Every assignment of NVFP4 or FP8 to the executor's sites."""
    places = sites(check.wide.config, "executor")
    rows = []
    for chosen in itertools.islice(itertools.product((0, 1), repeat=len(places)), limit):
        makes = {
            s: MAKES["nvfp4 rounded" if four else "fp8 tensor cores"] for s, four in zip(places, chosen, strict=True)
        }
        found = answer(check.changed(makes), check.search)
        lost, won = (base.solved & ~found.solved).sum(), (found.solved & ~base.solved).sum()
        rows.append(["".join(map(str, chosen)), found.solved.float().mean().item(), int(lost), int(won)])
    return {"places": places, "columns": ["1 for nvfp4, by place", "exact_accuracy", "lost", "won"], "rows": rows}


def table(results: Results) -> None:
    found = [item for item in results.items if "exact_accuracy" in item]
    rows = [
        (
            item["item"],
            100 * item["exact_accuracy"],
            item["lost"],
            item["won"],
            item["puzzles_with_another_answer"],
            item["cells_that_differ"],
            item["largest_logit_difference_by_segment"][0],
            item["largest_logit_difference_by_segment"][-1],
        )
        for item in found
    ]
    columns = ("against float32, or each other", "exact %", "lost", "won", "puzzles", "cells", "logit 1", "logit last")
    show("Puzzles solved, fixed policy", columns, rows)


if __name__ == "__main__":
    main()
