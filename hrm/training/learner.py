"""The network, its optimisers and the average of its weights, taken one step further at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.func import functional_call
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hrm.network import Carry, random_network
from hrm.training.optimisers import adam_atan2, sign_sgd
from hrm.training.schedule import learning_rate
from hrm.training.slots import Batch, Slots, empty, halting, refill
from hrm.training.thinker import Thinker

if TYPE_CHECKING:
    from torch import Tensor

    from hrm.config import HRMConfig
    from hrm.network import HRM
    from hrm.training.backend import Backend
    from hrm.training.recipe import TrainRecipe
    from hrm.training.thinker import Thought

_CHANCE = 0x48524D
"""Keeps a step's draws apart from other uses of the seed."""


class StepResult(NamedTuple):
    """What one step says of itself; losses are means over the batch, sums are over the slots that halted."""

    answer_loss: float
    q_halt_loss: float
    q_continue_loss: float
    halted: float
    """Puzzles that halted in this step."""
    right: float
    """… of which were right as a whole."""
    cells: float
    """Their shares of right cells, summed."""
    depth: float
    """Their segments, summed."""
    halting_right: float
    """Those of which ``q_halt >= 0`` rightly says whether they are solved."""


class Learner:
    """Trains one network; ``slots`` are None before the first step."""

    def __init__(self, recipe: TrainRecipe, config: HRMConfig, backend: Backend, total_steps: int) -> None:
        self.network = random_network(config, recipe.seed).to(backend.device).train()
        self.slots: Slots | None = None
        self._recipe, self._backend, self._total = recipe, backend, total_steps
        self._optimiser = adam_atan2(self.network, recipe)
        self._average = _average_of(self.network, recipe.ema)
        thinker = Thinker(self.network, recipe.arch.loss_type)
        self._names = dict(thinker.named_parameters())
        self._think = backend.compiled(lambda parameters, *values: functional_call(thinker, parameters, values))

    @property
    def kept(self) -> HRM:
        """The network that is evaluated and kept: the average, where the recipe asks for one."""
        return self.network if self._average is None else self._average.module  # type: ignore[return-value]

    def step(self, batch: Batch, number: int) -> StepResult:
        """Think one segment further in every slot and learn from it; ``number`` counts from 1."""
        generator = torch.Generator().manual_seed(self._recipe.seed * 1_000_003 + number ^ _CHANCE)
        slots = refill(self.slots or self._first_slots(batch, generator), batch, self.network)
        depth = slots.depth + 1
        table = self.network.puzzle_emb
        embedding = None if table is None else table.weights[slots.puzzles.identifiers].requires_grad_()
        thought = self._thought(slots, embedding, depth, generator)
        count = len(depth)
        loss = thought.answer_loss + 0.5 * (thought.q_halt_loss + thought.q_continue_loss)
        (loss / count).backward()  # type: ignore[no-untyped-call]
        self._update(slots, embedding, number)
        exploration, max_depth = self._recipe.arch.halt_exploration_prob, self._recipe.arch.halt_max_steps
        halted = halting(depth, thought.q_halt, thought.q_continue, max_depth, exploration, generator)
        self.slots = Slots(thought.carry, slots.puzzles, depth, halted)
        return _result(thought, depth, halted)

    def is_finite(self) -> bool:
        """Whether every parameter is still a number."""
        return bool(torch.stack([parameter.isfinite().all() for parameter in self.network.parameters()]).all())

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, beside the recipe and the data."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "average": None if self._average is None else self._average.state_dict(),
            "slots": self.slots and [self.slots.carry._asdict(), self.slots.puzzles._asdict(), *self.slots[2:]],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])
        if state["slots"] is not None:
            carry, puzzles, depth, halted = state["slots"]
            self.slots = Slots(Carry(**carry), Batch(**puzzles), depth, halted)

    def _first_slots(self, batch: Batch, generator: torch.Generator) -> Slots:
        slots = empty(self.network, batch, self._backend.dtype)
        if not self._recipe.stagger:
            return slots
        depth = torch.randint(self._recipe.arch.halt_max_steps, slots.depth.shape, generator=generator)
        return slots._replace(depth=depth.to(slots.depth.device), halted=torch.zeros_like(slots.halted))

    def _thought(self, slots: Slots, embedding: Tensor | None, depth: Tensor, generator: torch.Generator) -> Thought:
        dtype, device = self._backend.dtype, self._backend.device
        count = len(depth)
        ahead = torch.randperm(count, generator=generator)[: max(1, round(self._recipe.look_ahead * count))].to(device)
        # As the official CastedLinear: float32 parameters, cast to what the model computes in, gradients in float32.
        parameters = {name: parameter.to(dtype) for name, parameter in self._names.items()}
        row = None if embedding is None else embedding.to(dtype)
        last = depth >= self._recipe.arch.halt_max_steps
        return self._think(parameters, slots.carry, *slots.puzzles[:2], row, last, ahead)  # type: ignore[no-any-return]

    def _update(self, slots: Slots, embedding: Tensor | None, number: int) -> None:
        recipe = self._recipe
        shape = (number, self._total, recipe.lr_warmup_steps, recipe.lr_min_ratio)
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(recipe.lr, *shape)
        self._optimiser.step()
        self._optimiser.zero_grad()
        if embedding is not None and embedding.grad is not None and self.network.puzzle_emb is not None:
            rate = learning_rate(recipe.puzzle_emb_lr, *shape)
            rows = slots.puzzles.identifiers
            sign_sgd(self.network.puzzle_emb.weights, rows, embedding.grad, rate, recipe.puzzle_emb_weight_decay)
        if self._average is not None:
            self._average.update_parameters(self.network)


def _average_of(network: HRM, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)  # type: ignore[no-untyped-call]
    average.eval()
    return average


def _result(thought: Thought, depth: Tensor, halted: Tensor) -> StepResult:
    count = len(depth)
    right = thought.right & halted
    judged_well = ((thought.q_halt >= 0) == thought.right) & halted
    values = (
        *(loss.detach() / count for loss in (thought.answer_loss, thought.q_halt_loss, thought.q_continue_loss)),
        *(part.sum() for part in (halted, right, thought.cells * halted, depth * halted, judged_well)),
    )
    return StepResult(*torch.stack([value.double() for value in values]).tolist())
