"""Train the paper's 27M model on 9×9 Sudoku on one GPU for some minutes, and measure it on puzzles it has not seen.

    PYTHONPATH=. python benchmarks/gpu/train_sudoku.py --minutes 8 [--home DIR] [--output DIR]

The first call makes the puzzles; a later one with the same --home goes on where the last state was saved. Every call
ends with the weights that solved most of the search puzzles: in float16, in parts that `weights.py` joins, and
measured as they are written. `--minutes 0` only measures, also while another call trains. `--rehearse` does all of it
in a small way, on any machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import weights

from hrm.checkpoint import locate, native
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.data.record import read_record
from hrm.files import write_json
from hrm.generation.sudoku.making import make
from hrm.generation.sudoku.options import SudokuOptions
from hrm.generation.writing import write_dataset
from hrm.training import record
from hrm.training import state as states
from hrm.training.evaluation import evaluate
from hrm.training.journal import METRICS, read_metrics
from hrm.training.recipe import TrainRecipe, make_recipe, read_recipe
from hrm.training.run import MODEL, Evaluated, Stepped
from hrm_trt.pipeline.training import training

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrm.training.run import Event, Run

HERE = Path(__file__).parent
BROUGHT_BACK = (METRICS, "curve.png")
"""Files of the run that go to the output as they are."""


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    puzzles: SudokuOptions
    changes: dict[str, Any] = field(default_factory=dict)
    """What is set otherwise than in the recipe."""


FULL = Scale(
    SudokuOptions("3x3", train=1000, calibration=0, search=500, test=1000, augmentations=1000),
)
REHEARSAL = Scale(
    SudokuOptions("3x3", train=20, calibration=0, search=10, test=20, augmentations=10),
    {
        "arch": {"hidden_size": 64, "num_heads": 2, "H_layers": 1, "L_layers": 1, "puzzle_emb_ndim": 64},
        "global_batch_size": 8,
        "lr_warmup_steps": 5,
        "evaluate": {"every": 10},
        "log_every": 5,
        "checkpoint_every": 10,
    },
)


def main() -> None:
    arguments = parse()
    deadline = time.monotonic() + 60 * arguments.minutes
    scale = REHEARSAL if arguments.rehearse else FULL
    dataset, run, output = arguments.home / "dataset", arguments.home / "run", arguments.output
    if not dataset.exists():
        make_puzzles(dataset, scale.puzzles)
    recipe = make_recipe({**read_recipe(HERE / "sudoku-9x9.yaml"), **scale.changes, "dataset": dataset})
    if arguments.minutes:
        train(recipe, run, deadline)
    output.mkdir(parents=True, exist_ok=True)
    found = {"training": progress(recipe, run), **measure(arguments.home, dataset, output)}
    about = {
        "format_version": 1,
        "benchmark": "gpu_sudoku_9x9",
        "rehearsal": arguments.rehearse,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(output / weights.RESULT, {**about, **describe(run, dataset), **found})
    for name in BROUGHT_BACK:
        shutil.copy(run / name, output / name)
    print(json.dumps(found, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, required=True, help="When to stop training; what follows takes less than one."
    )
    parser.add_argument("--home", type=Path, default=Path("runs/gpu-sudoku-9x9"), help="Puzzles and the run.")
    parser.add_argument("--output", type=Path, default=Path("runs/gpu-sudoku-9x9/output"), help="What comes of it.")
    parser.add_argument("--rehearse", action="store_true", help="A tiny model and few puzzles.")
    return parser.parse_args()


def make_puzzles(directory: Path, options: SudokuOptions) -> None:
    began = time.monotonic()
    write_dataset(directory, make(options, lambda *_: None))
    say(f"made the puzzles in {time.monotonic() - began:.0f} s")


def train(recipe: TrainRecipe, directory: Path, deadline: float) -> None:
    """Train until the time is over."""
    with training(recipe, directory) as (run, events):
        for event in until(events, deadline, recipe.checkpoint_every):
            show(event, run)


def until(events: Iterator[Event], deadline: float, every: int) -> Iterator[Event]:
    """Events until a state is saved and the next one would be saved after ``deadline``."""
    saved = time.monotonic()
    for event in events:
        yield event
        if isinstance(event, Stepped) and (event.step - 1) % every == 0:  # the state of the step before is on the disk
            now = time.monotonic()
            if now + (now - saved) > deadline:
                return
            saved = now


def show(event: Event, run: Run) -> None:
    if isinstance(event, Evaluated):
        found = event.evaluation
        say(
            f"step {event.step:,}: {found.exact_accuracy:.1%} of {found.count:,} search puzzles,"
            f" {found.adaptive_exact_accuracy:.1%} at {found.adaptive_depth:.2f} segments when halting"
        )
    elif isinstance(event, Stepped) and event.step % 100 == 0:
        say(f"step {event.step:,} of {event.total:,}: loss {event.result.answer_loss:.3f}, {run.seconds:.0f} s")


def progress(recipe: TrainRecipe, directory: Path) -> dict[str, Any]:
    """How far the run has come in all calls: its last saved state, and its best evaluation."""
    metrics = read_metrics(directory / METRICS)
    evaluations = [(line["exact_accuracy"], line["step"]) for line in metrics if line["kind"] == "evaluation"]
    state = states.load(directory / states.FILE, torch.device("cpu"))
    if state is None or not evaluations:
        raise SystemExit("nothing has been saved and evaluated yet: call again with more --minutes")
    return {
        "steps": state["step"],
        "seconds": round(state["seconds"], 1),
        "rows_per_second": round(state["step"] * recipe.global_batch_size / state["seconds"], 1),
        "best_step": max(evaluations)[1],
    }


def measure(home: Path, dataset: Path, output: Path) -> dict[str, Any]:
    """Write the best weights in float16 to ``output``, and evaluate what was written."""
    half = home / "sudoku-9x9.safetensors"
    best = load(locate(home / "run" / MODEL))
    native.save(best.config, {name: tensor.half() for name, tensor in best.tensors.items()}, half)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_float32_matmul_precision("highest")
    evaluation = evaluate(network(load(locate(half))).to(device), read_split(dataset, "test"), device)
    return {"evaluation": {"split": "test", **evaluation.to_dict()}, "weights": weights.split(half, output)}


def describe(run: Path, dataset: Path) -> dict[str, Any]:
    """What the numbers belong to."""
    found, puzzles = record.read(run), read_record(dataset)
    assert found is not None
    assert puzzles is not None
    return {
        "machine": found.machine,
        "device": found.device,
        "versions": {**found.versions, "cuda": torch.version.cuda},
        "recipe": found.recipe,
        "dataset": puzzles.model_dump(mode="json"),
    }


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
