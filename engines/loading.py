"""Bundles and graphs on disk, opened as something that the ACT loop can step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.onnx_runtime import OnnxRuntimeEngine
from engines.stepper import EngineStepper
from export.contract import CARRY, PUZZLE_TABLE
from hrm.config import HRMConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from engines.bundle import BundleManifest
    from engines.onnx_runtime import RuntimeOptions
    from engines.protocol import Engine
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
    stored = manifest.puzzle_table
    table = None if stored is None else root / stored.file
    return _stepper(engines, root / manifest.carry.file, manifest.architecture, table)


def load_graphs(
    root: Path, modules: Iterable[Module], architecture: Mapping[str, Any], options: RuntimeOptions
) -> EngineStepper:
    """Exported or quantised graphs in ``root`` as ONNX Runtime runs them on a CPU: what emulates a GPU's engines.

    Raises:
        EngineError: ONNX Runtime refuses a graph.
    """
    engines = {module: OnnxRuntimeEngine(root / f"{module}.onnx", options) for module in modules}
    table = root / PUZZLE_TABLE
    return _stepper(engines, root / CARRY, architecture, table if table.is_file() else None)


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


def _stepper(
    engines: Mapping[Module, Engine], carry: Path, architecture: Mapping[str, Any], table: Path | None
) -> EngineStepper:
    with np.load(carry, allow_pickle=False) as stored:
        states = stored["z_H"], stored["z_L"]
    rows = None if table is None else np.load(table, mmap_mode="r", allow_pickle=False)
    return EngineStepper(engines, states, HRMConfig.from_dict(dict(architecture)), rows)
