"""Low precision placed in an exported graph: the linears that an assignment names, and nothing else."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from onnx import helper, numpy_helper

from export.passes.expect import expect
from export.passes.unused import drop_unused
from export.passes.weights import linears
from export.quantise.asked import count_precisions, site_of
from export.quantise.calibration import check_calibration
from export.quantise.fp8 import place_fp8
from export.quantise.int8 import place_int8
from export.quantise.nodes import Linear
from export.quantise.nvfp4 import DOMAIN, place_nvfp4
from export.quantise.sites import ROLES, quantised
from hrm.errors import CalibrationError, ExportError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    import numpy.typing as npt
    from onnx import GraphProto, ModelProto, NodeProto

    from export.quantise.calibration import Calibration
    from export.quantise.nodes import Placed
    from export.quantise.sites import Assignment, SitePrecision

_PLACE = {"int8": place_int8, "fp8": place_fp8, "nvfp4": place_nvfp4}
_AROUND = {"int8": "float32", "fp8": "float16", "nvfp4": "float16"}
"""The type of the graph that each precision is placed in."""
_SITE = re.compile(rf"[HL]_level\.layers\.\d+\.({'|'.join(map(re.escape, ROLES))})")
_IR_WITH_E2M1 = 11


def quantise_graph(
    model: ModelProto,
    assignment: Assignment,
    calibration: Calibration,
    weights: Mapping[str, npt.NDArray[np.float16]] = MappingProxyType({}),
) -> dict[SitePrecision, int]:
    """Quantise the linears of an executor or planner in place; its inputs and outputs stay as they are.

    INT8 goes into float32 graphs, FP8 and NVFP4 into float16 ones.

    Args:
        model: as exported, with no quantised linear yet.
        assignment: what each site of it computes in; sites that are not named stay as they are.
        calibration: the maxima of each assigned site.
        weights: what to round in place of the graph's own weights, [out, in] by site.

    Returns:
        How many linears compute in each precision; the planner's logits are one, never quantised.

    Raises:
        CalibrationError: a site was not calibrated, or to a maximum that no scale can be made from.
        ExportError: a site is none of this graph's, or too odd in size for its precision.
    """
    check_calibration(calibration)
    chosen = quantised(assignment)
    products = linears(model.graph)
    found = {site_of(node.input[1]): node for node in products}
    expect("linears", len(found), len(products))  # a segment has several products of one weight
    _check_sites(chosen, found, calibration)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    placed = {}
    for site, precision in chosen.items():
        product = found[site]
        weight = weights[site].T if site in weights else numpy_helper.to_array(stored[product.input[1]])
        _check_type(site, precision, weight)
        placed[product.name] = _PLACE[precision](Linear(site, product, weight, calibration.sites[site]))
    expect("quantise_graph", _replace(model.graph, placed), len(chosen))
    if "nvfp4" in chosen.values():
        _allow_nvfp4(model)
    return count_precisions(model.graph)


def _check_sites(chosen: Mapping[str, SitePrecision], found: Collection[str], calibration: Calibration) -> None:
    for site in chosen:
        if not _SITE.fullmatch(site):
            raise ExportError(
                f"{site} cannot be quantised",
                why="only the linears of executor and planner layers are: heads and embeddings decide the answer",
                hint=f"name sites like L_level.layers.0.{next(iter(ROLES))}",
            )
        if site not in found:
            raise ExportError(
                f"{site} cannot be quantised",
                why=f"the graph has no such linear; it has {', '.join(found)}",
                hint="name a site of this checkpoint, and of the module that is quantised",
            )
        if site not in calibration.sites:
            raise CalibrationError(
                f"{site} cannot be quantised",
                why=f"it was not calibrated; calibrated are: {', '.join(calibration.sites) or 'none'}",
                hint="calibrate the modules that are to be quantised",
            )


def _check_type(site: str, precision: SitePrecision, weight: npt.NDArray[Any]) -> None:
    if weight.dtype != _AROUND[precision]:
        raise ExportError(
            f"{site} cannot be quantised",
            why=f"its graph computes in {weight.dtype}, and what surrounds {precision} is {_AROUND[precision]}",
            hint="quantise the graphs of the other variant",
        )


def _replace(graph: GraphProto, placed: Mapping[str, Placed]) -> int:
    """Put ``placed`` before the products of its names; returns how many were found."""
    nodes: list[NodeProto] = []
    fired = 0
    for node in graph.node:
        if node.name in placed:
            nodes.extend(placed[node.name].nodes)
            node.input[:] = placed[node.name].operands
            fired += 1
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for new in placed.values() for tensor in new.tensors)
    drop_unused(graph)
    return fired


def _allow_nvfp4(model: ModelProto) -> None:
    """Declare what NVFP4 nodes are written in."""
    model.ir_version = max(model.ir_version, _IR_WITH_E2M1)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
