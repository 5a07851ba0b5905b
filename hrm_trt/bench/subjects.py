"""What can be measured of a checkpoint on this machine, and why the rest cannot.

A runtime is one entry of ``SOURCES``: a function from the material to subjects, and to refusals with their reasons. A
subject is opened in a process of its own, so what opens it has to be picklable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engines.runtimes import NETWORK_RUNTIMES, obstacle, without_onnx_cuda
from engines.targets import TARGETS
from engines.tensorrt.library import LIBRARIES, lacks
from hrm_trt.bench.document import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from engines.act import Stepper
    from engines.bundle import Range
    from engines.runtimes import NetworkRuntime
    from engines.torch_runtime import DeviceName
    from hrm.checkpoint import Located
    from hrm_trt.bench.material import Material
    from hrm_trt.pipeline.models import Model


TORCH: NetworkRuntime = "torch"


class Opener(Protocol):
    """Opens a subject; a value that can be pickled."""

    def __call__(self, threads: int) -> Stepper:
        """The engines, ready to be called, on ``threads`` threads.

        Raises:
            HrmTrtError: they cannot be opened.
        """


@dataclass(frozen=True)
class Subject:
    """Something that solves puzzles: engines of one precision in one runtime, or PyTorch itself."""

    runtime: str
    target: str
    precision: str
    topology: str
    open: Opener
    model: str | None = None
    """The bundle's name, where it is one."""
    batches: Range | None = None
    """The batches that it was built for; None where it takes any."""


Source = Callable[["Material"], Iterable[Subject | Refused]]


class Found(NamedTuple):
    """What is measured, and what is not."""

    subjects: tuple[Subject, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class NetworkOpener:
    """The checkpoint as one of PyTorch's runtimes runs it, in float32 on the CPU."""

    runtime: NetworkRuntime
    weights: Located
    dataset: Path | None
    """Gives the sequence length where the checkpoint does not."""

    def __call__(self, threads: int) -> Stepper:
        """Read the checkpoint and make the network."""
        from engines.runtimes import open_network
        from hrm.checkpoint.loading import load, network

        return open_network(self.runtime, network(load(self.weights, self.dataset)), threads=threads)


@dataclass(frozen=True)
class BundleOpener:
    """A bundle's engines, digests checked."""

    model: Model
    resident: DeviceName | None = None
    """Where ONNX engines keep their carry in tensors; None for numpy arrays."""

    def __call__(self, threads: int) -> Stepper:
        """Load the engines."""
        from engines.onnx_session import RuntimeOptions

        return self.model.open(RuntimeOptions(threads=threads), self.resident)


def networks(material: Material) -> Iterator[Subject | Refused]:
    """PyTorch itself, what every engine is compared with, and what compiles or replaces its operators."""
    for runtime in NETWORK_RUNTIMES:
        why = obstacle(runtime)
        if why is None and runtime == "transformer-engine":
            why = "this benchmark runs checkpoints on the CPU"
        if why is None and material.weights is None:
            why = f"the checkpoint of {material.name} is not here: pass --checkpoint"
        if why is not None or material.weights is None:
            yield Refused(runtime=runtime, target="cpu", precision="fp32", reason=str(why))
            continue
        yield Subject(runtime, "cpu", "fp32", "segment", NetworkOpener(runtime, material.weights, material.dataset))


def bundles(material: Material) -> Iterator[Subject | Refused]:
    """Every bundle, in the runtime that it was built for; ONNX engines on CUDA too."""
    for model in _distinct(material.models):
        runtime, target = model.manifest.runtime, model.manifest.target
        yield _measured(model, target, BundleOpener(model), _obstacle(runtime, target))
        if runtime == "onnxruntime":
            yield _measured(model, "cuda", BundleOpener(model, "cuda"), without_onnx_cuda())


def not_built(material: Material) -> Iterator[Refused]:
    """Every runtime and target that no bundle is for."""
    built = {(model.manifest.runtime, model.manifest.target) for model in material.models}
    for name, target in TARGETS.items():
        for runtime in target.runtimes:
            if (runtime, name) not in built:
                why = _obstacle(runtime, name) or (
                    f"no bundle of this checkpoint: `hrm-trt build --target {name} --runtime {runtime}` makes one"
                )
                yield Refused(runtime=runtime, target=name, precision=target.default, reason=why)


SOURCES: tuple[Source, ...] = (networks, bundles, not_built)
"""In the order in which their subjects take turns."""


def find(material: Material, runtimes: Sequence[str] = (), sources: Sequence[Source] = SOURCES) -> Found:
    """All subjects of ``material``, and all that is refused; with ``runtimes``, of these alone."""
    found = [each for source in sources for each in source(material) if not runtimes or each.runtime in runtimes]
    return Found(
        tuple(each for each in found if isinstance(each, Subject)),
        tuple(each for each in found if isinstance(each, Refused)),
    )


def _distinct(models: Iterable[Model]) -> Iterable[Model]:
    """The first model of each bundle, which may have other names."""
    found: dict[str, Model] = {}
    for model in models:
        found.setdefault(model.manifest.digest, model)
    return found.values()


def _measured(model: Model, target: str, opener: BundleOpener, why: str | None) -> Subject | Refused:
    """A bundle on ``target``, unless there is a reason ``why`` it cannot run there."""
    manifest = model.manifest
    if why is not None:
        return Refused(runtime=manifest.runtime, target=target, precision=manifest.precision, reason=why)
    return Subject(
        manifest.runtime,
        target,
        manifest.precision,
        manifest.topology,
        opener,
        model.name,
        manifest.profile.batch,
    )


def _obstacle(runtime: str, target: str) -> str | None:
    """Why this machine cannot run a bundle; None where it can."""
    return lacks(runtime, target) if runtime in LIBRARIES else obstacle("onnxruntime")
