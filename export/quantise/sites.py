"""The places where a graph can compute in low precision: the linear layers of a module, each by its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hrm.config import HRMConfig

SitePrecision = Literal["fp32", "fp16", "int8", "fp8", "nvfp4"]
LOW: tuple[SitePrecision, ...] = ("int8", "fp8", "nvfp4")
"""The precisions that a linear is quantised to."""
Quantisable = Literal["executor", "planner"]
Assignment = Mapping[str, SitePrecision]
"""What each site computes in, by its layer's name in the checkpoint; others stay as the graph has them."""

ROLES = {
    "self_attn.qkv_proj": "attention in",
    "self_attn.o_proj": "attention out",
    "mlp.gate_up_proj": "MLP in",
    "mlp.down_proj": "MLP out",
}
"""The four linears of a block, by the end of their name."""


def sites(config: HRMConfig, module: Quantisable) -> tuple[str, ...]:
    """The linears of ``module``, in the order in which they run, like ``L_level.layers.0.self_attn.qkv_proj``."""
    level, layers = ("L_level", config.L_layers) if module == "executor" else ("H_level", config.H_layers)
    return tuple(f"{level}.layers.{layer}.{linear}" for layer in range(layers) for linear in ROLES)


def quantised(assignment: Assignment) -> dict[str, SitePrecision]:
    """What of ``assignment`` is quantised."""
    return {site: precision for site, precision in assignment.items() if precision in LOW}


def uniform(config: HRMConfig, modules: Iterable[Quantisable], precision: SitePrecision) -> dict[str, SitePrecision]:
    """All linears of ``modules`` in one precision."""
    return {site: precision for module in modules for site in sites(config, module)}
