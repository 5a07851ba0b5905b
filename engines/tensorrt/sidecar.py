"""What lies beside every plan: where it came from, what it runs on, and what the builder said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from engines.bundle import Profile
from engines.tensorrt.listing import IoTensor, Layer
from engines.tensorrt.options import BuilderOptions
from engines.tensorrt.request import Shapes
from export.contract import Module, TensorSpec
from hrm.documents import Document
from hrm.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


class Gemm(Document):
    """One product with a stored weight: what the graph asks for and what the plan computes."""

    node: str
    site: str
    asked: str
    got: str
    """A precision, or the types of both operands where they differ; ``nothing`` where no layer is known to do it."""
    layer: str


class Counts(Document):
    """How much of the plan computes in what."""

    fp8_gemms: int
    fp4_gemms: int
    fp16_gemms: int
    fused_attentions: int


class Sidecar(Document):
    """The evidence for one plan."""

    format_version: Literal[1] = 1
    runtime: str
    version: str
    """Of the library that built it, and that must load it."""
    target: str
    module: Module
    graph: str
    """Digest of the ONNX file that it was built from."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profile: Profile
    shapes: dict[str, Shapes]
    """The profile as shapes of the inputs."""
    options: BuilderOptions
    counts: Counts
    gemms: tuple[Gemm, ...]
    layers: tuple[Layer, ...]
    tensors: tuple[IoTensor, ...]
    """Inputs and outputs as the builder names them."""
    weight_bytes: int | None
    activation_bytes: int | None
    """GPU memory beside the weights, at the largest shapes."""
    plan_bytes: int
    peak_build_bytes: int
    """The most main memory that the builder had at once."""
    seconds: float
    timing_cache_before: str | None = None
    """Digest of the timing cache that the build started with."""
    timing_cache_after: str | None = None


def sidecar_path(plan: Path) -> Path:
    """Where the sidecar of ``plan`` lies."""
    return plan.with_name(f"{plan.name}.json")


def read_sidecar(plan: Path) -> Sidecar:
    """The sidecar of ``plan``.

    Raises:
        BundleError: there is none, or it is not one of this version's.
    """
    path = sidecar_path(plan)
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(
            f"{path} does not tell what {plan.name} is",
            why=str(error).strip().partition("\n")[0],
            hint="build the engine again with this version of hrm-trt",
        ) from error
