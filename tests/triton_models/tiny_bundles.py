"""Bundle directories as the pipeline writes them, from engines that a test has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from tiny_graphs import HIDDEN, PUZZLES, VOCAB, tiny_graph

from engines.bundle import (
    MANIFEST,
    MODULES,
    BundleManifest,
    EngineFile,
    GateRecord,
    Profile,
    Range,
    StoredFile,
    Topology,
)
from export.contract import CARRY, PUZZLE_TABLE
from hrm.config import HRMConfig
from hrm.files import sha256_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.contract import Module

Verdict = Literal["pass", "fail", "inconclusive"]
TINY = HRMConfig(
    vocab_size=VOCAB,
    seq_len=3,
    num_puzzle_identifiers=PUZZLES,
    hidden_size=HIDDEN,
    num_heads=1,
    H_layers=1,
    L_layers=1,
    H_cycles=1,
    L_cycles=1,
    halt_max_steps=4,
    puzzle_emb_ndim=HIDDEN,
)


def tiny_bundle(directory: Path, topology: Topology = "segment", *, seed: int = 0, **options: Any) -> Path:
    """A bundle of tiny engines; ``options`` as for ``write_bundle``, a carry of one's own among them."""
    takes = "puzzle_identifiers" if options.get("puzzle_table") is None else "puzzle_embedding"
    engines = {module: tiny_graph(module, seed, takes) for module in MODULES[topology]}
    z_H, z_L = np.random.default_rng(seed).normal(size=(2, HIDDEN)).astype(np.float32)
    carry = options.pop("carry", {"z_H": z_H, "z_L": z_L})
    return write_bundle(directory, topology, engines, carry, TINY, **options)


def write_bundle(
    directory: Path,
    topology: Topology,
    engines: Mapping[Module, bytes],
    carry: Mapping[str, np.ndarray],
    config: HRMConfig,
    *,
    verdicts: Mapping[str, Verdict] | None = None,
    opt_batch: int = 1,
    max_batch: int = 4,
    puzzle_table: np.ndarray | None = None,
    threshold: float = 0.95,
    **manifest: Any,
) -> Path:
    """Write a bundle with its manifest; ``fixed`` passed unless ``verdicts`` says otherwise."""
    directory.mkdir(parents=True)
    stored = tuple(
        EngineFile(**_stored(directory / f"{module}.onnx", engines[module]), module=module, precision="fp32")
        for module in MODULES[topology]
    )
    np.savez(directory / CARRY, **carry)
    if puzzle_table is not None:
        np.save(directory / PUZZLE_TABLE, puzzle_table)
    verdicts = {"fixed": "pass"} if verdicts is None else verdicts
    digests = tuple(engine.sha256 for engine in stored)
    values = {
        "name": directory.name,
        "topology": topology,
        "target": "cpu",
        "precision": "fp32",
        "runtime": "onnxruntime",
        "architecture": config.to_dict(),
        "profile": Profile(
            batch=Range(min=1, opt=opt_batch, max=max_batch),
            sequence=Range(min=1, opt=config.seq_len, max=config.seq_len),
        ),
        "engines": stored,
        "carry": StoredFile(**_stored(directory / CARRY)),
        "puzzle_table": None if puzzle_table is None else StoredFile(**_stored(directory / PUZZLE_TABLE)),
        "origin": {"checkpoint": {"name": "tiny", "sha256": "0" * 64}},
        "gates": tuple(
            _gate(directory.name, digests, policy, verdict, threshold) for policy, verdict in verdicts.items()
        ),
    }
    document = BundleManifest(**values | manifest)
    write_json(directory / MANIFEST, document.model_dump(mode="json"))
    return directory


def _stored(path: Path, data: bytes | None = None) -> dict[str, Any]:
    if data is not None:
        path.write_bytes(data)
    data = path.read_bytes()
    return {"file": path.name, "sha256": sha256_bytes(data), "bytes": len(data)}


def _gate(bundle: str, engines: tuple[str, ...], policy: str, verdict: Verdict, threshold: float) -> GateRecord:
    return GateRecord(
        bundle=bundle,
        engines=engines,
        target="cpu",
        precision="fp32",
        policy=policy,
        evidence="on-target",
        baseline_exact=0.9,
        engine_exact=0.9,
        flips_lost=0,
        flips_won=0,
        n=1000,
        lower_bound=0.0,
        upper_bound=0.003,
        tolerance=0.01,
        unit="points",
        verdict=verdict,
        reason="no flips",
        mean_depth=4.0,
        threshold=threshold if policy == "confidence" else None,
    )
