"""What makes the demo's executor better in NVFP4 than plain rounding, without a new operator in its graphs.

    PYTHONPATH=benchmarks/gpu python -m benchmarks.nvfp4 --data data/sudoku-6x6 [--output DIR]

Every executor linear rounds both operands to NVFP4, all else is float16 (float32 on a CPU); every puzzle runs all
segments, against float32 PyTorch. What a method has to choose it chooses on the calibration and search splits; the
test puzzles are solved once per method. `--data` is the demo's data set with its training split, which
`hrm-trt data sudoku` makes again (see recipes/sudoku-6x6.yaml); fine-tuning needs it. `--rehearse` takes few puzzles.
"""

from __future__ import annotations

import argparse
import copy
import time
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from fp8_check import Answers, answer, compare
from low_precision import measure_amax, replaced
from results import DEVICE, Results, show

from benchmarks.nvfp4_methods import (
    SHRINKS,
    STRETCHES,
    Method,
    clipped,
    compensated,
    evened,
    inputs_of,
    mean_error,
    scaled,
    weight_of,
)
from engines.calibration.blocks import round_blocks
from engines.calibration.puzzles import refuse_overlap
from engines.calibration.qat import FineTuning
from engines.calibration.rotate import random_rotation, rotate
from export.quantise.sites import sites
from hrm.checkpoint import locate, native
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import PuzzleSet, read_split
from hrm.network import HRM
from hrm.training.backend import Backend
from hrm.training.batches import BatchStream
from hrm.training.recipe import make_recipe, read_recipe
from validation.statistics import tango_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Rewrite = Callable[[str, Tensor, Tensor, Method], Tensor]

CHECKPOINT, RECIPE = Path("checkpoints/sudoku-6x6"), Path("recipes/sudoku-6x6.yaml")
WIDTH = torch.float16 if DEVICE.type == "cuda" else torch.float32
"""What everything that is not rounded computes in."""
BATCH = 5000 if DEVICE.type == "cuda" else 250
BACKEND = "hrm-trt-benchmark"
ROTATIONS = 8
ALGORITHMS = ({"method": "awq_lite"}, {"method": "svdquant", "lowrank": 16})
"""Of ModelOpt's; those that TensorRT could run only with more operators than our graphs have."""
TUNINGS = ((300, 3e-5), (300, 1e-4), (300, 3e-4), (600, 1e-4), (600, 3e-4))
"""Steps and learning rates of the fine-tuning."""


@dataclass
class Bench:
    """The demo, its puzzles, and what float32 makes of them."""

    float32: HRM
    test: PuzzleSet
    calibration: PuzzleSet
    search: PuzzleSet
    sites: tuple[str, ...]
    rehearse: bool
    base: Answers = field(init=False)
    drifted: Answers = field(init=False)

    def __post_init__(self) -> None:
        self.base, self.drifted = solve(self.float32, self.test), solve(self.float32, self.calibration)
        self.inputs = self.inputs_of(self.float32)

    def inputs_of(self, model: HRM) -> dict[str, Tensor]:
        """Rows that the executor's linears are given on calibration puzzles."""
        few = cut(self.calibration, slice(0, 256 if DEVICE.type == "cuda" else 32))
        return inputs_of(model, self.sites, lambda: solve(model, few), every=8)

    def method(self, model: HRM) -> Method:
        """``model`` with the scales of its largest magnitudes."""
        return Method(model, measure_amax(model, self.sites, lambda: solve(model, self.calibration)))

    def rounded(self, method: Method) -> HRM:
        """The network that rounds."""
        narrow = HRM(method.network.config, WIDTH).to(DEVICE).eval()
        narrow.load_state_dict({name: tensor.to(WIDTH) for name, tensor in method.network.state_dict().items()})
        return replaced(
            narrow, {site: method.linear(weight_of(narrow, site), method.amax[site]) for site in self.sites}
        )

    def judge(self, method: Method) -> dict[str, Any]:
        """The test puzzles, how far its answers drift on the calibration split, and its products' mean error there."""
        meant = method.meant or method.network
        inputs = self.inputs if meant is self.float32 else self.inputs_of(meant)
        return {**self.row(self.rounded(method)), "product_error": mean_error(method, inputs)}

    def row(self, model: HRM) -> dict[str, Any]:
        """The test puzzles against float32, and the drift."""
        found = compare(solve(model, self.test), self.base)
        lost, won, count = found["lost"], found["won"], found["count"]
        return {
            **{name: found[name] for name in ("exact_accuracy", "count", "lost", "won")},
            "loss_points": 100 * (lost - won) / count,
            "upper_bound_points": 100 * tango_interval(lost, won, count).upper,
            "drift": drift(solve(model, self.calibration), self.drifted),
        }

    def fit(self, model: HRM) -> dict[str, float]:
        """How well puzzles of the search and calibration splits are solved: what chooses."""
        answers = [(solve(model, puzzles), puzzles) for puzzles in (self.search, self.calibration)]
        return {
            "loss": float(np.mean([last_loss(found, puzzles) for found, puzzles in answers])),
            "solved": float(np.mean([found.solved.float().mean().item() for found, _ in answers])),
        }


def main() -> None:
    arguments = parse()
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("highest")  # no TF32
    results = Results(arguments.output / "nvfp4.json", "nvfp4", arguments.rehearse, arguments.minutes)
    bench = prepare(arguments)
    plain = bench.method(bench.float32)
    results.measure("float32", lambda: bench.row(bench.float32))
    results.measure("plain", lambda: bench.judge(plain))
    post_training(results, bench, plain)
    for algorithm in ALGORITHMS:
        results.measure(f"ModelOpt {algorithm['method']}", partial(by_modelopt, bench, algorithm))
    fine_tuning(results, bench, arguments)
    table(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="The demo's data set with its training split.")
    parser.add_argument("--minutes", type=float, default=60, help="When to begin nothing more.")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--weights", type=Path, default=Path("runs/nvfp4"), help="Where fine-tuned weights go.")
    parser.add_argument("--limit", type=int, help="Only so many puzzles of every split.")
    parser.add_argument("--rehearse", action="store_true", help="Few puzzles, few steps.")
    return parser.parse_args()


def prepare(arguments: argparse.Namespace) -> Bench:
    limit = 8 if arguments.rehearse else arguments.limit
    dataset = CHECKPOINT / "dataset"
    splits = (read_split(dataset, split, limit) for split in ("test", "calibration", "search"))
    model = network(load(locate(CHECKPOINT))).to(DEVICE)
    return Bench(model, *splits, sites(model.config, "executor"), arguments.rehearse)


def post_training(results: Results, bench: Bench, plain: Method) -> None:
    """Everything that needs no training; each method starts from the checkpoint."""
    results.measure("tensor scales by error", lambda: bench.judge(scaled(plain, bench.inputs)))
    by_clipping = partial(by_blocks, stretches=SHRINKS)
    results.measure("block scales by error, clipped", lambda: bench.judge(rewritten(bench, plain, by_clipping)))
    anyhow = partial(by_blocks, stretches=STRETCHES)
    free = rewritten(bench, plain, anyhow)._replace(weights_are_rounded=True)
    results.measure("block scales by error, any", lambda: bench.judge(free))
    results.measure("equalised", lambda: equalised(bench, plain)[1])
    results.measure("rotated", lambda: rotated(bench)[1])
    results.measure("gptq", lambda: bench.judge(rewritten(bench, plain, by_gptq)))
    results.measure("equalised, gptq", lambda: on_top(bench, equalised(bench, plain)[0]))
    results.measure("rotated, gptq", lambda: on_top(bench, rotated(bench)[0]))


def equalised(bench: Bench, plain: Method) -> tuple[Method, dict[str, Any]]:
    changed, alphas = evened(plain, bench.inputs)
    method = bench.method(changed)
    return method, {**bench.judge(method), "alphas": alphas}


def rotated(bench: Bench) -> tuple[Method, dict[str, Any]]:
    """The random rotation whose answers drift least on the calibration split."""
    found: list[tuple[float, int, Method]] = []
    for seed in range(1 if bench.rehearse else ROTATIONS):
        method = bench.method(rotate(bench.float32, random_rotation(bench.float32.config.hidden_size, seed)))
        found.append((drift(solve(bench.rounded(method), bench.calibration), bench.drifted), seed, method))
    _, seed, method = min(found, key=lambda entry: entry[:2])
    return method, {**bench.judge(method), "seed": seed, "drifts": [entry[0] for entry in found]}


def on_top(bench: Bench, method: Method) -> dict[str, Any]:
    """GPTQ of another method's network."""
    return bench.judge(rewritten(bench, method, by_gptq, bench.inputs_of(method.network)))


def rewritten(bench: Bench, method: Method, rewrite: Rewrite, inputs: dict[str, Tensor] | None = None) -> Method:
    """The network with every executor weight replaced by ``rewrite``; its scales stay."""
    changed = copy.deepcopy(method.network)
    for site, x in (inputs or bench.inputs).items():
        weight = weight_of(changed, site)
        weight.copy_(rewrite(site, weight, x, method))
    return method._replace(network=changed, meant=method.network)


def by_blocks(site: str, weight: Tensor, x: Tensor, method: Method, stretches: tuple[float, ...]) -> Tensor:
    return clipped(weight, method.amax[site].weight, x.square().mean(dim=0), stretches)


def by_gptq(site: str, weight: Tensor, x: Tensor, method: Method) -> Tensor:
    amax = method.amax[site]
    return compensated(weight, amax.weight, round_blocks(x, x.new_tensor(amax.input)))


def fine_tuning(results: Results, bench: Bench, arguments: argparse.Namespace) -> None:
    """The trainer's loss with a rounding executor, and without; the search and calibration splits choose."""
    tuned: dict[str, tuple[float, HRM]] = {}

    def tune(name: str, steps: int, lr: float, *, rounding: bool) -> dict[str, Any]:
        began = time.monotonic()
        learnt = train(bench, arguments.data, 2 if arguments.rehearse else steps, lr, rounding=rounding)
        fit = bench.fit(bench.rounded(bench.method(learnt)))
        tuned[name] = fit["loss"], learnt
        return {"steps": steps, "lr": lr, "fit": fit, "training_seconds": round(time.monotonic() - began, 1)}

    results.measure("the search split, plain", lambda: {"fit": bench.fit(bench.rounded(bench.method(bench.float32)))})
    results.measure("the search split, float32", lambda: {"fit": bench.fit(bench.float32)})
    results.measure("no puzzle in common with test", partial(apart, arguments.data))
    for kind, rounding in (("quantisation-aware", True), ("ordinary", False)):
        for steps, lr in TUNINGS[:1] if arguments.rehearse else TUNINGS:
            name = f"{kind} fine-tuning, {steps} steps at {lr:g}"
            results.measure(f"{name} (search)", partial(tune, name, steps, lr, rounding=rounding))
        mine = {name: loss for name, (loss, _) in tuned.items() if name.startswith(kind)}
        if mine:
            best = min(mine, key=lambda name: mine[name])
            results.measure(f"{kind} fine-tuning", partial(judge_tuned, bench, best, tuned[best][1], arguments.weights))


def apart(data: Path) -> dict[str, Any]:
    train = read_split(data, "train")
    for split in ("test", "search", "calibration"):
        refuse_overlap(train.inputs, read_split(CHECKPOINT / "dataset", split).inputs, "train", split)
    return {"training_puzzles": len(train)}


def train(bench: Bench, data: Path, steps: int, lr: float, *, rounding: bool) -> HRM:
    """The demo trained on; in its average the start is soon forgotten."""
    changes = {"dataset": data.resolve(), "steps": steps, "lr": lr, "lr_warmup_steps": 20, "ema": 0.98}
    recipe = make_recipe({**read_recipe(RECIPE), **changes})
    amax = bench.method(bench.float32).amax if rounding else {}
    backend = Backend(DEVICE, torch.float32, compiles=False)
    with torch.enable_grad():
        tuning = FineTuning(bench.float32, recipe, backend, {site: each.input for site, each in amax.items()})
        for _ in tuning.steps(BatchStream(recipe.dataset, recipe.global_batch_size, seed=1)):
            pass
    return tuning.network


def judge_tuned(bench: Bench, name: str, learnt: HRM, directory: Path) -> dict[str, Any]:
    """The rounded network, and the same in float32: what a gate of its own checkpoint would hold it to."""
    path = directory / f"{name.partition(' ')[0]}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    native.save(learnt.config, {key: tensor.cpu().contiguous() for key, tensor in learnt.state_dict().items()}, path)
    own, rounded = solve(learnt, bench.test), bench.method(learnt)
    against_itself = compare(solve(bench.rounded(rounded), bench.test), own)
    return {
        **bench.judge(rounded),
        "chosen": name,
        "float32_exact_accuracy": own.solved.float().mean().item(),
        "against_its_own_float32": {key: against_itself[key] for key in ("lost", "won")},
    }


def by_modelopt(bench: Bench, algorithm: dict[str, Any]) -> dict[str, Any]:
    """An algorithm of ModelOpt's that leaves its own operators in the network; float32 but for the rounding."""
    from engines.calibration import modelopt

    # Our rounding on every device; the algorithms ask for maxima that are not calibrated yet.
    if not modelopt.is_registered_quant_backend(BACKEND):
        modelopt.register_quant_backend(BACKEND, lambda x, quantiser: round_blocks(x, quantiser._get_amax(x)))
    form = modelopt.NVFP4 | {"backend": BACKEND}
    quantisers = [
        {"quantizer_name": f"{site}.{operand}_quantizer", "cfg": dict(form)}
        for site in bench.sites
        for operand in ("input", "weight")
    ]
    config = {"quant_cfg": [{"quantizer_name": "*", "enable": False}, *quantisers], "algorithm": algorithm}
    model = copy.deepcopy(bench.float32)
    with modelopt.quiet():
        modelopt.mtq.quantize(model, config, lambda each: solve(each, cut(bench.calibration, slice(0, 256))))
    return bench.row(model)


def solve(model: HRM, puzzles: PuzzleSet) -> Answers:
    """Every puzzle through every segment."""
    parts = [answer(model, cut(puzzles, slice(start, start + BATCH))) for start in range(0, len(puzzles.inputs), BATCH)]
    return Answers(
        torch.cat([part.tokens for part in parts]),
        torch.cat([part.solved for part in parts]),
        torch.cat([part.logits for part in parts], dim=1),
    )


def cut(puzzles: PuzzleSet, rows: slice) -> PuzzleSet:
    arrays = {name: value[rows] for name, value in vars(puzzles).items() if isinstance(value, np.ndarray)}
    return replace(puzzles, **arrays)


def drift(found: Answers, base: Answers) -> float:
    """How far cells' probabilities are from float32's (total variation), mean over cells, segments and puzzles."""
    return ((found.logits.softmax(-1) - base.logits.softmax(-1)).abs().sum(-1) / 2).mean().item()


def last_loss(found: Answers, puzzles: PuzzleSet) -> float:
    labels = torch.from_numpy(puzzles.labels).long().to(DEVICE)
    return F.cross_entropy(found.logits[-1].flatten(0, 1), labels.flatten()).item()


def table(results: Results) -> None:
    columns = (
        "exact_accuracy",
        "lost",
        "won",
        "loss_points",
        "upper_bound_points",
        "drift",
        "product_error",
        "seconds",
    )
    rows = [
        (item["item"], 100 * item["exact_accuracy"], *(item.get(name) for name in columns[1:]))
        for item in results.items
        if "exact_accuracy" in item
    ]
    heads = ("executor in NVFP4", "exact %", "lost", "won", "loss", "upper bound", "drift", "error", "seconds")
    show("Puzzles solved, fixed policy; loss and bound in points", heads, rows)


if __name__ == "__main__":
    main()
