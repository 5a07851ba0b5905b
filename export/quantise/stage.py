"""The stages that write quantised graphs, and their twins for a CPU: every file of an export, in a new directory."""

from __future__ import annotations

import shutil
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from export.contract import CARRY, LOWERINGS, PUZZLE_TABLE, PUZZLE_TABLE_LIMIT, Module
from export.metadata import read_graph, read_metadata, stamp
from export.models import check_model, segment_model, write_graph
from export.passes.attention import count_attention
from export.passes.expect import expect
from export.quantise.asked import asked, count_precisions
from export.quantise.place import quantise_graph
from export.quantise.sites import LOW, quantised
from export.quantise.twin import simulate
from export.refine import census
from hrm.config import HRMConfig
from hrm.errors import from_os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from onnx import ModelProto

    from export.metadata import GraphMetadata
    from export.quantise.calibration import Calibration
    from export.quantise.sites import Assignment

_TRACED: tuple[Module, ...] = ("executor", "planner")
_QUANTISED: tuple[Module, ...] = (*_TRACED, "segment")
_COPIED = ("encoder.onnx", CARRY, PUZZLE_TABLE)
"""No layer is quantised in these; the last is not always there."""
_PLANNER = "H_level."


def write_quantised(
    directory: Path,
    source: Path,
    assignment: Assignment,
    calibration: Calibration,
    *,
    progress: Callable[[str], None],
    weights: Mapping[str, npt.NDArray[np.float16]] = MappingProxyType({}),
) -> dict[str, dict[str, int]]:
    """Write the graphs of ``source`` with low precision where ``assignment`` has it.

    Args:
        directory: gets files of the same names, called in the same way.
        source: what ``export.stage.write_export`` wrote, in the type that surrounds the precisions.
        assignment: precisions by site, of the executor, the planner or both.
        calibration: the maxima of every assigned site.
        progress: called with the name of each module before work on it begins.
        weights: what to round in place of the graphs' own weights, [out, in] by site.

    Returns:
        By module, how many products with a weight there are in each precision, and the ``bytes`` of its file.

    Raises:
        BundleError: a graph of ``source`` cannot be read.
        CalibrationError: a site was not calibrated, or to a maximum that no scale can be made from.
        ExportError: a site is none of the network's, or too odd in size for its precision.
        StorageError: the disk is full or failing.
    """
    metadata = {module: read_metadata(source / f"{module}.onnx") for module in _QUANTISED}
    config = HRMConfig.from_dict(metadata["executor"].architecture)
    models = {module: read_graph(source / f"{module}.onnx") for module in _TRACED}
    for module, part in zip(_TRACED, _parts(assignment), strict=True):
        progress(module)
        quantise_graph(models[module], part, calibration, weights)
    progress("segment")
    models["segment"] = segment_model(models["executor"], models["planner"], config, metadata["segment"].variant)
    for module, model in models.items():
        _count(model, config, metadata[module], assignment)
        _stamp(model, metadata[module])
        check_model(model, module)
        write_graph(model, directory / f"{module}.onnx")
    _copy(directory, source)
    return {module: _described(directory / f"{module}.onnx") for module in get_args(Module)}


def write_twin(directory: Path, source: Path, *, progress: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """Write what computes on a CPU what the quantised graphs of ``source`` compute on a GPU.

    Args:
        directory: gets files of the same names, called in the same way.
        source: what ``write_quantised`` wrote.
        progress: called with the name of each module before work on it begins.

    Returns:
        By module, the record of its rewrite: see ``simulate``.

    Raises:
        BundleError: a graph of ``source`` cannot be read.
        ExportError: NVFP4 is not in the form that ``quantise_graph`` places it in.
        StorageError: the disk is full or failing.
    """
    records: dict[str, dict[str, Any]] = {}
    for module in _QUANTISED:
        progress(module)
        twin, records[module] = simulate(read_graph(source / f"{module}.onnx"))
        check_model(twin, module)
        write_graph(twin, directory / f"{module}.onnx")
    _copy(directory, source)
    return records


def _parts(assignment: Assignment) -> tuple[Assignment, Assignment]:
    """What of ``assignment`` is the executor's and the planner's; what is neither's is for the executor to refuse."""
    planner = {site: precision for site, precision in assignment.items() if site.startswith(_PLANNER)}
    return {site: precision for site, precision in assignment.items() if site not in planner}, planner


def _count(model: ModelProto, config: HRMConfig, metadata: GraphMetadata, assignment: Assignment) -> None:
    """Check that a finished graph asks for what ``assignment`` says, as often as its module calls each linear."""
    wanted = census(config, metadata.module, PUZZLE_TABLE_LIMIT)
    attention = LOWERINGS[metadata.variant].attention_op
    expect("count_attention", count_attention(model.graph, attention), wanted.attentions)
    found = count_precisions(model.graph)
    expect("asked", sum(found.values()), wanted.linears)
    executor, planner = (len(quantised(part)) for part in _parts(assignment))
    calls = {
        "executor": executor,
        "planner": planner,
        "segment": config.H_cycles * (config.L_cycles * executor + planner),
    }
    expect("quantise_graph", sum(found.get(precision, 0) for precision in LOW), calls[metadata.module])


def _stamp(model: ModelProto, metadata: GraphMetadata) -> None:
    found = quantised({product.site: product.precision for product in asked(model.graph)})
    stamp(model, metadata.model_copy(update={"quantised": found}))


def _copy(directory: Path, source: Path) -> None:
    for name in _COPIED:
        if (source / name).is_file():
            try:
                shutil.copyfile(source / name, directory / name)
            except OSError as error:
                raise from_os_error(error, directory / name) from error


def _described(path: Path) -> dict[str, int]:
    counts = {str(precision): n for precision, n in count_precisions(read_graph(path).graph).items()}
    return counts | {"bytes": path.stat().st_size}
