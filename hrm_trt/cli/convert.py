"""`hrm-trt convert`: an official checkpoint as one safetensors file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrm.errors import UsageError
from hrm_trt.cli.console import print_json, results

if TYPE_CHECKING:
    from pathlib import Path


def convert_command(checkpoint: str, output: Path, *, dataset: Path | None, json: bool) -> None:
    """Read ``checkpoint`` and write ``output``."""
    from hrm.checkpoint import locate
    from hrm.checkpoint.loading import load
    from hrm.checkpoint.native import save
    from hrm.files import sha256_file

    if output.suffix != ".safetensors":
        raise UsageError(
            f"cannot write {output}",
            why="checkpoints of this project's own are told by their ending",
            hint=f"name it {output.with_suffix('.safetensors')}",
        )
    loaded = load(locate(checkpoint), dataset)
    save(loaded.config, loaded.tensors, output)
    document = {
        "format_version": 1,
        "checkpoint": checkpoint,
        "output": str(output.resolve()),
        "sha256": sha256_file(output),
        "bytes": output.stat().st_size,
        "architecture": loaded.config.to_dict(),
    }
    if json:
        print_json(document)
    else:
        results.print(f"{output}: {document['bytes']:,} bytes, sha256 {document['sha256']}")
