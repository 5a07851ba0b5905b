"""ModelOpt's own NVFP4 rounding on a GPU against ours in plain PyTorch, value by value; and what it means for puzzles.

    PYTHONPATH=.:SITE python benchmarks/gpu/modelopt_cuda.py [--minutes 1.5] [--output DIR]

Three roundings: ModelOpt's kernel (`dynamic_block_quantize_op`, Triton from compute capability 8.9 on), ModelOpt's
stored format (`NVFP4QTensor`), and `engines.calibration.blocks.round_blocks`, which stands in for the kernel where
there is no CUDA. `--rehearse` takes few puzzles; without CUDA, the kernel's items fail and say so. `--extensions`
also compiles ModelOpt's FP8 kernel, which takes a minute.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from fp8_check import MAKES, answer, compare, prepare
from results import DEVICE, Results, show, tell

from engines.calibration.blocks import BLOCK, fake_quantised, round_blocks
from export.quantise.calibration import Calibration, SiteAmax
from export.quantise.sites import uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from fp8_check import Check
    from torch import Tensor

    Round = Callable[[Tensor, Tensor], Tensor]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
ROWS, COLUMNS = 1024, 1024
EXAMPLES = 8


def main() -> None:
    arguments = parse()
    torch.set_grad_enabled(False)
    torch.set_float32_matmul_precision("highest")  # no TF32
    path = arguments.output / "gpu_modelopt_cuda.json"
    results = Results(path, "gpu_modelopt_cuda", arguments.rehearse, arguments.minutes)
    for name, values in tensors().items():
        for dtype in DTYPES:
            results.measure(f"{name}, {dtype}", partial(agreement, values.to(DTYPES[dtype])))
    results.measure("a maximum below the largest value", partial(agreement, tensors()["normal"], share=0.5))
    results.measure("on a CPU and on a GPU", devices)
    results.measure("the demo's executor", partial(puzzles, prepare(8 if arguments.rehearse else None)))
    if arguments.extensions:
        results.measure("fp8 by ModelOpt's CUDA kernel", fp8)
    table(results)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.5, help="When to begin nothing more.")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--rehearse", action="store_true", help="Few puzzles.")
    parser.add_argument("--extensions", action="store_true", help="Compile ModelOpt's FP8 kernel too.")
    return parser.parse_args()


def tensors() -> dict[str, Tensor]:
    """Values [rows, columns] of every awkward kind, float32."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    few = (256, 16 * BLOCK)
    grid = torch.tensor([0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, -6])
    spread = 10.0 ** torch.linspace(-9, 4, 256)[:, None]
    zeros = normal(*few)
    zeros[::2] = 0
    zeros[1::4, ::2] = -0.0
    return {
        "normal": normal(ROWS, COLUMNS),
        "heavy tails": normal(ROWS, COLUMNS) / normal(ROWS, COLUMNS).abs().clamp_min(1e-3),
        "zeros of both signs": zeros,
        "halfway between two numbers": (grid * torch.cat((torch.ones(16), -torch.ones(16)))[:, None]).repeat(8, 16),
        "one huge value": normal(*few).index_put((torch.tensor([0]), torch.tensor([0])), torch.tensor(60000.0)),
        "rows from 1e-9 to 1e4": normal(*few) * spread,
        "a small tensor": normal(*few) * 1e-6,
        "the smallest floats": normal(*few) * 1e-40,
        "all the same": torch.full(few, 0.3),
    }


def agreement(values: Tensor, share: float = 1.0) -> dict[str, Any]:
    """How many of ``values`` come out differently, each pair of roundings compared; the tensor's maximum scaled."""
    from modelopt.torch.quantization.qtensor import NVFP4QTensor
    from modelopt.torch.quantization.tensor_quant import dynamic_block_quantize_op

    def kernel(x: Tensor, amax: Tensor) -> Tensor:
        rounded: Tensor = dynamic_block_quantize_op(x, BLOCK, amax, 4, 2, 8, 4)
        return rounded

    def stored(x: Tensor, amax: Tensor) -> Tensor:
        packed, block_scale, tensor_scale = NVFP4QTensor.quantize(x, BLOCK, None, amax.float() / (6 * 448))
        whole: Tensor = packed.dequantize(
            scale=block_scale, double_scale=tensor_scale, block_sizes={-1: BLOCK}, dtype=x.dtype
        )
        return whole

    x = values.to(DEVICE)
    amax = share * x.abs().amax().float()
    roundings: dict[str, Round] = {"ours": round_blocks, "kernel": kernel, "stored": stored}
    made = {name: attempt(rounding, x, amax) for name, rounding in roundings.items()}
    pairs = (("kernel", "ours"), ("stored", "ours"), ("kernel", "stored"))
    return {
        "values": x.numel(),
        "amax": amax.item(),
        "failed": {name: one for name, one in made.items() if isinstance(one, str)},
        **{f"{one}_and_{other}": differ(x, made[one], made[other]) for one, other in pairs},
    }


def attempt(rounding: Round, x: Tensor, amax: Tensor) -> Tensor | str:
    """The rounded values, or why there are none."""
    try:
        return rounding(x, amax)
    except Exception as error:  # noqa: BLE001  (a kernel that cannot be compiled here is a finding)
        return tell(error)


def differ(x: Tensor, one: Tensor | str, other: Tensor | str) -> dict[str, Any] | None:
    """Count, size and some examples of the values that differ; not-a-number is the same as itself."""
    if isinstance(one, str) or isinstance(other, str):
        return None
    apart = (one != other) & ~(one.isnan() & other.isnan())
    examples = apart.nonzero()[:EXAMPLES].tolist()
    return {
        "differ": int(apart.sum()),
        "blocks": int(apart.unflatten(-1, (-1, BLOCK)).any(-1).sum()),
        "largest": (one.float() - other.float()).abs().nan_to_num().amax().item(),
        "not_a_number": [int(one.isnan().sum()), int(other.isnan().sum())],
        "examples": [[x[row, at].item(), one[row, at].item(), other[row, at].item()] for row, at in examples],
    }


def devices() -> dict[str, Any]:
    """Whether our rounding gives the same on both."""
    rows = {}
    for name, values in tensors().items():
        amax = values.abs().amax()
        there = round_blocks(values.to(DEVICE), amax.to(DEVICE)).cpu()
        rows[name] = int((round_blocks(values, amax) != there).sum())
    return {"differ": rows}


def puzzles(check: Check) -> dict[str, Any]:
    """The demo with its executor in NVFP4, rounded by ModelOpt and by us, in float32 otherwise."""
    assignment = uniform(check.wide.config, ["executor"], "nvfp4")
    calibration = Calibration(
        method="max",
        sites={site: SiteAmax(input=amax.input, weight=amax.weight) for site, amax in check.amax.items()},
        segments={},
        checkpoint="",
        dataset="",
        split="calibration",
        puzzles=0,
        seed=0,
        versions={},
    )
    base = answer(check.wide, check.puzzles)
    in_float32 = replace(check, narrow=check.wide)
    ours = answer(in_float32.uniform(MAKES["nvfp4 rounded"], ("executor",)), check.puzzles)
    theirs = answer(fake_quantised(check.wide, assignment, calibration), check.puzzles)
    return {
        "ours_against_float32": compare(ours, base),
        "modelopt_against_float32": compare(theirs, base),
        "modelopt_against_ours": compare(theirs, ours),
    }


def fp8() -> dict[str, Any]:
    """ModelOpt's FP8 kernel against PyTorch's cast."""
    from modelopt.torch.quantization.extensions import get_cuda_ext_fp8

    x = tensors()["heavy tails"].to(DEVICE)
    amax = x.abs().amax()
    kernel = get_cuda_ext_fp8(raise_if_failed=True).fake_e4m3fy(x, amax)
    scale = amax / 448
    return differ(x, kernel, (x / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale) or {}


def table(results: Results) -> None:
    pairs = ("kernel_and_ours", "stored_and_ours", "kernel_and_stored")
    rows = [
        (item["item"], item["values"], *((item[pair] or {}).get("differ") for pair in pairs))
        for item in results.items
        if "values" in item
    ]
    show("NVFP4: values that differ", ("values", "count", "kernel/ours", "stored/ours", "kernel/stored"), rows)


if __name__ == "__main__":
    main()
