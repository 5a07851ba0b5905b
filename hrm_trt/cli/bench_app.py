"""The commands that measure, each a line away from what does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrm_trt.cli.options import Json, Workdir

bench_app = typer.Typer()
"""Their names stand beside those of all other commands."""

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="A bundle (name in the work directory, or path) or REPOSITORY/NAME. Repeatable.",
        show_default="all of the checkpoint, or of the demo's",
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(help="What PyTorch runs: a directory, a file or hf://repo@revision.", show_default="the bundles'"),
]
Dataset = Annotated[
    Path | None, typer.Option(help="A data set in the official layout.", show_default="what bundles were gated on")
]
Batches = Annotated[
    list[int] | None, typer.Option("--batch", min=1, help="Puzzles in flight. Repeatable.", show_default="1 and 32")
]
Policies = Annotated[
    list[str] | None,
    typer.Option("--policy", help="fixed, adaptive or confidence. Repeatable.", show_default="fixed and adaptive"),
]
Runtimes = Annotated[
    list[str] | None,
    typer.Option("--runtime", help="torch, onnxruntime, … Repeatable.", show_default="all that run here"),
]
Output = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="Where the document goes, after every repetition.")
]
Compare = Annotated[
    Path | None, typer.Option(metavar="OTHER.json", help="Another run's document, to show what changed.")
]


@bench_app.command()
def bench(
    model: Models = None,
    checkpoint: Checkpoint = None,
    dataset: Dataset = None,
    batch: Batches = None,
    policy: Policies = None,
    runtime: Runtimes = None,
    puzzles: Annotated[int, typer.Option(min=1, help="Solve the first N puzzles in each repetition.")] = 200,
    repetitions: Annotated[int, typer.Option(min=1, help="How often everything is measured, in turns.")] = 3,
    threads: Annotated[int, typer.Option(min=0, help="Threads for every runtime; 0 takes every core.")] = 0,
    output: Output = None,
    compare: Compare = None,
    pictures: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw into this directory.")] = None,
    workdir: Workdir = None,
    json: Json = False,
) -> None:
    """Measure speed, memory and exact accuracy of every engine that runs here, beside PyTorch, in turns.

    Each has a process of its own. Without options, after `hrm-trt build`, it measures the demo. Ctrl-C keeps what was
    measured. What cannot run here is listed with the reason.
    """
    from hrm_trt.cli.bench import BenchOptions, bench_command

    options = BenchOptions(
        models=model or [],
        checkpoint=checkpoint,
        dataset=dataset,
        batches=batch or [],
        policies=policy or [],
        runtimes=runtime or [],
        puzzles=puzzles,
        repetitions=repetitions,
        threads=threads,
        output=output,
        compare=compare,
        pictures=pictures,
        workdir=workdir,
    )
    bench_command(options, json=json)
