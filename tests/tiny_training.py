"""A task that is learnt in seconds, and what the tests of training say of a run."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hrm.data.layout import DatasetInfo
from hrm.data.record import Origin
from hrm.files import sha256_file
from hrm.generation.groups import Puzzle
from hrm.generation.writing import NewDataset, write_dataset
from hrm.training.backend import Backend
from hrm.training.journal import METRICS, JsonLines, read_metrics
from hrm.training.recipe import make_recipe
from hrm.training.run import MODEL, Run, Stepped
from hrm.training.state import FILE as STATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrm.training.recipe import TrainRecipe
    from hrm.training.run import Event

SYMBOLS, LENGTH = 5, 6
INFO = DatasetInfo(
    vocab_size=SYMBOLS + 1,
    seq_len=LENGTH,
    num_puzzle_identifiers=1,
    pad_id=0,
    ignore_label_id=0,
    blank_identifier_id=0,
)
CPU = Backend(torch.device("cpu"), torch.float32, compiles=False)


def write_tiny(directory: Path, train: int = 256, search: int = 64) -> Path:
    """A data set whose answers are the inputs, turned by one place."""
    rng = np.random.default_rng(0)
    origin = Origin(source="a test", version=None, seed=0, augmentations=0, licence=None, options={})
    splits = {"train": _groups(rng, train), "search": _groups(rng, search)}
    write_dataset(directory, NewDataset(INFO, splits, ["<blank>"], origin))
    return directory


def _groups(rng: np.random.Generator, count: int) -> Iterator[list[Puzzle]]:
    for inputs in rng.integers(1, SYMBOLS + 1, (count, 1, LENGTH), dtype=np.uint8):
        yield [Puzzle(0, inputs, np.roll(inputs, 1, axis=1))]


def settings(dataset: Path, /, **changes: Any) -> dict[str, Any]:
    """A recipe that takes a millisecond or two a step; ``changes`` replace its settings."""
    return {
        "name": "tiny",
        "dataset": str(dataset),
        "arch": {
            "hidden_size": 32, "num_heads": 2, "H_layers": 1, "L_layers": 1, "halt_max_steps": 3, "puzzle_emb_ndim": 32,
            **changes.pop("arch", {}),
        },
        "steps": 24,
        "global_batch_size": 16,
        "lr": 3e-3,
        "lr_warmup_steps": 5,
        "puzzle_emb_lr": 1e-3,
        "evaluate": {"every": 10, "puzzles": 16},
        "log_every": 4,
        "checkpoint_every": 6,
        "threads": 1,
        **changes,
    }  # fmt: skip


def recipe(dataset: Path, **changes: Any) -> TrainRecipe:
    """The same, checked."""
    return make_recipe(settings(dataset, **changes))


def train(recipe: TrainRecipe, directory: Path, until: int | None = None, backend: Backend = CPU) -> list[Event]:
    """What a run comes to; ``until`` breaks it off after that step, and nothing of it is saved as it would be."""
    run, events = Run(recipe, directory, backend), []
    with closing(JsonLines(directory / METRICS, run.step)) as journal:
        for event in run.events([journal]):
            events.append(event)
            if isinstance(event, Stepped) and event.step == until:
                break
    return events


def numbers(directory: Path) -> dict[str, Any]:
    """Everything that a run's directory says but for the time it took: the same for the same run."""
    state = torch.load(directory / STATE, weights_only=True)
    state["meter"] = state["meter"]["results"]
    del state["seconds"]
    lines = read_metrics(directory / METRICS)
    return {
        "state": _plain(state),
        "weights": sha256_file(directory / MODEL),
        "metrics": [{key: value for key, value in line.items() if key != "rows_per_second"} for line in lines],
    }


def _plain(value: Any) -> Any:
    """``value`` with its tensors as bytes, so that == compares it to the last bit."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.flatten().view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
