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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from fp8_check import compare
from results import DEVICE, Results, show

from benchmarks.nvfp4_bench import CHECKPOINT, ON_GPU, Bench, cut, drift, prepare, solve
from benchmarks.nvfp4_methods import SHRINKS, STRETCHES, Method, clipped, evened, scaled, weight_of
from benchmarks.nvfp4_rotate import random_rotation, rotate
from engines.calibration.blocks import round_blocks
from engines.calibration.gptq import compensated
from engines.calibration.puzzles import refuse_overlap
from engines.calibration.qat import FineTuning
from hrm.checkpoint import native
from hrm.data.dataset import read_split
from hrm.training.backend import Backend
from hrm.training.batches import BatchStream
from hrm.training.recipe import make_recipe, read_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from hrm.network import HRM

    Rewrite = Callable[[str, Tensor, Tensor, Method], Tensor]

RECIPE = Path("recipes/sudoku-6x6.yaml")
PLAIN = "plain"
"""The scales of the largest magnitudes."""
BACKEND = "hrm-trt-benchmark"
ROTATIONS = 8 if ON_GPU else 2
ALGORITHMS = ({"method": "awq_lite"}, {"method": "svdquant", "lowrank": 16})
"""Of ModelOpt's; those that TensorRT could run only with more operators than our graphs have."""
TUNINGS = ((300, 3e-5), (300, 1e-4), (300, 3e-4), (600, 1e-4), (600, 3e-4)) if ON_GPU else ((300, 2e-4),)
"""Steps and learning rates of the fine-tuning."""


def main() -> None:
    arguments = parse()
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("highest")  # no TF32
    results = Results(arguments.output / "nvfp4.json", "nvfp4", arguments.rehearse, arguments.minutes)
    bench = prepare(rehearse=arguments.rehearse)
    if arguments.only != "tuning":
        post_training(results, bench)
        for algorithm in ALGORITHMS:
            results.measure(f"ModelOpt {algorithm['method']}", partial(by_modelopt, bench, algorithm))
    if arguments.only != "rounding":
        fine_tuning(results, bench, arguments)
    table(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="The demo's data set with its training split.")
    parser.add_argument("--minutes", type=float, default=60, help="When to begin nothing more.")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--weights", type=Path, default=Path("runs/nvfp4"), help="Where fine-tuned weights go.")
    parser.add_argument("--only", choices=("rounding", "tuning"), help="What needs no training, or what is training.")
    parser.add_argument("--rehearse", action="store_true", help="Few puzzles, few steps.")
    return parser.parse_args()


def post_training(results: Results, bench: Bench) -> None:
    """What needs no training; each method starts from the checkpoint, or from another method's network."""
    found: dict[str, tuple[Method, dict[str, Any]]] = {}

    def measure(name: str, make: Callable[[], tuple[Method, dict[str, Any]]]) -> None:
        def work() -> dict[str, Any]:
            method, choices = make()
            seen = bench.look(method)
            found[name] = method, seen
            return {**seen, **choices}

        results.measure(f"{name} (calibration)", work)

    def plain() -> Method:
        return found[PLAIN][0]

    by_clipping, anyhow = (partial(by_blocks, stretches=stretches) for stretches in (SHRINKS, STRETCHES))
    measure(PLAIN, lambda: (bench.method(bench.float32), {}))
    measure("tensor scales by error", lambda: (scaled(plain(), bench.inputs), {}))
    measure("block scales by error, clipped", lambda: (rewritten(bench, plain(), by_clipping), {}))
    measure(
        "block scales by error, any",
        lambda: (rewritten(bench, plain(), anyhow)._replace(weights_are_rounded=True), {}),
    )
    measure("equalised", lambda: equalised(bench, plain()))
    measure("gptq", lambda: (rewritten(bench, plain(), by_gptq), {}))
    measure("equalised, gptq", lambda: (rewritten(bench, found["equalised"][0], by_gptq), {}))
    measure("rotated", lambda: rotated(bench))
    measure("rotated, gptq", lambda: (rewritten(bench, found["rotated"][0], by_gptq), {}))
    best = min((name for name in found if name != PLAIN), key=lambda name: found[name][1]["drift"], default=PLAIN)
    for name, (method, seen) in found.items():
        if ON_GPU or name in (PLAIN, best):
            results.measure(name, lambda: {**bench.row(bench.rounded(method)), **seen})  # noqa: B023


def equalised(bench: Bench, plain: Method) -> tuple[Method, dict[str, Any]]:
    """Every layer's alpha chosen by the error of its products."""
    changed, alphas = evened(plain, bench.inputs)
    return bench.method(changed), {"alphas": alphas}


def rotated(bench: Bench) -> tuple[Method, dict[str, Any]]:
    """The random rotation whose answers drift least."""
    found: list[tuple[float, int, Method]] = []
    for seed in range(1 if bench.rehearse else ROTATIONS):
        method = bench.method(rotate(bench.float32, random_rotation(bench.float32.config.hidden_size, seed)))
        found.append((bench.look(method)["drift"], seed, method))
    _, seed, method = min(found, key=lambda entry: entry[:2])
    return method, {"seed": seed, "drifts": [entry[0] for entry in found]}


def rewritten(bench: Bench, method: Method, rewrite: Rewrite) -> Method:
    """The network with every executor weight replaced by ``rewrite``; its scales stay."""
    changed, network = copy.deepcopy(method.network), method.network
    for site, x in (bench.inputs if network is bench.float32 else bench.inputs_of(network)).items():
        weight = weight_of(changed, site)
        weight.copy_(rewrite(site, weight, x, method))
    return method._replace(network=changed, meant=network)


def by_blocks(site: str, weight: Tensor, x: Tensor, method: Method, stretches: tuple[float, ...]) -> Tensor:
    return clipped(weight, method.amax[site].weight, x.square().mean(dim=0), stretches)


def by_gptq(site: str, weight: Tensor, x: Tensor, method: Method) -> Tensor:
    amax = method.amax[site]
    rows = round_blocks(x, x.new_tensor(amax.input)).double()
    return compensated(weight, amax.weight, rows.t() @ rows)


def fine_tuning(results: Results, bench: Bench, arguments: argparse.Namespace) -> None:
    """The trainer's loss with a rounding executor, and without; the search and calibration splits choose."""
    tuned: dict[str, tuple[float, HRM]] = {}

    def tune(name: str, steps: int, lr: float, *, rounding: bool) -> dict[str, Any]:
        began = time.monotonic()
        learnt = train(bench, arguments.data, 2 if arguments.rehearse else steps, lr, rounding=rounding)
        keep(learnt, arguments.weights / f"{name.replace(', ', ' ').replace(' ', '-')}.safetensors")
        fit = bench.fit(bench.rounded(bench.method(learnt)))
        tuned[name] = fit["loss"], learnt
        return {"steps": steps, "lr": lr, "fit": fit, "training_seconds": round(time.monotonic() - began, 1)}

    results.measure("the search split, plain", lambda: {"fit": bench.fit(bench.rounded(bench.method(bench.float32)))})
    results.measure("the search split, float32", lambda: {"fit": bench.fit(bench.float32)})
    results.measure("no puzzle in common with test", partial(apart, arguments.data))
    tunings = TUNINGS[:1] if arguments.rehearse else TUNINGS
    for kind, rounding in (("quantisation-aware", True), ("ordinary", False)):
        for steps, lr in tunings:
            name = f"{kind} fine-tuning, {steps} steps at {lr:g}"
            results.measure(f"{name} (search)", partial(tune, name, steps, lr, rounding=rounding))
        mine = {name: loss for name, (loss, _) in tuned.items() if name.startswith(kind)}
        if mine:
            best = min(mine, key=lambda name: mine[name])
            results.measure(f"{kind} fine-tuning", partial(judge_tuned, bench, tuned[best][1], best))


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
    backend = Backend(DEVICE, torch.float32, compiles=not ON_GPU)
    with torch.enable_grad():
        tuning = FineTuning(bench.float32, recipe, backend, {site: each.input for site, each in amax.items()})
        for _ in tuning.steps(BatchStream(recipe.dataset, recipe.global_batch_size, seed=1)):
            pass
    return tuning.network


def keep(model: HRM, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    native.save(model.config, {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}, path)


def judge_tuned(bench: Bench, learnt: HRM, name: str) -> dict[str, Any]:
    """The rounded network, and the same in float32: what a gate of its own checkpoint would hold it to."""
    own = solve(learnt, bench.test)
    against = compare(own, bench.base)
    method = bench.method(learnt)
    return {
        **bench.row(bench.rounded(method)),
        **bench.look(method),
        "chosen": name,
        "float32": {name: against[name] for name in ("exact_accuracy", "lost", "won")},
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
        modelopt.mtq.quantize(
            model, config, lambda each: solve(each, cut(bench.calibration, slice(0, 256 if ON_GPU else 64)))
        )
    return {**bench.row(model), "drift": drift(solve(model, bench.calibration), bench.drifted)}


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
