"""The sizes and settings that define one HRM."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from hrm.errors import CheckpointError

_MULTIPLE = 256
_COUNTS = (
    "vocab_size", "seq_len", "num_puzzle_identifiers", "hidden_size", "num_heads", "H_layers", "L_layers", "H_cycles",
    "L_cycles", "halt_max_steps", "puzzle_emb_ndim",
)  # fmt: skip
_MAY_BE_ZERO = ("num_puzzle_identifiers", "puzzle_emb_ndim")
_MEASURES = ("expansion", "rope_theta", "rms_norm_eps")


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise CheckpointError(
            "this is not the architecture of an HRM",
            why=why,
            hint="check `arch` in all_config.yaml against the training run that wrote it",
        )


@dataclass(frozen=True)
class HRMConfig:
    """One HRM's architecture, under the official names (``arch`` in ``all_config.yaml``) plus the data set's sizes."""

    vocab_size: int
    seq_len: int
    num_puzzle_identifiers: int
    hidden_size: int
    num_heads: int
    H_layers: int
    L_layers: int
    H_cycles: int
    L_cycles: int
    halt_max_steps: int
    puzzle_emb_ndim: int = 0
    expansion: float = 4.0
    pos_encodings: str = "rope"
    rope_theta: float = 10000.0
    rms_norm_eps: float = 1e-5
    forward_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for name in _COUNTS:
            least = 0 if name in _MAY_BE_ZERO else 1
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole and value >= least, f"{name} is {value!r}, not a whole number of {least} or more")
        for name in _MEASURES:
            value = getattr(self, name)
            _require(isinstance(value, int | float) and 0 < value < math.inf, f"{name} is {value!r}, not above zero")
        _require(self.hidden_size % self.num_heads == 0, f"hidden_size {self.hidden_size} / {self.num_heads} heads")
        _require(self.head_dim % 2 == 0, f"a head has {self.head_dim} dimensions, and RoPE turns pairs of them")
        _require(self.pos_encodings in ("rope", "learned"), f"pos_encodings is {self.pos_encodings!r}")
        _require(self.forward_dtype in ("float32", "bfloat16", "float16"), f"forward_dtype is {self.forward_dtype!r}")

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def mlp_width(self) -> int:
        """Inner width of SwiGLU: two thirds of the expansion, rounded up to a multiple of 256."""
        return math.ceil(round(self.expansion * self.hidden_size * 2 / 3) / _MULTIPLE) * _MULTIPLE

    @property
    def puzzle_emb_len(self) -> int:
        """Tokens that the puzzle embedding takes in front of the sequence (P)."""
        return math.ceil(self.puzzle_emb_ndim / self.hidden_size)

    @property
    def tokens(self) -> int:
        """Length of the hidden states: the sequence and the puzzle tokens before it (S + P)."""
        return self.seq_len + self.puzzle_emb_len

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The settings from ``to_dict``'s output; unknown keys are left out.

        Raises:
            CheckpointError: a setting is missing or makes no sense.
        """
        known = {field.name for field in fields(cls)}
        chosen = {name: value for name, value in values.items() if name in known}
        try:
            return cls(**chosen)
        except TypeError as error:
            _require(False, str(error).replace("HRMConfig.__init__()", "the architecture"))
            raise AssertionError from error


PAPER = HRMConfig(
    vocab_size=11,
    seq_len=81,
    num_puzzle_identifiers=1,
    hidden_size=512,
    num_heads=8,
    H_layers=4,
    L_layers=4,
    H_cycles=2,
    L_cycles=2,
    halt_max_steps=16,
    puzzle_emb_ndim=512,
)
"""The 27M-parameter model of the paper, for 9×9 Sudoku."""
