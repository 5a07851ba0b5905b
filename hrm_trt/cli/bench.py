"""`hrm-trt bench`: what every runtime of this machine makes of one model, speed and accuracy side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from engines.act import PolicyName
from engines.runtimes import RUNTIMES
from hrm.errors import UnwritableError
from hrm.files import write_bytes
from hrm_trt.bench.compare import read_other
from hrm_trt.bench.plan import Request, make_plan
from hrm_trt.bench.run import run
from hrm_trt.cli.choices import choice
from hrm_trt.cli.console import print_json, results
from hrm_trt.cli.progress import relabelled_bar
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.bench.document import BenchDocument


@dataclass(frozen=True)
class BenchOptions:
    """What the command line says."""

    models: list[str]
    checkpoint: str | None
    dataset: Path | None
    batches: list[int]
    policies: list[str]
    runtimes: list[str]
    puzzles: int
    repetitions: int
    threads: int
    output: Path | None
    compare: Path | None
    pictures: Path | None
    workdir: Path | None


def bench_command(options: BenchOptions, *, json: bool) -> None:
    """Measure, keep and show."""
    for place in (options.output, None if options.pictures is None else options.pictures / "any"):
        if place is not None:
            _check_place(place)
    plan = make_plan(_request(options), Workdir(options.workdir))
    other = None if options.compare is None else read_other(options.compare, plan.material.checkpoint)
    kept: list[BenchDocument] = []

    def keep(document: BenchDocument) -> None:
        kept[:] = [document]
        if options.output is not None:
            write_bytes(options.output, (document.model_dump_json(indent=2) + "\n").encode())

    try:
        with relabelled_bar() as tell:
            run(plan, keep=keep, tell=tell)
    except KeyboardInterrupt:
        for document in kept:
            _show(document, other, options, json=json)
        raise
    _show(kept[0], other, options, json=json)


def _request(options: BenchOptions) -> Request:
    policies: list[PolicyName] = [choice("--policy", name, get_args(PolicyName)) for name in options.policies]
    return Request(
        checkpoint=options.checkpoint,
        models=options.models,
        dataset=options.dataset,
        runtimes=[choice("--runtime", name, RUNTIMES) for name in options.runtimes],
        batches=options.batches,
        policies=policies,
        puzzles=options.puzzles,
        repetitions=options.repetitions,
        threads=options.threads,
    )


def _check_place(path: Path) -> None:
    """See now whether a file can be written, and not after an hour.

    Raises:
        UnwritableError: it cannot.
    """
    home = next(parent for parent in path.absolute().parents if parent.exists())
    why = None
    if path.is_dir():
        why = "it is a directory"
    elif not home.is_dir():
        why = f"{home} is not a directory"
    elif not os.access(home, os.W_OK | os.X_OK):
        why = f"{home} is not writable"
    if why is not None:
        raise UnwritableError(f"cannot write {path}", why=why, hint="choose a place that this user may write to")


def _show(document: BenchDocument, other: BenchDocument | None, options: BenchOptions, *, json: bool) -> None:
    drawn: tuple[Path, ...] = ()
    if options.pictures is not None:
        from hrm_trt.bench.picture import draw

        drawn = draw(document, options.pictures)
    if json:
        print_json(document.model_dump(mode="json"))
        return
    from hrm_trt.bench.table import show

    results.print(show(document, other), highlight=False)
    for path in (*drawn, *([options.output] if options.output is not None else [])):
        results.print(f"  written  {path}", markup=False, highlight=False)
