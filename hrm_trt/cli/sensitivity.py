"""`hrm-trt sensitivity`: which layers bear low precision, and what the precision `auto` makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from export.quantise.sites import ROLES
from hrm.files import write_bytes
from hrm_trt.cli.build import BuildOptions, make
from hrm_trt.cli.console import print_json, results
from hrm_trt.cli.progress import BuildView
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.pipeline.recipe import Recipe
    from hrm_trt.pipeline.sensitivity import Sensitivity
    from validation.sensitivity import Attempt, SearchRecord

_LEVELS = {"L_level": "executor", "H_level": "planner"}
_COLOURS = {"fp16": "yellow", "fp8": "cyan", "nvfp4": "green"}


@dataclass(frozen=True)
class SensitivityOptions:
    """What the command line says; None where it is silent."""

    recipe: Path | None
    checkpoint: str | None
    dataset: Path | None
    target: str
    quantise: list[str] | None
    limit: int | None
    evaluations: int | None
    threads: int | None
    output: Path | None


def sensitivity_command(options: SensitivityOptions, *, workdir: Path | None, json: bool) -> None:
    """Search, and show what was found."""
    from hrm_trt.pipeline.searching import too_few
    from hrm_trt.pipeline.sensitivity import explore

    place = Workdir(workdir)
    with BuildView() as view:
        found = explore(_recipe(options, place), place, emit=view)
    picture = found.picture if options.output is None else options.output
    if options.output is not None:
        write_bytes(options.output, found.picture.read_bytes())
    if json:
        print_json(_document(found, picture))
        return
    results.print(_alone(found.record))
    results.print(_attempts(found.record))
    results.print(_chosen(found.record))
    results.print(f"  search   {found.record.n:,} puzzles; accepted: {found.record.rule}", highlight=False)
    warning = too_few(found.record)
    if warning is not None:
        results.print(f"  [yellow]{escape(warning)}[/]", highlight=False)
    results.print(f"  picture  {escape(str(picture.resolve()))}")


def _recipe(options: SensitivityOptions, workdir: Workdir) -> Recipe:
    """The recipe of the build with `auto` that the search belongs to."""
    recipe = make(
        BuildOptions(
            recipe=options.recipe,
            checkpoint=options.checkpoint,
            dataset=options.dataset,
            targets=[options.target],
            precisions=["auto"],
            quantise=options.quantise,
            threads=options.threads,
        ),
        workdir,
    )
    given = {"limit": options.limit, "evaluations": options.evaluations}
    settings = recipe.quantise.search.model_copy(update={k: v for k, v in given.items() if v is not None})
    return recipe.model_copy(update={"quantise": recipe.quantise.model_copy(update={"search": settings})})


def _document(found: Sensitivity, picture: Path) -> dict[str, Any]:
    return {
        **found.record.model_dump(mode="json"),
        "target": found.pair.target,
        "work": found.record.best.work,
        "picture": str(picture.resolve()),
    }


def _alone(record: SearchRecord) -> Table:
    precision = record.formats[0].upper()
    table = Table(title=f"Every linear alone in {precision}", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("module", "layer", "linear"):
        table.add_column(name)
    for name in ("share of work", "drift", "lost/won", "loss"):
        table.add_column(name, justify="right")
    for each in record.alone:
        flips = f"{each.lost}/{each.won}" if each.finite else "[red]not finite[/]"
        table.add_row(*_place(each.site), f"{each.work:.1%}", f"{each.drift:.4f}", flips, f"{each.loss:.2%}")
    table.caption = "drift: mean distance of a cell's answer from FP16's, 0 to 1; by it linears are ranked"
    return table


def _attempts(record: SearchRecord) -> Table:
    table = Table(title="Tried, in this order", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("what")
    for name in ("low precision", "solved", "lost/won", "drift"):
        table.add_column(name, justify="right")
    table.add_column("accepted")
    for attempt in record.attempts:
        table.add_row(
            escape(attempt.why),
            _shares(attempt),
            f"{attempt.exact:.2%}",
            f"{attempt.lost}/{attempt.won}",
            f"{attempt.drift:.4f}",
            _verdict(record, attempt),
        )
    return table


def _shares(attempt: Attempt) -> str:
    return " + ".join(f"{share:.1%} {precision.upper()}" for precision, share in attempt.work.items()) or "–"


def _verdict(record: SearchRecord, attempt: Attempt) -> str:
    if attempt is record.best:
        return "[bold green]chosen[/]"
    if not attempt.finite:
        return "[red]not finite[/]"
    return "[green]yes[/]" if attempt.accepted else "[red]no[/]"


def _chosen(record: SearchRecord) -> Table:
    table = Table(title=f"Chosen: {_shares(record.best)} of the GEMM work", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("module", "layer", *ROLES.values()):
        table.add_column(name)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for site, precision in record.chosen.items():
        module, layer, role = _place(site)
        rows.setdefault((module, layer), {})[role] = f"[{_COLOURS[precision]}]{precision.upper()}[/]"
    for (module, layer), cells in rows.items():
        table.add_row(module, layer, *(cells[role] for role in ROLES.values()))
    return table


def _place(site: str) -> tuple[str, str, str]:
    """Module, layer and role of ``L_level.layers.0.self_attn.qkv_proj``, for people."""
    level, _, layer, linear = site.split(".", 3)
    return _LEVELS[level], layer, ROLES[linear]
