"""Parity: what the graphs compute in ONNX Runtime against the float32 network, output by output.

Both get the same inputs, rounded to the graph's type: random tokens, and the states that the network itself reaches
on them after one segment. An error is the largest absolute difference over the largest magnitude of the reference, or
over 1 where that is smaller (a halting value near zero is no reason for a large error).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from export.contract import LOWERINGS
from export.faults import fault
from export.reference import compute
from hrm.errors import missing_package
from hrm.network import Carry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    from torch import Tensor

    from export.contract import Module, Variant
    from hrm.config import HRMConfig
    from hrm.network import HRM

# About five times the worst error measured on the bundled checkpoint, over 60 draws at the default sizes and batches
# of up to 200 (random 27M weights stay below it):
#         encoder  executor  planner  segment
#   fp32  0        9e-7      1.4e-6   3.2e-5
#   fp16  7e-4     1.9e-3    4.6e-3   3.6e-2
# The segment's are larger because the recurrence amplifies rounding, the more so in a trained model. A wrong graph is
# off by far more: a single wrong weight matrix by 0.1 to 1.
TOLERANCES: dict[Variant, dict[Module, float]] = {
    "fp32": {"encoder": 1e-6, "executor": 1e-5, "planner": 1e-5, "segment": 1e-4},
    "fp16": {"encoder": 2e-3, "executor": 1e-2, "planner": 2e-2, "segment": 1e-1},
}

_SEED = 0
_ERRORS_ONLY = 3


class Sizes(NamedTuple):
    """Batch and sequence length of one comparison."""

    batch: int
    sequence: int


@dataclass(frozen=True)
class ParityRow:
    """One output of one module, compared at one pair of sizes."""

    module: Module
    output: str
    batch: int
    sequence: int
    error: float
    tolerance: float


def default_sizes(config: HRMConfig) -> tuple[Sizes, ...]:
    """The whole sequence alone, a quarter of it in a batch of 3, and single tokens in a batch of 5."""
    return Sizes(1, config.seq_len), Sizes(3, max(1, config.seq_len // 4)), Sizes(5, 1)


def check_parity(
    network: HRM, graphs: Mapping[Module, onnx.ModelProto], variant: Variant, sizes: Sequence[Sizes] = ()
) -> list[ParityRow]:
    """Compare each of ``graphs`` with the float32 ``network`` at ``sizes`` (``default_sizes`` if there are none).

    Raises:
        ExportError: an error is above its tolerance, or is not a number.
        MissingError: ONNX Runtime is not installed.
    """
    with torch.inference_mode():
        samples = [(each, _sample(network, each, _dtype(variant))) for each in sizes or default_sizes(network.config)]
        return [
            row for module, graph in graphs.items() for row in _rows(network, variant, module, _session(graph), samples)
        ]


def _rows(
    network: HRM,
    variant: Variant,
    module: Module,
    session: Any,
    samples: Sequence[tuple[Sizes, Mapping[str, Tensor]]],
) -> Iterator[ParityRow]:
    dtype, tolerance = _dtype(variant), TOLERANCES[variant][module]
    names = [value.name for value in session.get_inputs()]
    for sizes, sample in samples:
        feeds = {name: sample[name] for name in names}
        wanted = compute(network, module, feeds)
        arrays = {name: _to(tensor, dtype).numpy() for name, tensor in feeds.items()}
        for output, array in zip(wanted, session.run(list(wanted), arrays), strict=True):
            error = _error(torch.from_numpy(array), wanted[output])
            row = ParityRow(module, output, *sizes, error, tolerance)
            _refuse_if_over(row)
            yield row


def _sample(network: HRM, sizes: Sizes, dtype: torch.dtype) -> dict[str, Tensor]:
    """Every input of every module, by name, rounded to ``dtype`` and kept in float32."""
    config, generator = network.config, torch.Generator().manual_seed(_SEED)

    def below(limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, shape, generator=generator, dtype=torch.int32)

    inputs = below(config.vocab_size, *sizes)
    identifiers = below(config.num_puzzle_identifiers, sizes.batch)
    embeddings = network.encode(inputs, identifiers)
    initial = (state[:, : embeddings.shape[1]] for state in network.initial_carry(sizes.batch))
    carry, _ = network.segment(Carry(*initial), embeddings)
    sample = {"inputs": inputs, "puzzle_identifiers": identifiers, "input_embeddings": embeddings, **carry._asdict()}
    if network.puzzle_emb is not None:
        sample["puzzle_embedding"] = network.puzzle_emb.weights[identifiers]
    return {name: _to(_to(tensor, dtype), torch.float32) for name, tensor in sample.items()}


def _dtype(variant: Variant) -> torch.dtype:
    return cast("torch.dtype", getattr(torch, LOWERINGS[variant].dtype))


def _to(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _error(found: Tensor, wanted: Tensor) -> float:
    scale = wanted.abs().max().clamp(min=1.0)
    return float((found.to(torch.float32) - wanted).abs().max() / scale)


def _refuse_if_over(row: ParityRow) -> None:
    if not row.error <= row.tolerance:  # so that NaN is refused too
        raise fault(
            f"the {row.module} graph does not compute what the network computes",
            f"{row.output} is off by {row.error:.2e} of its largest value at batch {row.batch}, sequence "
            f"{row.sequence}; {row.tolerance:.0e} is allowed",
        )


def _session(model: onnx.ModelProto) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise missing_package("onnxruntime", "cpu", "comparing graphs with PyTorch") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    settings.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
