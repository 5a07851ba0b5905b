"""How fast a GPU multiplies matrices: large ones, which is its rate, and those of a model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own name for it)
from low_precision import E4M3
from results import DEVICE
from timing import captured, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from hrm.config import HRMConfig

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
ROUNDS = 9


def matrix_rates(side: int) -> dict[str, Any]:
    """TFLOP/s of one large square product in every type."""
    a, b = (torch.randn(side, side, device=DEVICE) for _ in range(2))
    works: dict[str, Callable[[], Any]] = {
        name: partial(torch.matmul, a.to(dtype), b.to(dtype)) for name, dtype in DTYPES.items()
    }
    for fast in (True, False):
        works[f"fp8, {'fast' if fast else 'float32'} accumulation"] = fp8_product(a, b, fast)
    timed = interleaved(works, ROUNDS)
    return {
        "side": side,
        "tflops": {
            name: {
                "median": 2 * side**3 / one["median_seconds"] / 1e12,
                "most": 2 * side**3 / one["least_seconds"] / 1e12,
            }
            for name, one in timed.items()
        },
    }


def fp8_product(a: Tensor, b: Tensor, fast: bool) -> Callable[[], Tensor]:
    """``a`` [M, K] times ``b`` [N, K] transposed, both taken as FP8 with a scale of one."""
    one = torch.ones((), device=DEVICE)
    left, right = a.to(E4M3), b.to(E4M3).t()
    return partial(
        torch._scaled_mm, left, right, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=fast
    )


def shapes(config: HRMConfig, batch: int) -> dict[str, Any]:
    """TFLOP/s of the four linears of a block, and the time of all linears of a segment with nothing between them."""
    rows, hidden, wide = batch * config.tokens, config.hidden_size, config.mlp_width
    sizes = {"qkv_proj": (hidden, 3 * hidden), "o_proj": (hidden, hidden), "gate_up_proj": (hidden, 2 * wide)}
    sizes["down_proj"] = (wide, hidden)
    blocks = config.L_layers + config.H_layers
    calls = config.H_cycles * (config.L_cycles * config.L_layers + config.H_layers)
    works: dict[str, Callable[[], Any]] = {}
    for name in ("bfloat16", "float16", "fp8"):
        products = {linear: _products(rows, *size, blocks, name) for linear, size in sizes.items()}
        whole = [products[linear][call % blocks] for call in range(calls) for linear in sizes]
        works |= {f"{name} {linear}": _all(some) for linear, some in products.items()}
        works[f"{name} segment"] = _all(whole)
    if DEVICE.type == "cuda":
        works = {name: captured(work) for name, work in works.items()}
    timed = interleaved(works, ROUNDS)
    count = {linear: 2 * rows * k * n * blocks for linear, (k, n) in sizes.items()}
    total = sum(count.values()) * calls // blocks
    done = {f"{name} {linear}": count.get(linear, total) for name, linear in (key.split() for key in works)}
    return {name: {**one, "tflops": done[name] / one["median_seconds"] / 1e12} for name, one in timed.items()}


def _products(rows: int, k: int, n: int, count: int, name: str) -> list[Callable[[], Tensor]]:
    """``count`` products [rows, k] × [k, n], each with its own operands."""
    made = []
    for _ in range(count):
        x, weight = torch.randn(rows, k, device=DEVICE), torch.randn(n, k, device=DEVICE)
        if name == "fp8":
            made.append(fp8_product(x, weight, fast=True))
        else:
            made.append(partial(F.linear, x.to(DTYPES[name]), weight.to(DTYPES[name])))
    return made


def _all(products: list[Callable[[], Tensor]]) -> Callable[[], None]:
    def work() -> None:
        for product in products:
            product()

    return work
