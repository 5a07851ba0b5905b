"""The export stage: every file that a variant's engines are built from, in one directory."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from export.contract import CARRY, LOWERINGS, PUZZLE_TABLE, PUZZLE_TABLE_LIMIT, puzzle_input
from export.graphs import export_graphs
from export.models import write_graph
from export.parity import check_parity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from export.contract import Variant
    from hrm.network import HRM


def write_export(
    directory: Path,
    network: HRM,
    variant: Variant,
    *,
    source_digest: str,
    progress: Callable[[str], None],
    table_limit: int = PUZZLE_TABLE_LIMIT,
) -> list[dict[str, Any]]:
    """Export ``network``, compare every graph with it, and write all files; returns the comparison's rows.

    Args:
        directory: gets ``<module>.onnx``, the carry, and the puzzle table where a graph can't hold it.
        network: in float32.
        variant: how the graphs are written.
        source_digest: the checkpoint's, kept in the graphs' metadata.
        progress: called with the name of each piece of work before it begins.
        table_limit: bytes of the puzzle table above which it lies beside the graphs.

    Raises:
        ExportError: a graph cannot be made, or does not compute what the network computes.
        StorageError: the disk is full or failing.
    """
    graphs = export_graphs(network, variant, source_digest=source_digest, progress=progress, table_limit=table_limit)
    progress("parity with PyTorch")
    rows = check_parity(network, graphs, variant)
    for module, model in graphs.items():
        write_graph(model, directory / f"{module}.onnx")
    dtype = np.dtype(LOWERINGS[variant].dtype)
    states = {"z_H": network.H_init, "z_L": network.L_init}
    np.savez(directory / CARRY, **{name: state.numpy().astype(dtype) for name, state in states.items()})  # type: ignore[arg-type]
    if network.puzzle_emb is not None and puzzle_input(network.config, table_limit) == "puzzle_embedding":
        np.save(directory / PUZZLE_TABLE, network.puzzle_emb.weights.numpy().astype(dtype))
    return [asdict(row) for row in rows]
