"""The arithmetic limit: what a segment needs, and what this machine's float32 matrix products reach in the same run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.onnx_session import RuntimeOptions, open_session
from engines.runtimes import obstacle
from hrm_trt.bench.subjects import TORCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines.targets import RuntimeName
    from hrm.config import HRMConfig

Shape = tuple[int, int, int]
"""M, K and N of a product of [M, K] and [K, N]."""

_ONNXRUNTIME: RuntimeName = "onnxruntime"
_LEAST_SECONDS = 0.3
_LEAST_CALLS = 7
_WARM_UP = 2


def segment_flops(config: HRMConfig) -> int:
    """Multiplications and additions that one segment of one puzzle needs.

    With D hidden size, W the MLP's inner width, T tokens, S sequence and V vocabulary, a block needs for each token

        2·D·3D + 2·D·D    the projections around attention
        2·T·D + 2·T·D     the scores of T keys, and the sum of T values
        2·D·2W + 2·W·D    gate and up, and down

    A segment runs ``H_cycles·(L_cycles·L_layers + H_layers)`` blocks; the heads need 2·D·V for each of S tokens, and
    2·D·2 once. Norms, rotary positions, softmax and sums are left out, and so is the encoder, which is a look-up.
    """
    D, W, T = config.hidden_size, config.mlp_width, config.tokens
    block = T * (8 * D * D + 6 * D * W + 4 * T * D)
    blocks = config.H_cycles * (config.L_cycles * config.L_layers + config.H_layers)
    return blocks * block + 2 * D * (config.seq_len * config.vocab_size + 2)


def largest_product(config: HRMConfig, batch: int) -> Shape:
    """The largest product with a weight in a call of ``batch`` puzzles: the MLP's fused gate and up."""
    return batch * config.tokens, config.hidden_size, 2 * config.mlp_width


def share(config: HRMConfig, segments_per_second: float, matrix_flops: float) -> float:
    """Of the limit, what ``segments_per_second`` used segments come to; int8 may well be above 1."""
    return segments_per_second * segment_flops(config) / matrix_flops


@dataclass(frozen=True)
class LimitJob:
    """Measures the product in a process of its own."""

    shape: Shape
    threads: int

    def open(self) -> LimitSession:
        """Make the matrices."""
        return LimitSession(self)


class LimitSession:
    """The same product in every library that is here; numpy's threads are set by the environment."""

    def __init__(self, job: LimitJob) -> None:
        rows, inner, columns = job.shape
        draw = np.random.default_rng(0)
        left = draw.standard_normal((rows, inner), dtype=np.float32)
        right = draw.standard_normal((inner, columns), dtype=np.float32)
        self._flops = 2 * rows * inner * columns
        self._products = {"numpy": _in_numpy(left, right)}
        if obstacle(TORCH) is None:
            self._products[TORCH] = _in_torch(left, right, job.threads)
        if obstacle(_ONNXRUNTIME) is None:
            self._products[_ONNXRUNTIME] = _in_onnxruntime(left, right, job.threads)

    def turn(self, tell: Callable[[int], None]) -> dict[str, float]:
        """Operations a second by library, each the median of several products."""
        del tell
        return {name: self._flops / _median_seconds(product) for name, product in self._products.items()}


def _median_seconds(product: Callable[[], object]) -> float:
    for _ in range(_WARM_UP):
        product()
    seconds: list[float] = []
    total = 0.0
    while len(seconds) < _LEAST_CALLS or total < _LEAST_SECONDS:
        began = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - began)
        total += seconds[-1]
    return statistics.median(seconds)


def _in_numpy(left: np.ndarray, right: np.ndarray) -> Callable[[], object]:
    out = np.empty((left.shape[0], right.shape[1]), dtype=np.float32)
    return lambda: np.matmul(left, right, out=out)


def _in_torch(left: np.ndarray, right: np.ndarray, threads: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    a, b = torch.from_numpy(left), torch.from_numpy(right)
    out = torch.empty(left.shape[0], right.shape[1])
    return lambda: torch.mm(a, b, out=out)


def _in_onnxruntime(left: np.ndarray, right: np.ndarray, threads: int) -> Callable[[], object]:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["out"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, left.shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, (left.shape[0], right.shape[1]))],
        [numpy_helper.from_array(right, "b")],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    options = RuntimeOptions(threads=threads)
    session = open_session(Path("product.onnx"), options, rewritten=model.SerializeToString())
    feeds = {"a": left}
    return lambda: session.run(None, feeds)
