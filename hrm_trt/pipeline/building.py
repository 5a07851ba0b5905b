"""The build stage: one engine of one pair, and the reason where this machine cannot make it."""

from __future__ import annotations

from dataclasses import dataclass
from shutil import copyfile
from typing import TYPE_CHECKING, Any, cast

from hrm.errors import EngineError
from hrm.files import sha256_file, write_json
from hrm_trt.pipeline.stages import WEIGHTS
from hrm_trt.pipeline.store import Step

if TYPE_CHECKING:
    from pathlib import Path

    from engines.bundle import Profile
    from engines.tensorrt.options import BuilderOptions
    from export.contract import Module
    from hrm_trt.pipeline.recipe import Pair
    from hrm_trt.pipeline.store import Artefact, Store

_HERE = "hrm_trt.pipeline.building"
SIDECAR = ".json"
"""What ends the name of an engine's sidecar, after the engine's own."""


@dataclass(frozen=True)
class Order:
    """What engines of one pair are built with."""

    pair: Pair
    profile: Profile
    options: BuilderOptions
    loaded: Artefact | None
    """The checkpoint, for what is compiled from weights; a kit has none."""


def obstacle(pair: Pair) -> str | None:
    """Why this machine cannot build the engines of ``pair``; None where it can."""
    if pair.runtime == "onnxruntime":
        return None
    from engines.tensorrt.library import needs

    return needs(pair.runtime, pair.target)


def build(store: Store, graphs: Artefact, module: Module, order: Order, control: Artefact | None = None) -> Artefact:
    """One engine of ``module``.

    Args:
        store: keeps the artefact.
        graphs: where the module's graph is.
        module: which one.
        order: for what, and how.
        control: the FP16 engine of the same module, whose attention fusions a quantised one must keep.

    Raises:
        EngineError: the builder refuses the graph, or built something else than it asks for.
        MissingError: the builder is not installed.
    """
    name = f"{module}.onnx"
    graph = graphs.manifest.files[name].sha256
    label = f"{module} {order.pair}"
    looked_up = order.pair.runtime == "torch-tensorrt" and module == "encoder"  # there is nothing to compile in it
    if order.pair.runtime == "onnxruntime" or looked_up:
        return store.make(_onnxruntime_step(label, graph), lambda home: _optimise(graphs.path / name, home / name))
    if order.pair.runtime == "torch-tensorrt":
        return _torch_tensorrt(store, module, order)
    fused = None if control is None else _fused(control)

    def work(home: Path) -> Any:
        return _plan(graphs.path / name, home / f"{module}.plan", order, fused)

    return store.make(_plan_step(label, graph, order, fused), work)


def _torch_tensorrt(store: Store, module: Module, order: Order) -> Artefact:
    """What is compiled when it is opened: weights, and what PyTorch will run of them."""
    loaded = order.loaded
    if loaded is None:
        raise EngineError(
            f"{order.pair.runtime} cannot build the {module}",
            why="it compiles the network's weights, and there are graphs alone",
            hint="build from the checkpoint on the GPU machine",
        )
    file = f"{module}.safetensors"

    def work(home: Path) -> Any:
        from engines.torch_tensorrt import open_compiled

        copyfile(loaded.path / WEIGHTS, home / file)
        compiled = open_compiled(home / file, module, order.profile)
        write_json(home / f"{file}{SIDECAR}", {"format_version": 1, "fallbacks": compiled.fallbacks})
        return {"fallbacks": len(compiled.fallbacks)}

    inputs = {"checkpoint": loaded.digest, "module": module, "profile": order.profile.model_dump(mode="json")}
    code = ("engines.torch_tensorrt", _HERE)
    step = Step("build", f"{module} {order.pair}", inputs=inputs, code=code, libraries=("torch", "torch-tensorrt"))
    return store.make(step, work)


def engine_file(artefact: Artefact) -> str:
    """The name of the engine itself among an artefact's files."""
    return next(name for name in artefact.manifest.files if not name.endswith(SIDECAR))


def _onnxruntime_step(label: str, graph: str) -> Step:
    return Step(
        "build",
        label,
        inputs={"graph": graph, "runtime": "onnxruntime"},
        code=("engines.onnx_runtime", "engines.onnx_session", "engines.onnx_cpu", "export.passes", _HERE),
        libraries=("onnx", "onnxruntime"),
    )


def _optimise(graph: Path, engine: Path) -> None:
    from engines.onnx_runtime import build as optimise

    optimise(graph, engine)


def _plan_step(label: str, graph: str, order: Order, fused: int | None) -> Step:
    from engines.tensorrt.library import LIBRARIES

    options = order.options.model_dump(mode="json")
    if order.options.timing_cache is not None and order.options.timing_cache.is_file():
        options["timing_cache"] = sha256_file(order.options.timing_cache)
    inputs = {
        "graph": graph,
        "runtime": order.pair.runtime,
        "target": order.pair.target,
        "profile": order.profile.model_dump(mode="json"),
        "options": options,
        "fused attentions": fused,
    }
    code = ("engines.tensorrt", "export.quantise.asked", _HERE)
    return Step("build", label, inputs=inputs, code=code, libraries=(LIBRARIES[order.pair.runtime].package,))


def _plan(graph: Path, plan: Path, order: Order, fused: int | None) -> Any:
    from engines.tensorrt.build import build_plan

    sidecar = build_plan(
        graph,
        plan,
        runtime=order.pair.runtime,
        target=order.pair.target,
        profile=order.profile,
        options=order.options,
        fused_attentions=fused,
    )
    return sidecar.counts.model_dump(mode="json")


def _fused(control: Artefact) -> int:
    return cast("int", control.value["fused_attentions"])
