"""The ``torch-compile`` runtime: encoder and segment compiled by Inductor, each as one graph, when they are opened.

Two graphs serve every batch: one for a single puzzle, whose size PyTorch always takes as a constant, and one in which
the batch is a variable. On a GPU the calls are recorded as CUDA graphs, one for each size of a short ladder, and
smaller batches are padded up to the next; PyTorch keeps those by thread, so that an engine belongs to the thread that
opened it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engines.torch_runtime import MODULES, TensorEngine, TensorStepper, on_device, set_threads
from export.reference import compute
from hrm.errors import MissingError
from hrm.toolchain import GET_COMPILER, missing_compiler

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.torch_runtime import Call, DeviceName
    from export.contract import Module
    from hrm.network import HRM

_RECORDED_AFTER = 3
"""Calls of one size until its CUDA graph is there: one warms up, one is recorded, one replays."""


class CompiledCall:
    """One module of a network, compiled: what ``TensorEngine`` calls.

    Args:
        network: where it will run.
        module: which part of it.
        batches: the sizes to which batches are padded, ascending; none leaves every batch as it is.
        cuda_graphs: whether to replay CUDA graphs, one for each size.
    """

    def __init__(self, network: HRM, module: Module, batches: Sequence[int] = (), *, cuda_graphs: bool = False) -> None:
        def run(feeds: dict[str, Tensor]) -> dict[str, Tensor]:
            return compute(network, module, feeds)

        # In isolation (which its types do not know): else all that a process compiles counts against one limit.
        compiler: Any = torch.compile
        mode = "reduce-overhead" if cuda_graphs else None
        self._compiled: Call = compiler(run, fullgraph=True, mode=mode, isolate_recompiles=True)
        self._batches = tuple(batches)
        self._cuda_graphs = cuda_graphs

    def __call__(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        """Compute the module's outputs; compiles where nothing that was compiled fits."""
        rows = len(next(iter(feeds.values())))
        padding = next((size for size in self._batches if size >= rows), rows) - rows
        values = self._computed({name: _padded(tensor, padding) for name, tensor in feeds.items()})
        return {name: value[:rows] for name, value in values.items()} if padding else values

    def _computed(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        for tensor in feeds.values():
            if len(tensor) > 1:
                torch._dynamo.mark_dynamic(tensor, 0)
        if not self._cuda_graphs:
            return self._compiled(feeds)
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        # Outputs lie in the graph's own memory, which its next replay writes over: the carry must outlive that.
        return {name: value.clone() for name, value in self._compiled(feeds).items()}


def compiled_stepper(network: HRM, device: DeviceName = "cpu", batch: int = 32, threads: int = 0) -> TensorStepper:
    """The network, or a copy of it on ``device``, compiled now for every batch from 1 to ``batch``.

    Args:
        network: computes in its own type.
        device: where it will run.
        batch: the largest batch; one above is compiled, or recorded, when it comes.
        threads: what a CPU's code is compiled for and run with, in the whole process; 0 leaves it as it is.

    Raises:
        EngineError: the compiler failed.
        MissingError: there is no compiler, or no GPU, for what was asked.
    """
    set_threads(threads)
    placed = on_device(network, device)
    lack = missing_compiler() if device == "cpu" else None
    if lack is not None:
        raise MissingError("the network cannot be compiled by torch-compile here", why=lack, hint=GET_COMPILER)
    on_gpu = device == "cuda"
    sizes = ladder(batch) if on_gpu else ()
    engines = {
        module: TensorEngine(placed, module, CompiledCall(placed, module, sizes, cuda_graphs=on_gpu))
        for module in MODULES
    }
    stepper = TensorStepper(placed, engines)
    for size in sizes or sorted({1, batch}):
        for _ in range(_RECORDED_AFTER if on_gpu else 1):
            _solve_nothing(stepper, placed, size)
    return stepper


def ladder(batch: int) -> tuple[int, ...]:
    """Powers of two below ``batch``, and ``batch``: few graphs, and never twice the work."""
    return (*(2**power for power in range((batch - 1).bit_length())), batch)


def _solve_nothing(stepper: TensorStepper, network: HRM, batch: int) -> None:
    """One segment of blank puzzles, through everything that solving calls."""
    inputs = np.zeros((batch, network.config.seq_len), dtype=np.int32)
    embeddings = stepper.encode(inputs, np.zeros(batch, dtype=np.int32))
    stepper.step(*stepper.initial_carry(batch), embeddings)


def _padded(tensor: Tensor, rows: int) -> Tensor:
    """``tensor`` with so many copies of its first row after it."""
    return torch.cat((tensor, tensor[:1].expand(rows, *tensor.shape[1:]))) if rows else tensor
