"""From a profile to the shapes of a graph's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.tensorrt.request import Shapes
from hrm.config import HRMConfig
from hrm.errors import EngineError

if TYPE_CHECKING:
    from engines.bundle import Profile
    from export.contract import TensorSpec
    from export.metadata import GraphMetadata


def input_shapes(metadata: GraphMetadata, profile: Profile) -> dict[str, Shapes]:
    """The least, best and largest shape of every input of a graph.

    Raises:
        EngineError: the graph cannot take sequences as long as the profile's.
    """
    config = HRMConfig.from_dict(metadata.architecture)
    if profile.sequence.max > config.seq_len:
        raise _too_long(metadata, profile.sequence.max, config.seq_len)
    return {
        spec.name: Shapes(**{end: _shape(spec, profile, config, end) for end in ("min", "opt", "max")})
        for spec in metadata.inputs
    }


def _shape(spec: TensorSpec, profile: Profile, config: HRMConfig, end: str) -> tuple[int, ...]:
    sequence: int = getattr(profile.sequence, end)
    sizes = {
        "batch": getattr(profile.batch, end),
        "sequence": sequence,
        "tokens": sequence + config.puzzle_emb_len,
    }
    return tuple(sizes[axis] if isinstance(axis, str) else axis for axis in spec.shape)


def _too_long(metadata: GraphMetadata, asked: int, possible: int) -> EngineError:
    return EngineError(
        f"the {metadata.module} cannot be built for sequences of {asked}",
        why=f"the network was trained on sequences of {possible}, and has no positions beyond",
        hint=f"let `profile.sequence` end at {possible}",
    )
