"""What FP8 and NVFP4 share in placing nodes: where they go, what they are called, and what they keep of the product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    import numpy.typing as npt

    from export.quantise.calibration import SiteAmax


class Linear(NamedTuple):
    """One linear of a graph, as it is before it is quantised."""

    site: str
    product: NodeProto
    """The ``MatMul`` of an activation [B, T, K] with the weight [K, N]."""
    weight: npt.NDArray[Any]
    amax: SiteAmax


class Placed(NamedTuple):
    """What stands in a graph in place of one linear's weight and before its product."""

    nodes: list[NodeProto]
    tensors: list[TensorProto]
    operands: tuple[str, str]
    """The product's, from now on."""


def node(linear: Linear, operand: str, step: str, operator: str, *inputs: str, **attributes: Any) -> NodeProto:
    """A node of one output for an operand of ``linear``, named after its product: ``node_linear/input/quantise``."""
    name = f"{linear.product.name}/{operand}/{step}"
    made = helper.make_node(operator, inputs, [name], name=name, **attributes)
    made.metadata_props.extend(linear.product.metadata_props)
    return made


def tensor(name: str, values: npt.ArrayLike) -> TensorProto:
    """A stored tensor; the same bytes for the same values."""
    return numpy_helper.from_array(np.asarray(values), name)
