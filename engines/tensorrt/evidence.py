"""What the graph asks for against what the plan does: no GEMM and no attention falls back in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.tensorrt.sidecar import Counts, Gemm
from export.quantise.asked import asked, attentions
from hrm.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from onnx import GraphProto

    from engines.tensorrt.listing import Layer
    from export.quantise.asked import AskedGemm

_GEMMS = {"gemm", "matrixmultiply", "matrix_multiply", "fullyconnected"}
"""What products are called among layers; ``gemm`` by both libraries since TensorRT 10."""
_ATTENTION = "mha"
"""In the name of every kernel that is a whole attention."""
_PRECISIONS = {"fp4": "nvfp4"}
_LOW = ("fp8", "nvfp4")
_NAMED = 6
"""How many layers a message names."""


def compare(graph: GraphProto, layers: Sequence[Layer], quantised: Mapping[str, str]) -> tuple[Gemm, ...]:
    """Every product of ``graph``, with the layer that computes it.

    Args:
        graph: what was built.
        layers: what came of it.
        quantised: what was asked for by site, whatever has become of the graph since.
    """
    return tuple(_gemm(product, quantised, _computing(product.node, layers)) for product in asked(graph))


def count(layers: Sequence[Layer]) -> Counts:
    """How many products of each precision and how many fused attentions the plan has."""
    computed = [_precision(layer) for layer in layers if is_gemm(layer)]
    return Counts(
        fp8_gemms=computed.count("fp8"),
        fp4_gemms=computed.count("nvfp4"),
        fp16_gemms=computed.count("fp16"),
        fused_attentions=sum(map(is_attention, layers)),
    )


def check(graph: GraphProto, layers: Sequence[Layer], gemms: Iterable[Gemm], fused_attentions: int | None) -> None:
    """Refuse a plan that does less in low precision, or fuses less, than it should.

    Args:
        graph: what was asked for.
        layers: what was built.
        gemms: both, compared.
        fused_attentions: how many attentions the unquantised engine fuses; all of the graph's where it is not known.

    Raises:
        EngineError: naming the layers.
    """
    lost = [gemm for gemm in gemms if gemm.asked in _LOW and gemm.got != gemm.asked]
    if lost:
        raise EngineError(
            f"the plan of the {graph.name} computes {len(lost)} products in another precision than the graph asks for",
            why=_some(f"{gemm.node} ({gemm.site}): asked {gemm.asked}, got {gemm.got}" for gemm in lost),
            hint="quantise the graph again; if it stays so, choose fp16 for these layers with `precision: auto`",
        )
    wanted = attentions(graph)
    needed = len(wanted) if fused_attentions is None else fused_attentions
    fused = [layer for layer in layers if is_attention(layer)]
    if len(fused) < needed:
        origins = {node for layer in fused for node in layer.nodes}
        apart = [node for node in wanted if node not in origins]
        raise EngineError(
            f"the plan of the {graph.name} fuses {len(fused)} attentions, and should fuse {needed}",
            why=f"computed in pieces: {_some(apart) or 'some that the graph does not have as one node'}",
            hint="nothing may stand inside an attention, Q/DQ least of all: export and quantise the graph again",
        )


def is_gemm(layer: Layer) -> bool:
    """Whether ``layer`` is a matrix product."""
    return layer.kind.lower() in _GEMMS


def is_attention(layer: Layer) -> bool:
    """Whether ``layer`` is an attention in one kernel."""
    return _ATTENTION in f"{layer.name} {layer.tactic}".lower()


def _computing(node: str, layers: Sequence[Layer]) -> list[Layer]:
    """The layers that multiply for ``node``: the products among those that came from it, or one fused into more."""
    origins = [layer for layer in layers if node in layer.nodes and layer.constants]
    return list(filter(is_gemm, origins)) or origins[:1]


def _gemm(product: AskedGemm, quantised: Mapping[str, str], layers: Sequence[Layer]) -> Gemm:
    return Gemm(
        node=product.node,
        site=product.site,
        asked=quantised.get(product.site, product.precision),
        got=", ".join(dict.fromkeys(map(_precision, layers))) or "nothing",
        layer=", ".join(layer.name for layer in layers),
    )


def _precision(layer: Layer) -> str:
    """The types of what ``layer`` multiplies: its first input with its first matrix of weights, else its second input.

    A product of two activations, as an attention in pieces has, has no such weights.
    """
    operands = [*layer.inputs[:1], *(each for each in layer.constants if _is_matrix(each.shape)), *layer.inputs[1:]]
    types = [_PRECISIONS.get(each.type, each.type) for each in operands[:2]]
    return "×".join(dict.fromkeys(types)) or "nothing"


def _is_matrix(shape: Sequence[int]) -> bool:
    return sum(size != 1 for size in shape) > 1


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    more = f", and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
