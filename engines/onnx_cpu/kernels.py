"""All passes of this package over one graph, in order, each counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

from engines.onnx_cpu.attention import fuse_attention
from engines.onnx_cpu.links import DOMAIN
from engines.onnx_cpu.norms import fuse_norms
from engines.onnx_cpu.projections import split_projections
from export.contract import PUZZLE_TABLE_LIMIT
from export.passes.expect import expect
from export.passes.unused import drop_unused
from export.refine import census
from hrm.config import HRMConfig

if TYPE_CHECKING:
    from onnx import ModelProto

    from export.metadata import GraphMetadata


def use_kernels(model: ModelProto, metadata: GraphMetadata) -> None:
    """Rewrite a float32 graph, or one with INT8 in it, in place; its inputs and outputs stay as they are.

    Raises:
        ExportError: a pass fired another number of times than the architecture says.
    """
    config, graph = HRMConfig.from_dict(metadata.architecture), model.graph
    layers = census(config, metadata.module, PUZZLE_TABLE_LIMIT).attentions
    rotary = config.pos_encodings == "rope"
    expect("fuse_attention", fuse_attention(graph, config.num_heads, rotary=rotary), layers)
    expect("fuse_norms", fuse_norms(graph, config.hidden_size, config.rms_norm_eps), 2 * layers)
    expect("split_projections", split_projections(graph), 2 * layers)
    drop_unused(graph)
    if layers:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
