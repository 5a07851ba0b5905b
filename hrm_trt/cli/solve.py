"""`hrm-trt solve`: one puzzle, watched segment by segment."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from rich.columns import Columns
from rich.console import Group
from rich.live import Live
from rich.text import Text

from engines.act import PolicyName, confidence
from hrm.errors import UsageError
from hrm.files import is_file
from hrm_trt.cli.choices import choice
from hrm_trt.cli.console import people, print_json, results
from hrm_trt.runner import Runner

if TYPE_CHECKING:
    import numpy.typing as npt
    from rich.console import RenderableType

    from engines.act import Indices, StepOutput
    from engines.solving import Answers
    from hrm.data.tasks import Task
    from hrm_trt.pipeline.models import Model

_PAUSE_SECONDS = 0.4
"""A segment takes milliseconds; this is how long a person needs to see what changed."""


@dataclass(frozen=True)
class SolveOptions:
    """What the command line says."""

    puzzle: str | None
    example: int | None
    model: str | None
    dataset: Path | None
    policy: str | None
    threshold: float | None
    png: Path | None
    threads: int
    workdir: Path | None


@dataclass(frozen=True)
class Puzzle:
    """A puzzle to solve, with its right answer where that is known."""

    task: Task
    inputs: npt.NDArray[np.int32]
    identifier: int
    labels: npt.NDArray[np.int32] | None


@dataclass(frozen=True)
class Segment:
    """What one segment made of the puzzle."""

    tokens: npt.NDArray[np.int32]
    q_halt: float
    q_continue: float
    confidence: float


def solve_command(options: SolveOptions, *, json: bool) -> None:
    """Solve, show, and draw where asked."""
    runner = Runner(options.model, threads=options.threads, workdir=options.workdir)
    model = runner.model
    policy: PolicyName = (
        model.default_policy() if options.policy is None else choice("--policy", options.policy, get_args(PolicyName))
    )
    puzzle = _puzzle(options, runner)
    trace: list[Segment] = []

    def keep(segments: Indices, rows: Indices, output: StepOutput) -> None:
        del segments, rows
        trace.append(
            Segment(
                tokens=output.logits[0].argmax(axis=-1).astype(np.int32),
                q_halt=float(output.q_halt[0]),
                q_continue=float(output.q_continue[0]),
                confidence=float(confidence(output.logits)[0]),
            )
        )

    identifiers = np.array([puzzle.identifier], dtype=np.int32)
    began = time.perf_counter()
    answers = runner.solve(
        puzzle.inputs[None],
        puzzle_identifiers=identifiers,
        policy=policy,
        threshold=options.threshold,
        batch=1,
        observe=keep,
    )
    seconds = time.perf_counter() - began
    if options.png is not None:
        _draw(options.png, puzzle, answers)
    if json:
        print_json(_document(model, puzzle, policy, answers, trace, seconds))
    else:
        _show(puzzle, trace, answers, seconds)
        if options.png is not None:
            people.print(f"drawn to {options.png}", markup=False)


def _puzzle(options: SolveOptions, runner: Runner) -> Puzzle:
    task = runner.task
    if (options.puzzle is None) == (options.example is None):
        raise UsageError(
            "no puzzle to solve" if options.puzzle is None else "two puzzles to solve",
            why="solve takes one puzzle: as text, in a file, or an example's number",
            hint="hrm-trt solve --example 0",
        )
    if options.example is not None:
        return _example(task, runner.model, options.dataset, options.example)
    return Puzzle(task, task.parse(_text(str(options.puzzle))), identifier=0, labels=None)


def _example(task: Task, model: Model, given: Path | None, index: int) -> Puzzle:
    from hrm.data.dataset import check_fits, read_split

    directory = model.dataset(given)
    puzzles = read_split(directory, model.split, index + 1)
    check_fits(puzzles.info, model.config)
    if index >= len(puzzles):
        raise UsageError(
            f"there is no example {index}",
            why=f"the {model.split} split of {directory} has {len(puzzles)} puzzles",
            hint=f"take one from 0 to {len(puzzles) - 1}",
        )
    return Puzzle(task, puzzles.inputs[index], int(puzzles.puzzle_identifiers[index]), puzzles.labels[index])


def _text(given: str) -> str:
    if given == "-":
        return sys.stdin.read()
    try:
        return Path(given).read_text() if is_file(Path(given)) else given
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {given}", why=str(error), hint="give a text file with one puzzle") from error


def _show(puzzle: Puzzle, trace: list[Segment], answers: Answers, seconds: float) -> None:
    if people.is_terminal and results.is_terminal:
        with Live(console=results, refresh_per_second=20) as live:
            for count in range(1, len(trace) + 1):
                live.update(_picture(puzzle, trace[:count]))
                time.sleep(_PAUSE_SECONDS)
    else:
        results.print(puzzle.task.format(answers.tokens[0]), markup=False, highlight=False)
    people.print(_summary(puzzle, answers, seconds))


def _picture(puzzle: Puzzle, trace: list[Segment]) -> RenderableType:
    from hrm.data.terminal import answer_board, puzzle_board

    boards: list[RenderableType] = [Group(Text("puzzle"), puzzle_board(puzzle.task, puzzle.inputs))]
    for index, segment in enumerate(trace):
        previous = trace[index - 1].tokens if index else None
        board = answer_board(puzzle.task, puzzle.inputs, segment.tokens, puzzle.labels, previous)
        halts = "halt" if segment.q_halt > segment.q_continue else "go on"
        boards.append(
            Group(Text(f"segment {index + 1}"), board, Text(f"{segment.confidence:.1%} {halts}", style="dim"))
        )
    return Columns(boards, padding=(0, 2))


def _summary(puzzle: Puzzle, answers: Answers, seconds: float) -> str:
    text = f"{answers.depth[0]} segments, {answers.confidence[0]:.1%} sure, {seconds * 1000:.0f} ms"
    if puzzle.labels is None:
        return text
    return f"{text}: {'[green]solved[/]' if _solved(puzzle, answers) else '[red]not solved[/]'}"


def _solved(puzzle: Puzzle, answers: Answers) -> bool | None:
    from hrm.metrics import solved

    return None if puzzle.labels is None else bool(solved(answers.tokens, puzzle.labels[None])[0])


def _draw(path: Path, puzzle: Puzzle, answers: Answers) -> None:
    from hrm.data.drawing import Panel, puzzle_figure, to_png, to_svg
    from hrm.files import write_bytes

    answer = Panel(f"answer after {answers.depth[0]} segments", answers.tokens[0])
    figure = puzzle_figure(puzzle.task, puzzle.inputs, [answer], puzzle.labels)
    write_bytes(path, to_svg(figure).encode() if path.suffix == ".svg" else to_png(figure))


def _document(
    model: Model, puzzle: Puzzle, policy: PolicyName, answers: Answers, trace: list[Segment], seconds: float
) -> dict[str, Any]:
    return {
        "format_version": 1,
        "model": model.name,
        "task": puzzle.task.name,
        "policy": policy,
        "puzzle": puzzle.task.format(puzzle.inputs),
        "solution": puzzle.task.format(answers.tokens[0]),
        "tokens": answers.tokens[0].tolist(),
        "solved": _solved(puzzle, answers),
        "depth": int(answers.depth[0]),
        "confidence": float(answers.confidence[0]),
        "q_halt": float(answers.q_halt[0]),
        "q_continue": float(answers.q_continue[0]),
        "seconds": seconds,
        "segments": [
            {
                "answer": puzzle.task.format(segment.tokens),
                "q_halt": segment.q_halt,
                "q_continue": segment.q_continue,
                "confidence": segment.confidence,
            }
            for segment in trace
        ],
    }
