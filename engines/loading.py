"""Bundles and graphs on disk, opened as something that the ACT loop can step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engines.onnx_runtime import OnnxRuntimeEngine
from engines.runtimes import obstacle, without_onnx_cuda
from engines.stepper import EngineStepper
from export.contract import CARRY, PUZZLE_TABLE
from hrm.config import HRMConfig
from hrm.errors import EngineError, MissingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from engines.bundle import BundleManifest
    from engines.onnx_session import RuntimeOptions
    from engines.protocol import Array, Engine
    from engines.torch_runtime import DeviceName
    from export.contract import Module


def load_engines(root: Path, manifest: BundleManifest, options: RuntimeOptions) -> EngineStepper:
    """The engines of ``manifest``, whose files lie below ``root``.

    Raises:
        EngineError: the runtime refuses an engine.
        MissingError: this machine lacks the runtime, or the GPU that the engines are for.
    """
    engines = {
        engine.module: _open(root / engine.file, engine.module, manifest, options) for engine in manifest.engines
    }
    return EngineStepper(engines, *_bundled(root, manifest))


def load_resident(root: Path, manifest: BundleManifest, options: RuntimeOptions, device: DeviceName) -> EngineStepper:
    """The ONNX engines of ``manifest``, bound to memory on ``device``, with the carry in PyTorch's tensors there.

    Raises:
        EngineError: the engines are not ONNX Runtime's, or it would compute some of a graph elsewhere.
        MissingError: this machine lacks PyTorch, or what CUDA takes.
    """
    if manifest.runtime != "onnxruntime":
        raise EngineError(
            f"{manifest.name} cannot be run by ONNX Runtime",
            why=f"its engines are for {manifest.runtime} on {manifest.target}",
            hint="bundles for the target cpu have ONNX engines",
        )
    reason = without_onnx_cuda() if device == "cuda" else obstacle("torch")
    if reason is not None:
        raise MissingError(
            f"{manifest.name} cannot run here with its carry on {device}",
            why=reason,
            hint="`hrm-trt doctor` lists what this machine can run",
        )
    from engines.onnx_bound import bound_stepper

    paths = {engine.module: root / engine.file for engine in manifest.engines}
    return bound_stepper(paths, *_bundled(root, manifest), options, device)


def load_graphs(
    root: Path, modules: Iterable[Module], architecture: Mapping[str, Any], options: RuntimeOptions
) -> EngineStepper:
    """Exported or quantised graphs in ``root`` as ONNX Runtime runs them on a CPU: what emulates a GPU's engines.

    Raises:
        EngineError: ONNX Runtime refuses a graph.
    """
    engines = {module: OnnxRuntimeEngine(root / f"{module}.onnx", options) for module in modules}
    table = root / PUZZLE_TABLE
    return EngineStepper(engines, *_stored(root / CARRY, architecture, table if table.is_file() else None))


def _open(path: Path, module: Module, manifest: BundleManifest, options: RuntimeOptions) -> Engine:
    if path.suffix == ".plan":
        from engines.tensorrt.runtime import TensorRTEngine

        return TensorRTEngine(path)
    if path.suffix == ".onnx":
        return OnnxRuntimeEngine(path, options)
    return _compile(path, module, manifest)


def _compile(weights: Path, module: Module, manifest: BundleManifest) -> Engine:
    """An engine that is compiled anew in every process, from the network's weights."""
    from engines.torch_tensorrt import open_compiled

    return open_compiled(weights, module, manifest.profile)


class _Stored(NamedTuple):
    """What a stepper needs beside its engines."""

    carry: tuple[Array, Array]
    config: HRMConfig
    puzzle_table: Array | None


def _bundled(root: Path, manifest: BundleManifest) -> _Stored:
    table = manifest.puzzle_table
    return _stored(root / manifest.carry.file, manifest.architecture, None if table is None else root / table.file)


def _stored(carry: Path, architecture: Mapping[str, Any], table: Path | None) -> _Stored:
    with np.load(carry, allow_pickle=False) as stored:
        states = stored["z_H"], stored["z_L"]
    rows = None if table is None else np.load(table, mmap_mode="r", allow_pickle=False)
    return _Stored(states, HRMConfig.from_dict(dict(architecture)), rows)
