"""From a located checkpoint to checked tensors, and on to the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hrm.checkpoint import native, official
from hrm.checkpoint.settings import read_official
from hrm.checkpoint.sizes import complete
from hrm.checkpoint.verify import verify
from hrm.network import HRM, Rotary

if TYPE_CHECKING:
    from pathlib import Path

    from hrm.checkpoint.located import Located
    from hrm.config import HRMConfig


@dataclass(frozen=True)
class Checkpoint:
    """A trained HRM, read and checked."""

    config: HRMConfig
    tensors: dict[str, torch.Tensor]
    """As stored (float32, bfloat16 or float16), under the names of ``hrm.network``; mapped from the file."""
    located: Located


def load(located: Located, dataset: Path | None = None) -> Checkpoint:
    """Read a checkpoint and check that it is a whole, finite HRM.

    Args:
        located: from ``hrm.checkpoint.locate``.
        dataset: the data set's directory; gives ``seq_len`` where neither the configuration nor a tensor does.
            None for the directory ``dataset`` beside the weights.

    Raises:
        CheckpointError: the files are not an HRM's checkpoint.
        DatasetError: the data set was needed and cannot be read, or is not this checkpoint's.
    """
    if located.config is None:
        settings, tensors = native.read(located.weights)
    else:
        settings, tensors = read_official(located.config), official.read(located.weights)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    config = complete(settings, shapes, located.weights, dataset)
    verify(config, tensors, located.weights)
    return Checkpoint(config, tensors, located)


def network(checkpoint: Checkpoint, dtype: torch.dtype = torch.float32) -> HRM:
    """The checkpoint as a network in eval mode that computes in ``dtype``.

    Tensors that are stored in ``dtype`` already are shared with the checkpoint, not copied.
    """
    config = checkpoint.config
    with torch.device("meta"):
        model = HRM(config, dtype)
    if model.rotary is not None:  # its angles are computed, not stored
        model.rotary = Rotary(config.head_dim, config.tokens, config.rope_theta)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in checkpoint.tensors.items()}, assign=True)
    return model.eval()
