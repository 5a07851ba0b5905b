"""The validate stage: puzzles solved by PyTorch and by a bundle, compared, and the verdict."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.act import Policy
from engines.bundle import GateRecord
from hrm.config import HRMConfig
from hrm_trt.pipeline.events import Progressed
from hrm_trt.pipeline.stages import open_network
from hrm_trt.pipeline.store import Step
from validation.checks import Check
from validation.observers import require_finite
from validation.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engines.act import Observer, PolicyName, Stepper
    from engines.bundle import BundleManifest
    from engines.onnx_runtime import RuntimeOptions
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.recipe import GateSettings
    from hrm_trt.pipeline.store import Artefact, Store

ANSWERS = "answers.npz"
_RUN_CODE = ("hrm.data", "hrm.metrics", "engines", "validation.evaluate", "validation.observers")


@dataclass(frozen=True)
class Trial:
    """What every gate of one build has in common."""

    store: Store
    loaded: Artefact
    dataset: Path
    origin: Mapping[str, Any]
    """Which puzzles these are: path, split, digests, record."""
    settings: GateSettings
    execution: RuntimeOptions
    batch: int

    @functools.cached_property
    def puzzles(self) -> PuzzleSet:
        """The puzzles, read when the first stage needs them."""
        from hrm.data.dataset import read_split

        return read_split(self.dataset, self.settings.split, self.settings.limit)

    @property
    def depth(self) -> int:
        """The most segments that a puzzle gets."""
        return int(self.loaded.value["architecture"]["halt_max_steps"])

    def policy(self, name: PolicyName) -> Policy:
        """The policy called ``name``, as this recipe sets it."""
        return Policy(name, self.depth, self.settings.threshold)

    @property
    def inputs(self) -> dict[str, Any]:
        """What answers depend on beside the model."""
        return {
            "dataset": self.origin["sha256"],
            "split": self.settings.split,
            "limit": self.settings.limit,
            "batch": self.batch,
            "threads": self.execution.threads,
        }


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


def prepare(
    store: Store, loaded: Artefact, dataset: Path, settings: GateSettings, execution: RuntimeOptions, batch: int
) -> Trial:
    """What the gates of a build need, checked as far as that goes without reading a puzzle.

    Raises:
        DatasetError: there is no such data set, it has changed since its record, or it does not fit the checkpoint.
    """
    from hrm.data.dataset import check_fits, read_info
    from hrm.data.record import digest_split, read_record

    check_fits(read_info(dataset, settings.split), HRMConfig.from_dict(loaded.value["architecture"]))
    record = read_record(dataset)
    origin = {
        "path": str(dataset.resolve()),
        "split": settings.split,
        "sha256": digest_split(dataset, settings.split),
        "record": None if record is None else record.model_dump(mode="json"),
    }
    return Trial(store, loaded, dataset, origin, settings, execution, batch)


def baseline(trial: Trial) -> Artefact:
    """PyTorch's answers in float32 under the fixed policy."""

    def model() -> Stepper:
        from engines.torch_runtime import torch_stepper

        return torch_stepper(open_network(trial.loaded), trial.execution.threads)

    identity = {"checkpoint": trial.loaded.digest, "policy": ["fixed", trial.depth]}
    code = ("hrm.config", "hrm.network", "hrm.checkpoint")
    return _answers(
        trial,
        "PyTorch float32, fixed",
        trial.policy("fixed"),
        model,
        identity,
        code=code,
        libraries=("torch",),
        observers=(require_finite,),
    )


def judge_bundle(
    trial: Trial, manifest: BundleManifest, bundle: Path, policies: tuple[PolicyName, ...]
) -> tuple[Judged, ...]:
    """The verdict on one bundle under each policy."""

    @functools.cache
    def model() -> Stepper:
        from engines.stepper import load_engines

        return load_engines(bundle, manifest, trial.execution)

    reference = baseline(trial)
    checked = _check(trial, manifest, model)
    return tuple(_judge(trial, manifest, model, reference, checked, policy) for policy in policies)


def _judge(
    trial: Trial,
    manifest: BundleManifest,
    model: Callable[[], Stepper],
    reference: Artefact,
    checked: Artefact,
    name: PolicyName,
) -> Judged:
    policy = trial.policy(name)
    identity = {"bundle": manifest.digest, "policy": [name, trial.depth, policy.threshold]}
    answers = _answers(trial, f"{manifest.name}, {name}", policy, model, identity, libraries=("onnxruntime",))
    options = trial.settings.options()

    def work(_: Path) -> Any:
        return _verdict(trial, reference, answers, checked)

    inputs = {
        "bundle": manifest.digest,
        "baseline": reference.digest,
        "answers": answers.digest,
        "checks": checked.digest,
        "options": options.model_dump(mode="json"),
    }
    code = ("validation.gate", "validation.verdict", "validation.statistics", "validation.checks")
    step = Step("gate", f"{manifest.name}, {name}", inputs=inputs, code=code, libraries=("scipy", "numpy"))
    artefact = trial.store.make(step, work)
    verdict = Verdict.model_validate(artefact.value["verdict"])
    checks = tuple(Check.model_validate(check) for check in artefact.value["checks"])
    record = _record(manifest, name, verdict, answers.value["steps"], policy)
    return Judged(manifest, record, verdict, checks, reference, answers, artefact.digest)


def _verdict(trial: Trial, reference: Artefact, answers: Artefact, checked: Artefact) -> dict[str, Any]:
    from validation.checks import check_finite, check_varied
    from validation.evaluate import load_evaluation
    from validation.gate import judge, refuse

    ours, theirs = load_evaluation(answers.path / ANSWERS), load_evaluation(reference.path / ANSWERS)
    checks = [
        check_finite(ours.answers),
        check_varied(trial.puzzles.inputs, ours.answers),
        *(Check.model_validate(check) for check in checked.value),
    ]
    verdict = judge(theirs.solved, ours.solved, trial.puzzles.groups, trial.settings.options())
    return {
        "verdict": refuse(verdict, checks).model_dump(mode="json"),
        "checks": [check.model_dump() for check in checks],
    }


def _answers(
    trial: Trial,
    subject: str,
    policy: Policy,
    model: Callable[[], Stepper],
    identity: dict[str, Any],
    *,
    libraries: tuple[str, ...],
    code: tuple[str, ...] = (),
    observers: tuple[Observer, ...] = (),
) -> Artefact:
    """One model's answers to the trial's puzzles; value: the official metrics."""

    def work(home: Path) -> Any:
        from validation.evaluate import evaluate, save_evaluation

        def progress(done: int, total: int) -> None:
            trial.store.emit(Progressed("validate", subject, done, total))

        evaluation = evaluate(model(), trial.puzzles, policy, batch=trial.batch, observers=observers, progress=progress)
        save_evaluation(home / ANSWERS, evaluation)
        return evaluation.metrics.to_dict()

    step = Step(
        "validate",
        subject,
        inputs={**trial.inputs, **identity},
        code=(*_RUN_CODE, *code),
        libraries=("numpy", *libraries),
    )
    return trial.store.make(step, work)


def _check(trial: Trial, manifest: BundleManifest, model: Callable[[], Stepper]) -> Artefact:
    batches = (manifest.profile.batch.min, manifest.profile.batch.opt, manifest.profile.batch.max)

    def work(_: Path) -> Any:
        from validation.checks import check_batch_independence

        return [check_batch_independence(model(), trial.puzzles, batches).model_dump()]

    inputs = {**trial.inputs, "bundle": manifest.digest, "batches": batches}
    code = (*_RUN_CODE, "validation.checks")
    step = Step("check", manifest.name, inputs=inputs, code=code, libraries=("onnxruntime",))
    return trial.store.make(step, work)


def _record(
    manifest: BundleManifest, name: PolicyName, verdict: Verdict, mean_depth: float, policy: Policy
) -> GateRecord:
    return GateRecord(
        bundle=manifest.name,
        engines=tuple(engine.sha256 for engine in manifest.engines),
        target=manifest.target,
        precision=manifest.precision,
        policy=name,
        evidence="on-target",
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
        threshold=policy.threshold if name == "confidence" else None,
    )
