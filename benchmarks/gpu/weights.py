"""Weights in parts that are small enough to be carried, and whole again.

    python benchmarks/gpu/weights.py PARTS MODEL.safetensors

PARTS is the directory that train_sudoku.py wrote to: its JSON says which parts there are and what they must add up to.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hrm.files import sha256_bytes, write_bytes

RESULT = "gpu_sudoku_9x9.json"
PART_BYTES = 15 * 2**20


def split(path: Path, directory: Path) -> dict[str, Any]:
    """Write the file at ``path`` to ``directory`` in parts; what ``join`` needs to know."""
    data = path.read_bytes()
    parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    names = [f"{path.name}.{number}" for number in range(1, len(parts) + 1)]
    for name, part in zip(names, parts, strict=True):
        write_bytes(directory / name, part)
    return {"sha256": sha256_bytes(data), "bytes": len(data), "parts": names}


def join(directory: Path, path: Path) -> None:
    """Put the parts in ``directory`` together again, checked against the digest of the whole."""
    weights = json.loads((directory / RESULT).read_text())["weights"]
    data = b"".join((directory / name).read_bytes() for name in weights["parts"])
    found = sha256_bytes(data)
    if found != weights["sha256"]:
        raise SystemExit(f"the parts have the digest {found}, not {weights['sha256']}: fetch them again")
    write_bytes(path, data)
    print(f"{path}: {len(data):,} bytes, sha256 {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    join(arguments.parts, arguments.model)


if __name__ == "__main__":
    main()
