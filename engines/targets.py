"""What exists: targets, the precisions their hardware has, and what this version of hrm-trt builds for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from export.contract import Variant

TargetName = Literal["cpu", "sm_90", "sm_100", "sm_120"]
PrecisionName = Literal["fp32", "fp16", "int8", "fp8", "nvfp4", "auto"]
RuntimeName = Literal["onnxruntime"]


@dataclass(frozen=True)
class Target:
    """One kind of machine that engines run on."""

    name: TargetName
    device: str
    default: PrecisionName
    variants: dict[PrecisionName, Variant]
    """The graph that each precision starts from."""
    runtime: RuntimeName | None
    """What builds its engines in this version; None where graphs are as far as it goes."""
    impossible: dict[PrecisionName, str]
    """Precisions that this hardware can't compute in, and why."""


_GPU_VARIANTS: dict[PrecisionName, Variant] = {"fp16": "fp16"}
_GPU_IMPOSSIBLE: dict[PrecisionName, str] = {
    "fp32": "GPU graphs keep attention as one operator, which has no FP32 kernel",
    "int8": "INT8 is this project's CPU precision",
}

TARGETS: dict[TargetName, Target] = {
    "cpu": Target(
        name="cpu",
        device="x86-64 or Arm",
        default="fp32",
        variants={"fp32": "fp32", "fp16": "fp16"},
        runtime="onnxruntime",
        impossible={"fp8": "CPUs have no FP8 arithmetic", "nvfp4": "CPUs have no FP4 arithmetic"},
    ),
    "sm_90": Target(
        name="sm_90",
        device="Hopper: H100, H200",
        default="fp16",
        variants=_GPU_VARIANTS,
        runtime=None,
        impossible={**_GPU_IMPOSSIBLE, "nvfp4": "Hopper has no FP4 tensor cores; SM_100 and SM_120 have"},
    ),
    "sm_100": Target("sm_100", "Blackwell: B200", "fp16", _GPU_VARIANTS, None, _GPU_IMPOSSIBLE),
    "sm_120": Target("sm_120", "Blackwell: RTX 50, RTX PRO", "fp16", _GPU_VARIANTS, None, _GPU_IMPOSSIBLE),
}
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)


def refusal(target: TargetName, precision: PrecisionName, *, graphs_only: bool = False) -> str | None:
    """Why this pair cannot be built, or None if it can; ``graphs_only`` asks for the export alone."""
    kind = TARGETS[target]
    if precision in kind.impossible:
        return kind.impossible[precision]
    if precision not in kind.variants:
        return "this version of hrm-trt does not quantise"
    if kind.runtime is None and not graphs_only:
        return f"this version of hrm-trt exports graphs for {target} (--until export) and has no TensorRT builder yet"
    return None
