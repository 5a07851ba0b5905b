"""A training recipe: everything that decides the numbers of a run, under the official names where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from hrm import recipes
from hrm.config import HRMConfig
from hrm.documents import Document
from hrm.training.losses import LossName

if TYPE_CHECKING:
    from hrm.data.layout import DatasetInfo


SCHEMA = "`hrm-trt schema --training`"


class Architecture(Document):
    """``arch`` of the official configuration; the data set gives the vocabulary, the length and the identifiers."""

    hidden_size: PositiveInt = 512
    num_heads: PositiveInt = 8
    H_layers: PositiveInt = 4
    L_layers: PositiveInt = 4
    H_cycles: PositiveInt = 2
    L_cycles: PositiveInt = 2
    expansion: PositiveFloat = 4.0
    halt_max_steps: PositiveInt = 16
    halt_exploration_prob: float = Field(default=0.1, ge=0, le=1)
    puzzle_emb_ndim: int = Field(default=512, ge=0)
    pos_encodings: Literal["rope", "learned"] = "rope"
    rope_theta: PositiveFloat = 10000.0
    rms_norm_eps: PositiveFloat = 1e-5
    loss_type: LossName = "stablemax_cross_entropy"


class Evaluating(Document):
    """When to measure, and on what."""

    split: str = "search"
    puzzles: PositiveInt | None = None
    """The split's first puzzles; null takes all."""
    every: PositiveInt = 1000
    """Steps between two evaluations."""


class EarlyStop(Document):
    """When to stop before the last step; what is null never stops a run."""

    exact_accuracy: float | None = Field(default=None, gt=0, le=1)
    """Stop when an evaluation reaches this."""
    train_exact_accuracy: float | None = Field(default=None, gt=0, le=1)
    """Stop when the training puzzles of one log interval reach this: the official advice against late overfitting."""
    patience: PositiveInt | None = None
    """Stop after this many evaluations without a better exact accuracy."""


class TrainRecipe(Document):
    """One training run."""

    format_version: Literal[1] = 1
    name: str = Field(pattern=r"^[\w.-]+$")
    dataset: Path
    """A data set in the official layout; a relative path starts at the recipe's directory."""
    arch: Architecture = Architecture()
    seed: int = Field(default=0, ge=0, lt=2**32)
    epochs: PositiveInt | None = None
    """Visits of every group; give this or ``steps``."""
    steps: PositiveInt | None = None
    global_batch_size: PositiveInt
    lr: PositiveFloat
    lr_min_ratio: float = Field(default=1.0, ge=0, le=1)
    """Where the cosine ends, as a share of ``lr``."""
    lr_warmup_steps: int = Field(default=2000, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.1, ge=0)
    puzzle_emb_lr: PositiveFloat = 0.01
    puzzle_emb_weight_decay: float = Field(default=0.1, ge=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of an average of the weights, which is then what is evaluated and kept; null keeps the weights."""
    look_ahead: float = Field(default=1.0, gt=0, le=1)
    """Share of the rows whose ``q_continue`` learns in a step (1 officially): each costs a further segment."""
    stagger: bool = False
    """Start the slots at different depths, so that a batch always holds every depth; officially they run in step."""
    evaluate: Evaluating = Evaluating()
    early_stop: EarlyStop = EarlyStop()
    log_every: PositiveInt = 20
    """Steps that one line of metrics sums up."""
    checkpoint_every: PositiveInt = 200
    """Steps between two saved states; a killed run goes on from the last."""
    compile: bool | None = None
    """Compile the model with Inductor; null compiles on a GPU only."""
    threads: PositiveInt | None = None
    """Threads on a CPU; null leaves it to PyTorch. Other threads, other rounding."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either `epochs` or `steps`")
        return self

    def total_steps(self, examples_per_epoch: float) -> int:
        """Steps of the run, where an epoch takes ``examples_per_epoch`` examples."""
        if self.steps is not None:
            return self.steps
        return max(1, int((self.epochs or 0) * examples_per_epoch / self.global_batch_size))

    def config(self, info: DatasetInfo, forward_dtype: str) -> HRMConfig:
        """The architecture with the data set's sizes.

        Raises:
            CheckpointError: the sizes make no HRM.
        """
        sizes = {name: getattr(info, name) for name in ("vocab_size", "seq_len", "num_puzzle_identifiers")}
        return HRMConfig.from_dict({**self.arch.model_dump(), **sizes, "forward_dtype": forward_dtype})


def read_recipe(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; the data set's path becomes absolute.

    Raises:
        RecipeError: the file cannot be read, or is not a mapping.
    """
    values = recipes.read(path, SCHEMA)
    if isinstance(values.get("dataset"), str):
        values["dataset"] = str((path.parent / values["dataset"]).resolve())
    return values


def make_recipe(values: dict[str, Any]) -> TrainRecipe:
    """Check settings and fill in what they leave out.

    Raises:
        RecipeError: an unknown key or choice, or a value out of range.
    """
    return recipes.make(TrainRecipe, values, SCHEMA)
