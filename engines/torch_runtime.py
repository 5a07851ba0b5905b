"""The ``torch`` runtime: the network itself behind the engines' protocol. It is the baseline of every gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engines.stepper import EngineStepper
from export.contract import PUZZLE_TABLE_LIMIT, signature
from export.reference import compute

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        self._module = module
        self._network = network

    @torch.inference_mode()
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``."""
        values = compute(
            self._network, self._module, {spec.name: self._tensor(feeds[spec.name]) for spec in self.inputs}
        )
        return {name: value.to(torch.float32).numpy() for name, value in values.items()}

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
