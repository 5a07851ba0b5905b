"""An HRM's sizes: what the configuration leaves out is read off the tensors, and what both give must agree."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, NamedTuple

from hrm.checkpoint.refusals import refusal, shown
from hrm.config import HRMConfig
from hrm.data.dataset import DatasetInfo, check_fits, read_info
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]

_TOKENS = "embed_tokens.embedding_weight"
_POSITIONS = "embed_pos.embedding_weight"
_PUZZLES = "puzzle_emb.weights"
_MLP = "L_level.layers.0.mlp.down_proj.weight"
_NO_PUZZLE_TABLE = {"num_puzzle_identifiers": 1}  # every puzzle has the identifier 0, and nothing looks it up


class _Implied(NamedTuple):
    value: int | str
    evidence: str


def complete(settings: dict[str, Any], shapes: Shapes, weights: Path, dataset: Path | None) -> HRMConfig:
    """The whole configuration, from the settings in the file and the shapes of the tensors.

    Args:
        settings: what the configuration file gives, types checked.
        shapes: every tensor's, by name.
        weights: the file they lie in.
        dataset: the data set's directory, asked for ``seq_len`` where rotary positions leave no trace of it;
            None for the directory ``dataset`` beside the weights.

    Raises:
        CheckpointError: file and tensors disagree, or a size cannot be known.
        DatasetError: the data set that gives ``seq_len`` is none, or is not this checkpoint's.
    """
    implied = _read_off(shapes, weights)
    for name, (value, evidence) in implied.items():
        if settings.get(name, value) != value:
            raise refusal(weights, f"{name} is {shown(settings[name])} by the configuration, {value!r} by {evidence}")
    sizes = _NO_PUZZLE_TABLE | settings | {name: size.value for name, size in implied.items()}
    if "seq_len" in sizes:
        config = HRMConfig.from_dict(sizes)
    else:
        info = _required_sizes(weights, dataset)
        config = HRMConfig.from_dict(sizes | {"seq_len": info.seq_len})
        check_fits(info, config)
    _check_mlp(config, shapes, weights)
    return config


def _read_off(shapes: Shapes, weights: Path) -> dict[str, _Implied]:
    vocabulary, hidden = _matrix(_TOKENS, shapes, weights)
    found = {
        "vocab_size": _Implied(vocabulary, _TOKENS),
        "hidden_size": _Implied(hidden, _TOKENS),
        "H_layers": _Implied(_layers("H_level", shapes), "the tensors H_level.layers.*"),
        "L_layers": _Implied(_layers("L_level", shapes), "the tensors L_level.layers.*"),
        "puzzle_emb_ndim": _Implied(0, f"the absence of {_PUZZLES}"),
        "pos_encodings": _Implied("rope", f"the absence of {_POSITIONS}"),
    }
    width = 0
    if _PUZZLES in shapes:
        rows, width = _matrix(_PUZZLES, shapes, weights)
        found["num_puzzle_identifiers"] = _Implied(rows, _PUZZLES)
        found["puzzle_emb_ndim"] = _Implied(width, _PUZZLES)
    if _POSITIONS in shapes:
        rows, _ = _matrix(_POSITIONS, shapes, weights)
        found["pos_encodings"] = _Implied("learned", _POSITIONS)
        found["seq_len"] = _Implied(rows - math.ceil(width / hidden), _POSITIONS)
    return found


def _matrix(name: str, shapes: Shapes, weights: Path) -> tuple[int, int]:
    if name not in shapes:
        raise refusal(weights, f"the tensor {name} is missing")
    shape = shapes[name]
    if len(shape) != 2 or 0 in shape:
        raise refusal(weights, f"{name} has the shape {list(shape)}, and should be a matrix")
    return shape[0], shape[1]


def _layers(level: str, shapes: Shapes) -> int:
    found = (re.match(rf"{level}\.layers\.([0-9]+)\.", name) for name in shapes)
    return len({match[1] for match in found if match})


def _check_mlp(config: HRMConfig, shapes: Shapes, weights: Path) -> None:
    """``expansion`` cannot be read off the tensors, because widths are rounded up; but it must lead to theirs."""
    _, width = _matrix(_MLP, shapes, weights)
    if width != config.mlp_width:
        why = f"expansion {config.expansion:g} makes MLPs {config.mlp_width} wide, and {_MLP} is {width} wide"
        raise refusal(weights, why)


def dataset_sizes(weights: Path, dataset: Path | None) -> DatasetInfo | None:
    """The sizes in ``dataset``, or in the directory ``dataset`` beside the weights for None; None where it has none.

    Raises:
        DatasetError: a ``dataset.json`` is malformed.
    """
    directory = dataset or weights.parent / "dataset"
    for split in ("test", "train"):
        if (directory / split / "dataset.json").is_file():
            info = read_info(directory, split)
            return DatasetInfo(**{field.name: getattr(info, field.name) for field in fields(DatasetInfo)})
    return None


def _required_sizes(weights: Path, dataset: Path | None) -> DatasetInfo:
    info = dataset_sizes(weights, dataset)
    if info is not None:
        return info
    directory = dataset or weights.parent / "dataset"
    raise CheckpointError(
        f"the sequence length of {weights} cannot be known",
        why=f"with rotary positions no tensor shows it, and there is no {directory}/test/dataset.json",
        hint="pass --dataset DIR, the directory of the data set that the model was trained on",
    )
