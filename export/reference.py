"""The network called as the contract calls its graphs: inputs by name in, outputs by name out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.network import Carry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from export.contract import Module
    from hrm.network import HRM


def compute(network: HRM, module: Module, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of ``module`` for ``feeds``, by the names of ``contract.signature``."""
    match module:
        case "encoder":
            return {"input_embeddings": _encode(network, **feeds)}
        case "executor":
            return {"z_L_out": network.execute(**feeds)}
        case "planner":
            z_H = network.plan(**feeds)
            return {"z_H_out": z_H, **network.heads(z_H)._asdict()}
        case "segment":
            carry, heads = network.segment(Carry(feeds["z_H"], feeds["z_L"]), feeds["input_embeddings"])
            return {"z_H_out": carry.z_H, "z_L_out": carry.z_L, **heads._asdict()}


def _encode(
    network: HRM, inputs: Tensor, puzzle_identifiers: Tensor | None = None, puzzle_embedding: Tensor | None = None
) -> Tensor:
    if puzzle_identifiers is None:
        return network.embed(inputs, puzzle_embedding)
    return network.encode(inputs, puzzle_identifiers)
