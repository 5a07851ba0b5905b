"""The validate stage: a bundle's answers compared with PyTorch's, and the verdict."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engines.bundle import GateRecord
from hrm.data.layout import IGNORE
from hrm_trt.pipeline.store import Step
from hrm_trt.pipeline.trial import ANSWERS, RUN_CODE, answer, baseline
from validation.checks import Check
from validation.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engines.act import PolicyName, Stepper
    from engines.bundle import BundleManifest
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.trial import Trial


_HERE = "hrm_trt.pipeline.judging"


@dataclass(frozen=True)
class Judged:
    """One bundle's verdict under one policy, and what it rests on."""

    manifest: BundleManifest
    record: GateRecord
    verdict: Verdict
    checks: tuple[Check, ...]
    reference: Artefact
    """PyTorch's answers."""
    answers: Artefact
    digest: str
    """Of the verdict and the checks."""

    @property
    def seconds(self) -> float:
        """What solving the puzzles took."""
        return self.answers.manifest.seconds


@dataclass(frozen=True)
class Candidate:
    """A bundle, and what answers the puzzles for it: its engines, or graphs on a CPU in their place."""

    manifest: BundleManifest
    digest: str
    """Of what answers."""
    open: Callable[[], Stepper]
    library: str
    """The package that computes the answers."""
    emulated: tuple[str, ...] = ()
    """Digests of the graphs, where they stand in for engines."""
    checks: tuple[Check, ...] = ()
    """What was found before any puzzle was solved."""

    @property
    def evidence(self) -> Literal["on-target", "emulated"]:
        """What a verdict on it rests on."""
        return "emulated" if self.emulated else "on-target"


def judge_bundle(trial: Trial, candidate: Candidate, policies: tuple[PolicyName, ...]) -> tuple[Judged, ...]:
    """The verdict on one bundle under each policy."""
    opened = functools.cache(candidate.open)
    reference = baseline(trial)
    checked = _check(trial, candidate, opened)
    return tuple(_judge(trial, candidate, opened, reference, checked, policy) for policy in policies)


def _judge(
    trial: Trial,
    candidate: Candidate,
    model: Callable[[], Stepper],
    reference: Artefact,
    checked: Artefact,
    name: PolicyName,
) -> Judged:
    policy, manifest = trial.policy(name), candidate.manifest
    threshold = policy.threshold if name == "confidence" else None
    identity = {"bundle": candidate.digest, "policy": [name, trial.depth, threshold]}
    answers = answer(trial, f"{manifest.name}, {name}", policy, model, identity, libraries=(candidate.library,))
    options = trial.settings.options()

    def work(_: Path) -> Any:
        return _verdict(trial, reference, answers, checked, candidate.checks)

    inputs = {
        "bundle": candidate.digest,
        "baseline": reference.digest,
        "answers": answers.digest,
        "checks": checked.digest,
        "earlier checks": [check.model_dump() for check in candidate.checks],
        "options": options.model_dump(mode="json"),
    }
    code = (_HERE, "validation.gate", "validation.verdict", "validation.statistics", "validation.checks")
    step = Step("gate", f"{manifest.name}, {name}", inputs=inputs, code=code, libraries=("scipy", "numpy"))
    artefact = trial.store.make(step, work)
    verdict = Verdict.model_validate(artefact.value["verdict"])
    checks = tuple(Check.model_validate(check) for check in artefact.value["checks"])
    record = _record(candidate, name, verdict, answers.value["steps"], threshold)
    return Judged(manifest, record, verdict, checks, reference, answers, artefact.digest)


def _verdict(
    trial: Trial, reference: Artefact, answers: Artefact, checked: Artefact, earlier: tuple[Check, ...]
) -> dict[str, Any]:
    from validation.checks import check_finite, check_varied
    from validation.evaluate import load_evaluation
    from validation.gate import judge, refuse

    ours, theirs = load_evaluation(answers.path / ANSWERS), load_evaluation(reference.path / ANSWERS)
    checks = [
        *earlier,
        check_finite(ours.answers),
        check_varied(trial.puzzles.inputs, ours.answers),
        *(Check.model_validate(check) for check in checked.value),
    ]
    judged = np.flatnonzero((trial.puzzles.labels != IGNORE).any(axis=1))  # nobody can solve the others
    compared = theirs.solved[judged], ours.solved[judged], trial.puzzles.groups[judged]
    verdict = judge(*compared, trial.settings.options())
    flips = {name: tuple(judged[list(getattr(verdict, name))].tolist()) for name in ("lost", "won")}
    return {
        "verdict": refuse(verdict.model_copy(update=flips), checks).model_dump(mode="json"),
        "checks": [check.model_dump() for check in checks],
    }


def _check(trial: Trial, candidate: Candidate, model: Callable[[], Stepper]) -> Artefact:
    sizes = candidate.manifest.profile.batch
    batches = (sizes.min, sizes.opt, sizes.max)

    precisions = sorted({candidate.manifest.precision, *candidate.manifest.origin.get("assignment", {}).values()})

    def work(_: Path) -> Any:
        from validation.checks import check_batch_independence, logit_tolerance

        tolerance = logit_tolerance(precisions)
        return [check_batch_independence(model(), trial.puzzles, batches, tolerance=tolerance).model_dump()]

    inputs = {**trial.inputs, "bundle": candidate.digest, "batches": batches, "precisions": precisions}
    code = (_HERE, *RUN_CODE, "validation.checks")
    step = Step("check", candidate.manifest.name, inputs=inputs, code=code, libraries=(candidate.library,))
    return trial.store.make(step, work)


def _record(
    candidate: Candidate, name: PolicyName, verdict: Verdict, mean_depth: float, threshold: float | None
) -> GateRecord:
    manifest = candidate.manifest
    return GateRecord(
        bundle=manifest.name,
        engines=tuple(engine.sha256 for engine in manifest.engines),
        target=manifest.target,
        precision=manifest.precision,
        policy=name,
        evidence=candidate.evidence,
        emulated=candidate.emulated,
        baseline_exact=verdict.baseline_exact,
        engine_exact=verdict.engine_exact,
        flips_lost=verdict.flips_lost,
        flips_won=verdict.flips_won,
        n=verdict.n,
        lower_bound=verdict.lower_bound,
        upper_bound=verdict.upper_bound,
        tolerance=verdict.tolerance,
        unit=verdict.unit,
        verdict=verdict.verdict,
        reason=verdict.reason,
        mean_depth=mean_depth,
        threshold=threshold,
    )
