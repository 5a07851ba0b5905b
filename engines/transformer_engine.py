"""The ``transformer-engine`` runtime: the executor's linears multiply in FP8 by NVIDIA's Transformer Engine.

The rest of the network is PyTorch's, in the network's own 16-bit type. Weights are the checkpoint's, rounded at the
first call and kept; activations get their scales at every call, from their own numbers, so that an answer depends on
no earlier one. In blocks of a row where the GPU has that, so that it depends on no neighbour in the batch either.
"""

from __future__ import annotations

import copy
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812  (PyTorch's own name for it)
from torch import Tensor, nn

from engines.runtimes import obstacle
from engines.torch_runtime import TensorEngine, TensorStepper, on_device
from export.quantise.sites import sites
from export.reference import compute
from hrm.errors import EngineError, MissingError

if TYPE_CHECKING:
    from engines.runtimes import AnyRuntimeName
    from engines.torch_runtime import Call
    from export.contract import Module
    from hrm.network import HRM

_RUNTIME: AnyRuntimeName = "transformer-engine"
_PACKAGE = "transformer_engine.pytorch"
_RECIPES = "transformer_engine.common.recipe"
_HALF = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Scheme:
    """One way in which Transformer Engine scales FP8."""

    recipe: str
    """The class in ``transformer_engine.common.recipe``."""
    available: str
    """The function in ``transformer_engine.pytorch`` that says whether the GPU and its libraries have it."""
    features: int
    """What sizes of linears must be a multiple of."""
    rows: int
    """What their operands' rows are padded to a multiple of."""
    only: int | None = None
    """The major compute capability that has kernels of its own for it; others would imitate it."""
    by_row: bool = True
    """Whether no scale spans rows: else an answer depends on what else is in the batch."""


SCHEMES = (
    Scheme("MXFP8BlockScaling", "is_mxfp8_available", features=32, rows=32),
    Scheme("Float8BlockScaling", "is_fp8_block_scaling_available", features=128, rows=128, only=9),
    Scheme("Float8CurrentScaling", "is_fp8_available", features=16, rows=16, by_row=False),
)
"""The best first; never delayed scaling, whose scales follow from earlier calls."""


class Fp8Linear(nn.Module):
    """A linear of Transformer Engine's, for any number of rows.

    Args:
        linear: the ``transformer_engine.pytorch.Linear``.
        rows: what operands' rows are padded to a multiple of.
    """

    def __init__(self, linear: nn.Module, rows: int) -> None:
        super().__init__()
        self.linear = linear
        self._rows = rows
        self._is_first = True

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [..., K] to [..., N]."""
        flat = x.reshape(-1, x.shape[-1])
        padded = F.pad(flat, (0, 0, 0, -len(flat) % self._rows))
        y: Tensor = self.linear(padded, is_first_microbatch=self._is_first)  # which is when it rounds its weight
        self._is_first = False
        return y[: len(flat)].view(*x.shape[:-1], -1)


def fp8_stepper(network: HRM) -> TensorStepper:
    """A copy of the network on the GPU, its executor in FP8 and its carry in tensors.

    Args:
        network: in bfloat16 or float16.

    Raises:
        EngineError: the network's type or sizes have no FP8 product.
        MissingError: the package or the GPU is not here.
    """
    reason = obstacle(_RUNTIME)
    if reason is not None:
        raise _missing(reason)
    placed = on_device(network, "cuda")
    te = load()
    scheme = choose(te, network.config.hidden_size, torch.cuda.get_device_capability()[0])
    changed = with_fp8_executor(placed, te, scheme)
    recipe = getattr(importlib.import_module(_RECIPES), scheme.recipe)()
    segment = TensorEngine(changed, "segment", fp8_call(changed, "segment", te, recipe))
    return TensorStepper(changed, {"encoder": TensorEngine(changed, "encoder"), "segment": segment})


def load() -> Any:
    """``transformer_engine.pytorch``.

    Raises:
        MissingError: it cannot be imported.
    """
    try:
        return importlib.import_module(_PACKAGE)
    except (ImportError, OSError) as error:  # the package without its part for PyTorch, or without CUDA's libraries
        raise _missing(f"{_PACKAGE} cannot be imported: {str(error).partition(chr(10))[0]}") from error


def choose(te: Any, hidden_size: int, major: int) -> Scheme:
    """The first scheme that this GPU, of compute capability ``major``, has for linears of this size.

    Raises:
        EngineError: there is none.
    """
    for scheme in SCHEMES:  # MLPs are a multiple of 256 wide
        fits = hidden_size % scheme.features == 0 and scheme.only in (None, major)
        if fits and getattr(te, scheme.available)():
            return scheme
    raise EngineError(
        f"{_RUNTIME} cannot compute this network in FP8",
        why=f"hidden size {hidden_size} is no multiple of {SCHEMES[-1].features}, or the GPU's libraries have no FP8",
        hint="run it by `torch` or `torch-compile`",
    )


def with_fp8_executor(network: HRM, te: Any, scheme: Scheme) -> HRM:
    """A copy of ``network`` whose executor's linears are Transformer Engine's, with the same weights.

    Raises:
        EngineError: the network computes in float32.
    """
    dtype = network.H_init.dtype
    if dtype not in _HALF:
        raise EngineError(
            f"{_RUNTIME} does not run a network in {str(dtype).removeprefix('torch.')}",
            why="between FP8 products it computes in 16 bits",
            hint="load the checkpoint in bfloat16 or float16",
        )
    changed = copy.deepcopy(network)
    for site in sites(network.config, "executor"):
        weight = changed.get_submodule(site).get_parameter("weight")
        width, depth = weight.shape
        linear = te.Linear(depth, width, bias=False, params_dtype=dtype, device=weight.device)
        with torch.no_grad():
            linear.weight.copy_(weight)
        changed.set_submodule(site, Fp8Linear(linear, scheme.rows))
    return changed.eval()


def fp8_call(network: HRM, module: Module, te: Any, recipe: Any) -> Call:
    """``module`` as ``TensorEngine`` calls it, with Transformer Engine's linears in FP8."""

    def call(feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        with te.autocast(enabled=True, recipe=recipe):
            return compute(network, module, feeds)

    return call


def _missing(reason: str) -> MissingError:
    return MissingError(
        f"{_RUNTIME} cannot run here", why=reason, hint="`hrm-trt doctor` lists what this machine can run"
    )
