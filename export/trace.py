"""PyTorch to ONNX: one traced module as the exporter writes it."""

from __future__ import annotations

import contextlib
import logging
import warnings
from typing import TYPE_CHECKING, cast

import torch
from torch.export import Dim

from export.contract import LOWERINGS, Signature, TensorSpec, Variant, puzzle_input, signature
from export.faults import fault
from export.modules import TracedModule, traceable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from hrm.config import HRMConfig
    from hrm.network import HRM

_EXPORTER_LOG = "torch.onnx._internal.exporter._registration"
_EXPORTER_WARNINGS = (
    "# The axis name: .* will not be used",  # two inputs share an axis: that is what the contract says
    r".*isinstance\(treespec, LeafSpec\).*",  # torch.onnx's own use of a name that torch deprecates
)


def trace(network: HRM, variant: Variant, module: TracedModule, table_limit: int) -> onnx.ModelProto:
    """``module`` of a float32 ``network`` in ONNX, untouched by any pass.

    Raises:
        ExportError: PyTorch's exporter failed.
    """
    config, lowering = network.config, LOWERINGS[variant]
    wanted = signature(config, variant, module, table_limit)
    model = traceable(network, getattr(torch, lowering.dtype), module, puzzle_input(config, table_limit))
    try:
        with _quietly():
            program = torch.onnx.export(
                model,
                _example(config, wanted),
                dynamo=True,
                opset_version=lowering.opset,
                input_names=[spec.name for spec in wanted.inputs],
                output_names=[spec.name for spec in wanted.outputs],
                dynamic_shapes=_dynamic_shapes(config, wanted),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise fault(f"PyTorch cannot export the {module}", str(error).strip().partition("\n")[0]) from error
    return cast("torch.onnx.ONNXProgram", program).model_proto  # None only for the exporter without dynamo


def _example(config: HRMConfig, wanted: Signature) -> tuple[torch.Tensor, ...]:
    sizes = {"batch": 2, "sequence": min(2, config.seq_len)}
    sizes["tokens"] = sizes["sequence"] + config.puzzle_emb_len

    def tensor(spec: TensorSpec) -> torch.Tensor:
        shape = [sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape]
        return torch.zeros(shape, dtype=getattr(torch, spec.dtype))

    return tuple(tensor(spec) for spec in wanted.inputs)


def _dynamic_shapes(config: HRMConfig, wanted: Signature) -> tuple[dict[int, Dim], ...]:
    # Positions end with the checkpoint's: the rotary table and the learned one are `config.tokens` long.
    dims = {
        "batch": Dim("batch", min=1),
        "sequence": Dim("sequence", min=1, max=config.seq_len),
        "tokens": Dim("tokens", min=1 + config.puzzle_emb_len, max=config.tokens),
    }
    return tuple(
        {position: dims[axis] for position, axis in enumerate(spec.shape) if isinstance(axis, str)}
        for spec in wanted.inputs
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the exporter says about its own internals from the user's terminal."""
    log = logging.getLogger(_EXPORTER_LOG)
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of each operator of torchvision, which nothing here uses
    try:
        with warnings.catch_warnings():
            for message in _EXPORTER_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        log.setLevel(level)
