"""A model whose behaviour is a table: what it answers and when it wants to stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engines.act import StepOutput
from engines.slots import HostArrays

SEQUENCE, VOCABULARY = 3, 5
Array = npt.NDArray[Any]


class Scripted:
    """Puzzle k wants to halt at segment ``halts[k]`` and answers with the segment's number; z_H counts segments."""

    arrays = HostArrays()

    def __init__(self, halts: list[int], sure_from: int = 10**6) -> None:
        self.halts = np.array(halts)
        self.sure_from = sure_from
        self.batches: list[int] = []

    def encode(self, inputs: Array, puzzle_identifiers: Array) -> Array:
        return puzzle_identifiers.astype(np.float32)[:, None, None]

    def initial_carry(self, batch: int) -> tuple[Array, Array]:
        zeros = np.zeros((batch, 1, 1), dtype=np.float32)
        return zeros, zeros.copy()

    def step(self, z_H: Array, z_L: Array, input_embeddings: Array) -> StepOutput:
        self.batches.append(len(z_H))
        segment = z_H + 1
        number = segment[:, 0, 0].astype(int)
        wants = number >= self.halts[input_embeddings[:, 0, 0].astype(int)]
        logits = np.zeros((len(z_H), SEQUENCE, VOCABULARY), dtype=np.float32)
        sharpness = np.where(number >= self.sure_from, 100.0, 1.0)
        logits[np.arange(len(z_H)), :, number % VOCABULARY] = sharpness[:, None]
        return StepOutput(segment, z_L, logits, wants.astype(np.float32), np.full(len(z_H), 0.5, dtype=np.float32))
