"""The ``torch`` runtime: the network itself behind the engines' protocol, on a CPU or a GPU.

With numpy arrays in and out it is the baseline of every gate (``torch_stepper``); with tensors in and out the carry
stays where the network computes (``tensor_stepper``).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

import torch

from engines.stepper import EngineStepper
from engines.torch_arrays import TorchArrays
from engines.torch_stepper import ResidentStepper
from export.contract import PUZZLE_TABLE_LIMIT, Signature, signature
from export.reference import compute
from hrm.errors import EngineError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from engines.protocol import Array
    from export.contract import Module, TensorSpec
    from hrm.network import HRM

DeviceName = Literal["cpu", "cuda"]
Call = Callable[[dict[str, "Tensor"]], dict[str, "Tensor"]]
"""A module's outputs for its inputs, by the names of ``export.contract.signature``."""
MODULES: tuple[Module, ...] = ("encoder", "segment")
"""What a network is run by."""
_FAULTS = (IndexError, RuntimeError, ValueError)
"""Every exception by which PyTorch says no: a number outside a table, and anything else."""
_HEADS = ("logits", "q_halt", "q_continue")
"""float32 in whatever type the network computes."""


class TensorEngine:
    """One module of a network; takes arrays or tensors, and gives tensors on the network's device.

    Args:
        network: in the type that states and embeddings have.
        module: which part of it.
        call: what computes the module in place of the network's own methods.
    """

    def __init__(self, network: HRM, module: Module, call: Call | None = None) -> None:
        self.inputs, self.outputs = _signature(network, module)
        self._arrays = TorchArrays(network.H_init.device)
        self._call = call or _eager(network, module)
        self._dtype = network.H_init.dtype
        self._module = module

    @torch.no_grad()
    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: wrong shapes, unknown tokens, or the device has too little memory.
        """
        tensors = {spec.name: self._tensor(feeds[spec.name]) for spec in self.inputs}
        try:
            values = self._call(tensors)
        except _FAULTS as error:
            shapes = {name: f"{tensor.dtype}{list(tensor.shape)}" for name, tensor in tensors.items()}
            raise EngineError(
                f"PyTorch failed to compute the {self._module} from {shapes}",
                why=str(error).strip().partition("\n")[0],
                hint="where memory is short, solve smaller batches",
            ) from error
        return {name: cast("Array", value.float() if name in _HEADS else value) for name, value in values.items()}

    def _tensor(self, array: Array) -> Tensor:
        tensor = self._arrays.tensor(array)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor


class TorchEngine:
    """One module of a network, run eagerly; its inputs and outputs are float32 whatever the network computes in."""

    def __init__(self, network: HRM, module: Module) -> None:
        self._engine = TensorEngine(network, module)
        self._arrays = TorchArrays(network.H_init.device)
        self.inputs, self.outputs = (tuple(map(_float32, specs)) for specs in _signature(network, module))

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: wrong shapes, unknown tokens, or the device has too little memory.
        """
        values = self._engine.run(feeds)
        return {name: self._arrays.host(value).astype("float32", copy=False) for name, value in values.items()}


class TensorStepper(ResidentStepper):
    """A network's engines with the carry in tensors on its device; satisfies ``engines.act.Stepper``."""

    def __init__(self, network: HRM, engines: Mapping[Module, TensorEngine]) -> None:
        super().__init__(engines, (network.H_init, network.L_init), network.config)


def torch_stepper(network: HRM, threads: int = 0) -> EngineStepper:
    """The network as something the ACT loop can step; ``threads`` holds for the whole process, 0 leaves it as it is."""
    set_threads(threads)
    z_H, z_L = (state.to(torch.float32).cpu().numpy() for state in (network.H_init, network.L_init))
    return EngineStepper({module: TorchEngine(network, module) for module in MODULES}, (z_H, z_L), network.config)


def tensor_stepper(network: HRM, device: DeviceName = "cpu", threads: int = 0) -> TensorStepper:
    """The network, or a copy of it on ``device``, run eagerly in its own type with its carry in tensors.

    ``threads`` holds for the whole process, 0 leaves it as it is.

    Raises:
        MissingError: CUDA was asked for, and PyTorch has no GPU to use.
    """
    set_threads(threads)
    placed = on_device(network, device)
    return TensorStepper(placed, {module: TensorEngine(placed, module) for module in MODULES})


def set_threads(threads: int) -> None:
    """How many threads PyTorch's operators use on a CPU, in this process from here on; 0 leaves it as it is."""
    if threads:
        torch.set_num_threads(threads)


def on_device(network: HRM, device: DeviceName) -> HRM:
    """``network`` itself if it is on ``device``, else a copy there; its rotary angles stay float32.

    Raises:
        MissingError: CUDA was asked for, and PyTorch has no GPU to use.
    """
    if network.H_init.device.type == device:
        return network
    check_device(device)
    return copy.deepcopy(network).to(device)


def check_device(device: DeviceName) -> None:
    """See that PyTorch can compute on ``device``.

    Raises:
        MissingError: it is CUDA, and PyTorch has no GPU to use.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError(
            "PyTorch cannot compute on CUDA here",
            why="torch.cuda.is_available() says no",
            hint="compute on the CPU, or install a CUDA build of PyTorch beside a GPU",
        )


def _eager(network: HRM, module: Module) -> Call:
    def call(feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        return compute(network, module, feeds)

    return call


def _signature(network: HRM, module: Module) -> Signature:
    """The contract's, with states in the network's type."""
    # The network looks its puzzles up itself, however large the table is.
    limit = max(PUZZLE_TABLE_LIMIT, 4 * network.config.num_puzzle_identifiers * network.config.puzzle_emb_ndim)
    dtype = str(network.H_init.dtype).removeprefix("torch.")

    def typed(spec: TensorSpec) -> TensorSpec:
        return spec._replace(dtype=dtype) if spec.dtype == "float32" and spec.name not in _HEADS else spec

    return Signature(*(tuple(map(typed, specs)) for specs in signature(network.config, "fp32", module, limit)))


def _float32(spec: TensorSpec) -> TensorSpec:
    return spec if spec.dtype == "int32" else spec._replace(dtype="float32")
