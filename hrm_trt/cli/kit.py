"""`hrm-trt pack` and `hrm-trt unpack`: a build that another machine finishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.filesize import decimal
from rich.markup import escape

from hrm.errors import UsageError
from hrm_trt.cli.console import print_json, program, results
from hrm_trt.cli.progress import BuildView
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from pathlib import Path

    from hrm_trt.cli.build import BuildOptions


def pack_command(kit: Path, options: BuildOptions, *, workdir: Path | None, json: bool) -> None:
    """Do what needs no GPU, and write the kit."""
    from hrm_trt.cli.build import make
    from hrm_trt.pipeline.kit import pack

    place = Workdir(workdir)
    with BuildView() as view:
        packed = pack(make(options, place), place, kit, emit=view)
    pairs = [each.pair for each in packed.pairs]
    if json:
        listed = [pair._asdict() for pair in pairs]
        print_json({"format_version": 1, "kit": str(kit.resolve()), "bytes": kit.stat().st_size, "pairs": listed})
        return
    results.print(f"packed [bold]{escape(str(kit))}[/], {decimal(kit.stat().st_size)}: {', '.join(map(str, pairs))}")
    results.print(f"on the machine with the GPU: [bold]hrm-trt build {escape(kit.name)}[/]")


def unpack_command(built: Path, *, workdir: Path | None, json: bool) -> None:
    """Bring home what came of a kit."""
    from hrm_trt.pipeline.kit import unpack

    if not built.is_file():
        raise UsageError(
            f"no file {built}", why="unpack takes what `hrm-trt build KIT` wrote", hint="it ends in .built.kit"
        )
    bundles = unpack(built, Workdir(workdir))
    if json:
        print_json({"format_version": 1, "bundles": {name: str(path) for name, path in bundles.items()}})
        return
    for name in bundles:
        results.print(f"[green]✓[/] {escape(name)}")
    if bundles:
        results.print(f"try next: [bold]{program()} inspect {escape(next(iter(bundles)))}[/]")
