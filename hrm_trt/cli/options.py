"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Workdir = Annotated[
    Path | None,
    typer.Option(
        "--workdir", envvar="HRM_TRT_WORKDIR", help="Where artefacts and bundles are kept.", show_default=".hrm-trt"
    ),
]
AllowEmulated = Annotated[
    bool,
    typer.Option(
        "--allow-emulated", help="Also publish what passed on a CPU in place of its GPU; the manifest says so."
    ),
]
