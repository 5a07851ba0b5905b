"""The ``torch`` runtime: the network itself behind the engines' protocol. It is the baseline of every gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engines.stepper import EngineStepper
from export.contract import PUZZLE_TABLE_LIMIT, signature
from hrm.network import Carry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from engines.protocol import Array
    from export.contract import Module
    from hrm.network import HRM


class TorchEngine:
    """One module of a network, run eagerly; its inputs and outputs are float32 whatever the network computes in."""

    def __init__(self, network: HRM, module: Module) -> None:
        # The network looks its puzzles up itself, however large the table is.
        limit = max(PUZZLE_TABLE_LIMIT, 4 * network.config.num_puzzle_identifiers * network.config.puzzle_emb_ndim)
        self.inputs, self.outputs = signature(network.config, "fp32", module, limit)
        self._dtype = network.H_init.dtype
        self._call = _CALLS[module]
        self._network = network

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``."""
        values = self._call(self._network, *(self._tensor(feeds[spec.name]) for spec in self.inputs))
        return {spec.name: value.to(torch.float32).numpy() for spec, value in zip(self.outputs, values, strict=True)}

    def _tensor(self, array: Array) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor


def torch_stepper(network: HRM, threads: int = 0) -> EngineStepper:
    """The network as something the ACT loop can step; ``threads`` holds for the whole process, 0 leaves it as it is."""
    if threads:
        torch.set_num_threads(threads)
    modules: tuple[Module, ...] = ("encoder", "segment")
    z_H, z_L = (state.to(torch.float32).numpy() for state in (network.H_init, network.L_init))
    return EngineStepper({module: TorchEngine(network, module) for module in modules}, (z_H, z_L), network.config)


def _encoder(network: HRM, inputs: Tensor, puzzle_identifiers: Tensor | None = None) -> tuple[Tensor, ...]:
    if puzzle_identifiers is None:  # the signature has none: the model has no puzzle embedding
        return (network.embed(inputs, None),)
    return (network.encode(inputs, puzzle_identifiers),)


def _executor(network: HRM, z_L: Tensor, z_H: Tensor, input_embeddings: Tensor) -> tuple[Tensor, ...]:
    return (network.execute(z_L, z_H, input_embeddings),)


def _planner(network: HRM, z_H: Tensor, z_L: Tensor) -> tuple[Tensor, ...]:
    planned = network.plan(z_H, z_L)
    return planned, *network.heads(planned)


def _segment(network: HRM, z_H: Tensor, z_L: Tensor, input_embeddings: Tensor) -> tuple[Tensor, ...]:
    carry, heads = network.segment(Carry(z_H, z_L), input_embeddings)
    return *carry, *heads


_CALLS: dict[Module, Callable[..., tuple[Tensor, ...]]] = {
    "encoder": _encoder,
    "executor": _executor,
    "planner": _planner,
    "segment": _segment,
}
