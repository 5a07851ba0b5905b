"""The endless stream of training batches, which a resumed run takes up where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from hrm.data.examples import open_examples
from hrm.training.slots import Batch

if TYPE_CHECKING:
    from pathlib import Path

Indices = npt.NDArray[np.int64]


class BatchStream:
    """Batches of examples: each epoch visits every group once, in a new order, by one of its puzzles.

    A puzzle that has several examples (ARC) gives as many as fit into the batch, as the official sampler does. Chance
    depends on the seed and the epoch alone, so ``epoch`` and ``position`` are all there is to remember.
    """

    def __init__(self, directory: Path, batch_size: int, seed: int) -> None:
        """Open the train split of ``directory``; its tokens stay on the disk.

        Raises:
            DatasetError: there is no train split, or it is damaged.
        """
        self._examples = open_examples(directory, "train")
        self._size, self._seed = batch_size, seed
        self.info = self._examples.info
        self.seek(0, 0)

    @property
    def examples_per_epoch(self) -> float:
        """Examples that an epoch gives, on average: the groups times a puzzle's mean number of examples."""
        arrays = self._examples.arrays
        return arrays.group_count * len(arrays.inputs) / (len(arrays.puzzle_starts) - 1)

    def seek(self, epoch: int, position: int) -> None:
        """Go to the place where ``epoch`` and ``position`` once stood."""
        self.epoch, self.position = epoch, position
        self._puzzles = self._draw(epoch)

    def next(self, device: torch.device) -> Batch:
        """The next batch, on ``device``."""
        arrays = self._examples.read(self._take())
        return Batch(*(torch.from_numpy(array.astype(np.int64)).to(device) for array in arrays))

    def _draw(self, epoch: int) -> Indices:
        """The puzzle of each group for this epoch, the groups in random order."""
        rng = np.random.default_rng([self._seed, epoch])
        starts = self._examples.arrays.group_starts
        return rng.permutation(rng.integers(starts[:-1], starts[1:]))

    def _take(self) -> Indices:
        taken: list[Indices] = []
        room = self._size
        while room:
            if self.position == len(self._puzzles):
                self.seek(self.epoch + 1, 0)
            taken.append(self._some_of(self._puzzles[self.position], room))
            room -= len(taken[-1])
            self.position += 1
        return np.concatenate(taken)

    def _some_of(self, puzzle: int, room: int) -> Indices:
        start, end = self._examples.arrays.puzzle_starts[puzzle : puzzle + 2]
        if end - start == 1:
            return np.array([start], dtype=np.int64)
        rng = np.random.default_rng([self._seed, self.epoch, self.position])
        chosen: Indices = start + rng.permutation(end - start)[:room]
        return chosen
