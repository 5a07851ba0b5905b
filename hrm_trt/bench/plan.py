"""What a benchmark is going to do, checked before anything is measured."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from engines.act import Policy
from hrm.errors import MissingError, UsageError
from hrm_trt.bench.labels import label
from hrm_trt.bench.limit import largest_product
from hrm_trt.bench.material import gather, read_trial
from hrm_trt.bench.subjects import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engines.act import PolicyName
    from hrm.config import HRMConfig
    from hrm_trt.bench.document import Refused
    from hrm_trt.bench.limit import Shape
    from hrm_trt.bench.material import Material, Trial
    from hrm_trt.bench.subjects import Subject
    from hrm_trt.pipeline.workdir import Workdir

BATCHES = (1, 32)
POLICIES: tuple[PolicyName, ...] = ("fixed", "adaptive")
_FLOAT = 4


@dataclass(frozen=True)
class Request:
    """What was asked for; empty where nothing was."""

    checkpoint: str | None
    models: Sequence[str]
    dataset: Path | None
    runtimes: Sequence[str]
    batches: Sequence[int]
    policies: Sequence[PolicyName]
    puzzles: int
    repetitions: int
    threads: int
    """0 for every core."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and how."""

    material: Material
    trial: Trial
    subjects: tuple[Subject, ...]
    refused: tuple[Refused, ...]
    batches: tuple[int, ...]
    policies: tuple[Policy, ...]
    repetitions: int
    threads: int

    @property
    def product(self) -> Shape:
        """The model's largest matrix product at the largest batch."""
        return largest_product(self.material.config, max(self.batches))


def make_plan(request: Request, workdir: Workdir) -> Plan:
    """Find what was asked for, and check that it can be measured.

    Raises:
        MissingError: nothing that was asked for runs here, or a batch does not fit into the memory.
        UsageError: what was asked for does not exist, or does not fit together.
    """
    material = gather(request.checkpoint, request.models, request.dataset, workdir)
    found = find(material, request.runtimes)
    if not found.subjects:
        raise _nothing_runs(found.refused)
    batches = _batches(request.batches, found.subjects)
    check_memory(material.config, batches, material.parameters, psutil.virtual_memory().available)
    return Plan(
        material=material,
        trial=read_trial(material, request.puzzles),
        subjects=found.subjects,
        refused=found.refused,
        batches=batches,
        policies=tuple(_policy(name, material) for name in dict.fromkeys(request.policies or POLICIES)),
        repetitions=request.repetitions,
        threads=request.threads or len(os.sched_getaffinity(0)),
    )


def least_bytes(config: HRMConfig, batch: int, parameters: int) -> int:
    """Memory that no float32 engine can do without, in bytes: its weights, and what is alive in the middle of an MLP.

    For each token that is both states and the input embeddings, the block's residual, the fused gate and up, and
    their product. Runtimes take more.
    """
    token = 4 * config.hidden_size + 3 * config.mlp_width
    return _FLOAT * (parameters + batch * config.tokens * token)


def check_memory(config: HRMConfig, batches: Sequence[int], parameters: int, available: int) -> None:
    """Refuse batches that cannot fit.

    Raises:
        MissingError: the largest one needs more than is free, with one that would fit.
    """
    needed = least_bytes(config, max(batches), parameters)
    if needed <= available:
        return
    empty = least_bytes(config, 0, parameters)
    fits = (available - empty) // (least_bytes(config, 1, parameters) - empty)
    raise MissingError(
        f"a batch of {max(batches)} does not fit into this machine's memory",
        why=f"it needs {needed / 2**30:.1f} GiB at the very least, and {available / 2**30:.1f} GiB are free",
        hint=f"--batch {_power_of_two(fits)} may fit" if fits >= 1 else "close other programs",
    )


def _power_of_two(most: int) -> int:
    return 1 << (most.bit_length() - 1)


def _batches(asked: Sequence[int], subjects: Sequence[Subject]) -> tuple[int, ...]:
    """The batches to measure, small ones first; those asked for, or as many of ``BATCHES`` as every engine takes.

    Raises:
        UsageError: an engine was not built for one that was asked for.
    """
    built = [(subject, subject.batches) for subject in subjects if subject.batches is not None]
    if not asked:
        most = min((sizes.max for _, sizes in built), default=max(BATCHES))
        return tuple(sorted({min(batch, most) for batch in BATCHES}))
    for subject, sizes in built:
        for batch in asked:
            if not sizes.min <= batch <= sizes.max:
                raise UsageError(
                    f"{subject.model or label(subject)} does not take a batch of {batch}",
                    why=f"its engines were built for {sizes.min} to {sizes.max} puzzles",
                    hint="leave that --batch out, or build with a larger `profile` in the recipe",
                )
    return tuple(sorted(set(asked)))


def _policy(name: PolicyName, material: Material) -> Policy:
    """The policy for all subjects, with the threshold that a bundle was gated with."""
    depth = material.config.halt_max_steps
    gates = (gate for model in material.models for gate in model.manifest.gates if gate.policy == name)
    threshold = next((gate.threshold for gate in gates if gate.threshold is not None), None)
    return Policy.of(name, depth, threshold)


def _nothing_runs(refused: Sequence[Refused]) -> MissingError:
    reasons = dict.fromkeys(f"{each.runtime} {each.target}: {each.reason}" for each in refused)
    return MissingError(
        "nothing that was asked for runs on this machine",
        why="; ".join(reasons) or "no runtime was found",
        hint="`hrm-trt doctor` lists what this machine can build and run",
    )
