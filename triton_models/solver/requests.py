"""From a request's tensors to puzzles, or to the reason why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engines.slots import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engines.act import Array
    from triton_models.solver.options import Options
    from triton_models.solver.settings import Settings
    from triton_models.solver.work import Work

INPUTS = {"inputs": "int32", "puzzle_identifiers": "int32", "max_depth": "int32"}
"""What a request may hold, and numpy's type of it."""


def rows_of(tensors: Mapping[str, Array], options: Options, settings: Settings, owner: Work) -> tuple[Row[Work], ...]:
    """The puzzles of one request.

    Args:
        tensors: ``inputs`` int32 [B, S]; where the client sent them ``puzzle_identifiers`` and ``max_depth``, each
            int32 [B, 1].
        options: what it wants for all of them.
        settings: what the model can do.
        owner: whose puzzles they are.

    Raises:
        ValueError: the model cannot answer this, with the reason.
    """
    inputs = tensors.get("inputs")
    if inputs is None or inputs.size == 0:
        raise ValueError("inputs holds no puzzle")
    rows = inputs.shape[0] if inputs.ndim else 1
    for name, values in tensors.items():
        _check_form(name, values, (rows, settings.sequence if name == "inputs" else 1))
    identifiers = tensors.get("puzzle_identifiers", np.zeros((rows, 1), dtype=np.int32))
    _check_range("inputs", inputs, settings.vocab_size)
    _check_range("puzzle_identifiers", identifiers, settings.identifiers)
    depths = tensors["max_depth"][:, 0].tolist() if "max_depth" in tensors else [None] * rows
    policies = [settings.policy(options.policy, depth) for depth in depths]
    return tuple(
        Row(tokens, int(identifier), policy, owner)
        for tokens, identifier, policy in zip(inputs, identifiers[:, 0], policies, strict=True)
    )


def _check_form(name: str, values: Array, shape: tuple[int, int]) -> None:
    if values.dtype != INPUTS[name] or values.shape != shape:
        found, wanted = f"{values.dtype} {list(values.shape)}", f"{INPUTS[name]} {list(shape)}"
        raise ValueError(f"{name} is {found}; it must be {wanted}")


def _check_range(name: str, values: Array, size: int) -> None:
    wrong = values[(values < 0) | (values >= size)]
    if wrong.size:
        raise ValueError(f"{name} has {wrong[0]}; values must be from 0 to {size - 1}")
