"""What exists: targets, the precisions their hardware has, and the runtimes that run on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from export.contract import Variant

TargetName = Literal["cpu", "sm_90", "sm_100", "sm_120"]
PrecisionName = Literal["fp32", "fp16", "int8", "fp8", "nvfp4", "auto"]
RuntimeName = Literal["onnxruntime", "tensorrt", "tensorrt-rtx", "torch-tensorrt"]
QUANTISED: tuple[PrecisionName, ...] = ("int8", "fp8", "nvfp4", "auto")
"""The precisions of calibrated linears; what surrounds them stays in the graph's own type."""


@dataclass(frozen=True)
class Target:
    """One kind of machine that engines run on."""

    name: TargetName
    device: str
    default: PrecisionName
    variants: dict[PrecisionName, Variant]
    """The graph that each precision starts from."""
    runtimes: tuple[RuntimeName, ...]
    """What runs its engines; the first is taken where nothing else is asked for."""
    impossible: dict[PrecisionName, str]
    """Precisions that this hardware can't compute in, and why."""

    @property
    def compute_capability(self) -> str | None:
        """The GPU's, as NVIDIA and Triton write it (``sm_90`` is ``9.0``); None for a CPU."""
        number = self.name.removeprefix("sm_")
        return None if number == self.name else f"{number[:-1]}.{number[-1]}"


_GPU_VARIANTS: dict[PrecisionName, Variant] = {"fp16": "fp16", "fp8": "fp16", "nvfp4": "fp16", "auto": "fp16"}
_GPU_IMPOSSIBLE: dict[PrecisionName, str] = {
    "fp32": "GPU graphs keep attention as one operator, which has no FP32 kernel",
    "int8": "INT8 is this project's CPU precision",
}
_CLASSIC: tuple[RuntimeName, ...] = ("tensorrt", "torch-tensorrt")

TARGETS: dict[TargetName, Target] = {
    "cpu": Target(
        name="cpu",
        device="x86-64 or Arm",
        default="fp32",
        variants={"fp32": "fp32", "fp16": "fp16", "int8": "fp32"},
        runtimes=("onnxruntime",),
        impossible={
            "fp8": "CPUs have no FP8 arithmetic",
            "nvfp4": "CPUs have no FP4 arithmetic",
            "auto": "it chooses among precisions that CPUs don't have",
        },
    ),
    "sm_90": Target(
        name="sm_90",
        device="Hopper: H100, H200",
        default="fp16",
        variants={name: variant for name, variant in _GPU_VARIANTS.items() if name != "nvfp4"},
        runtimes=_CLASSIC,
        impossible={**_GPU_IMPOSSIBLE, "nvfp4": "Hopper has no FP4 tensor cores; SM_100 and SM_120 have"},
    ),
    "sm_100": Target("sm_100", "Blackwell: B200", "fp16", _GPU_VARIANTS, _CLASSIC, _GPU_IMPOSSIBLE),
    "sm_120": Target(
        "sm_120", "Blackwell: RTX 50, RTX PRO", "fp16", _GPU_VARIANTS, ("tensorrt-rtx", *_CLASSIC), _GPU_IMPOSSIBLE
    ),
}
PRECISIONS: tuple[PrecisionName, ...] = get_args(PrecisionName)


def refusal(target: TargetName, precision: PrecisionName, runtime: RuntimeName | None = None) -> str | None:
    """Why this cannot exist, or None if it can; without ``runtime`` it is asked of the target's own."""
    kind = TARGETS[target]
    if precision in kind.impossible:
        return kind.impossible[precision]
    if runtime is not None and runtime not in kind.runtimes:
        return f"{runtime} does not run on {target}; {', '.join(kind.runtimes)} does"
    if runtime == "torch-tensorrt" and precision != "fp16":
        return "torch-tensorrt compiles the FP16 network; low precision is placed in graphs, which it does not read"
    return None


def formats(target: TargetName) -> tuple[Literal["nvfp4", "fp8"], ...]:
    """The low precisions that this hardware has, the narrowest first."""
    return tuple(name for name in ("nvfp4", "fp8") if name in TARGETS[target].variants)
