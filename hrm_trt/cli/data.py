"""`hrm-trt data`: make a data set, watch it being made, and see what came of it."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.columns import Columns
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hrm.data.dataset import read_split
from hrm.data.layout import IGNORE
from hrm.data.tasks import task_of
from hrm.data.vocabulary import read_vocabulary
from hrm.generation.writing import refuse_occupied, write_dataset
from hrm_trt.cli.console import people, print_json, program, results
from hrm_trt.cli.progress import counting_bars
from hrm_trt.pipeline import bundled
from validation.verdict import GateOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import RenderableType

    from hrm.data.dataset import PuzzleSet
    from hrm.data.record import DatasetRecord
    from hrm.data.tasks import Task
    from hrm.generation.writing import NewDataset, Progress

_SPLITS = ("train", "calibration", "search", "test")


def data_command(output: Path, make: Callable[[Progress], NewDataset], *, json: bool) -> None:
    """Make a data set at ``output`` and say what it holds."""
    refuse_occupied(output)
    began = time.perf_counter()
    with counting_bars() as progress:
        record = write_dataset(output, make(progress))
    seconds = time.perf_counter() - began
    if json:
        print_json(_document(output, record, seconds))
    else:
        _show(output, record, seconds)


def _document(output: Path, record: DatasetRecord, seconds: float) -> dict[str, Any]:
    return {
        "format_version": 1,
        "directory": str(output.absolute()),
        "source": record.source,
        "splits": {split: record.splits[split].model_dump() for split in _made(record)},
        "seconds": seconds,
    }


def _show(output: Path, record: DatasetRecord, seconds: float) -> None:
    """What was made, an example of it in a terminal, and the command to try next."""
    puzzles = read_split(output, _made(record)[-1], limit=1)
    info = puzzles.info
    task = task_of(info.vocab_size, info.seq_len, read_vocabulary(output, info.vocab_size))
    results.print(_table(record))
    if results.is_terminal:
        results.print(_picture(task, puzzles))
    results.print(f"made [bold]{escape(str(output))}[/] in {seconds:.1f} s: {escape(record.source)}")
    if "test" not in record.splits or record.splits["test"].groups < GateOptions().min_puzzles:
        people.print(f"[yellow]a gate cannot pass on fewer than {GateOptions().min_puzzles} test puzzles[/]")
    command = f"{program()} train {_recipe(task)} --dataset {shlex.quote(str(output))}"
    results.print(f"try next: [bold]{escape(command)}[/]")


def _made(record: DatasetRecord) -> list[str]:
    """The splits that there are, in the order in which they are used; the test comes last."""
    return [split for split in _SPLITS if split in record.splits]


def _recipe(task: Task) -> str:
    """The training recipe that comes with hrm-trt for this task, or a word for the user's own."""
    return task.name if (bundled.directory("recipes") / f"{task.name}.yaml").is_file() else "RECIPE.yaml"


def _table(record: DatasetRecord) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("split")
    for name in ("groups", "puzzles", "examples"):
        table.add_column(name, justify="right")
    for split in _made(record):
        counts = record.splits[split]
        table.add_row(split, f"{counts.groups:,}", f"{counts.puzzles:,}", f"{counts.examples:,}")
    return table


def _picture(task: Task, puzzles: PuzzleSet) -> RenderableType:
    """The first puzzle of a split, and its answer."""
    from hrm.data.terminal import answer_board, puzzle_board

    inputs, labels = puzzles.inputs[0], puzzles.labels[0]
    answer = np.where(labels == IGNORE, puzzles.info.pad_id, labels)
    boards = (puzzle_board(task, inputs), answer_board(task, inputs, answer, labels))
    titles = (f"a puzzle of the {puzzles.split} split", "its answer")
    pictures = [Group(Text(title, style="dim"), board) for title, board in zip(titles, boards, strict=True)]
    return Columns(pictures, padding=(0, 2))
