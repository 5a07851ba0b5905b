"""The report of a build's gates: a page for people and JUnit XML for pipelines."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from hrm.files import sha256_files
from hrm.training import record
from hrm.training.journal import METRICS, read_metrics
from hrm_trt.pipeline import machine
from hrm_trt.pipeline.quantising import CALIBRATION
from hrm_trt.pipeline.store import Step
from hrm_trt.pipeline.trial import ANSWERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engines.bundle import BundleManifest
    from export.quantise.calibration import Calibration
    from hrm_trt.pipeline.judging import Judged
    from hrm_trt.pipeline.preparing import Prepared
    from hrm_trt.pipeline.store import Artefact
    from hrm_trt.pipeline.trial import Trial
    from validation.evaluate import Evaluation
    from validation.report.content import BundleResult, EngineRow, PolicyResult, Report, Training
    from validation.sensitivity import SearchRecord

PAGE = "report.html"
JUNIT = "junit.xml"


@dataclass(frozen=True)
class Subject:
    """What a report is about."""

    name: str
    origin: Mapping[str, Any]
    judged: tuple[Judged, ...]
    build_seconds: Mapping[str, float]
    """Seconds that each engine took to build, by its digest."""
    run: Path
    """Where the checkpoint lies; the report shows its training if its run is there too."""
    prepared: tuple[Prepared, ...] = ()
    """What the bundles were made from."""

    @property
    def calibration(self) -> Artefact | None:
        """What quantised bundles got their scales from."""
        return next((each.calibration for each in self.prepared if each.calibration is not None), None)

    @property
    def search(self) -> Artefact | None:
        """How the precision `auto` was found."""
        return next((each.search for each in self.prepared if each.search is not None), None)


def make_report(trial: Trial, subject: Subject) -> Artefact:
    """The report; made again only when a verdict, an engine or its origin has changed."""

    def work(home: Path) -> Any:
        from validation.junit import GateCase, write_junit
        from validation.report.render import write_report

        write_report(home / PAGE, _report(trial, subject))
        cases = [GateCase(one.manifest.name, one.record.policy, one.verdict, one.seconds) for one in subject.judged]
        write_junit(home / JUNIT, cases)

    step = Step(
        "report",
        subject.name,
        inputs={
            "gates": [one.digest for one in subject.judged],
            "records": [one.record.model_dump(mode="json") for one in subject.judged],
            "origin": dict(subject.origin),
            "vocabulary": subject.judged[0].manifest.vocabulary,
            "calibration": subject.calibration and subject.calibration.digest,
            "search": subject.search and subject.search.digest,
            "training": sha256_files([path for path in _run_files(subject.run) if path.is_file()], subject.run),
        },
        code=("validation", "hrm.data", "hrm_trt.pipeline.reporting"),
        libraries=("matplotlib", "jinja2", "junitparser"),
    )
    return trial.store.make(step, work)


def _report(trial: Trial, subject: Subject) -> Report:
    from hrm.data.tasks import task_of
    from validation.evaluate import load_evaluation
    from validation.report.content import Report

    reference = load_evaluation(subject.judged[0].reference.path / ANSWERS)
    checkpoint, dataset = subject.origin["checkpoint"], subject.origin["dataset"]
    architecture = checkpoint["architecture"]
    groups = groupby(subject.judged, key=lambda one: one.manifest.name)
    return Report(
        name=subject.name,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        checkpoint=f"{checkpoint['name']} ({checkpoint['parameters']:,} parameters)",
        dataset=f"{_short(trial.dataset)}, {dataset['split']} split, {len(trial.puzzles):,} puzzles",
        machine=f"{machine.processor()}, {platform.system()} {platform.release()}",
        task=task_of(architecture["vocab_size"], architecture["seq_len"], subject.judged[0].manifest.vocabulary),
        baseline_by_segment=reference.exact_by_segment or (),
        bundles=tuple(_bundle(trial, subject, reference, tuple(group)) for _, group in groups),
        training=_training(subject.run),
        calibration=_calibration(subject.calibration),
        search=_search(subject.search),
        versions=tuple(subject.origin["versions"].items()),
        digests=(("checkpoint", checkpoint["sha256"]), ("data set", dataset["sha256"])),
    )


def _calibration(artefact: Artefact | None) -> Calibration | None:
    from export.quantise.calibration import read_calibration

    return None if artefact is None else read_calibration(artefact.path / CALIBRATION)


def _search(artefact: Artefact | None) -> SearchRecord | None:
    from validation.sensitivity import SearchRecord

    return None if artefact is None else SearchRecord.model_validate(artefact.value)


def _run_files(run: Path) -> tuple[Path, Path]:
    return run / METRICS, run / record.FILE


def _training(run: Path) -> Training | None:
    """The training run that the checkpoint comes from, where it lies beside it and has ended."""
    from hrm.training.curve import curve_of
    from validation.report.content import Training

    found = record.read(run)
    if found is None or found.outcome is None:
        return None
    outcome = found.outcome
    facts = (
        ("Ended", f"after {outcome.steps:,} steps: {outcome.reason}"),
        ("Took", f"{outcome.seconds / 60:,.0f} min, {outcome.rows_per_second:,.0f} rows/s"),
        ("Machine", f"{found.machine['cores']} cores of {found.machine['processor']}; {found.device}"),
        ("Kept", f"step {outcome.best_step:,}: {outcome.evaluation['exact_accuracy']:.1%} of unseen puzzles solved"),
    )
    return Training(curve_of(read_metrics(run / METRICS)), facts)


def _short(path: Path) -> str:
    """The end of a path: a report is read elsewhere, and the digest tells which data set it was."""
    return "/".join(path.resolve().parts[-2:])


def _bundle(trial: Trial, subject: Subject, reference: Evaluation, judged: tuple[Judged, ...]) -> BundleResult:
    from validation.report.content import BundleResult

    manifest = judged[0].manifest
    return BundleResult(
        model=manifest.name,
        target=manifest.target,
        precision=manifest.precision,
        runtime=manifest.runtime,
        evidence=judged[0].record.evidence,
        engines=_engines(manifest, subject.build_seconds),
        policies=tuple(_policy(trial, reference, one) for one in judged),
    )


def _engines(manifest: BundleManifest, seconds: Mapping[str, float]) -> tuple[EngineRow, ...]:
    from validation.report.content import EngineRow

    return tuple(
        EngineRow(
            module=engine.module,
            precision=engine.precision,
            runtime=manifest.runtime,
            file=engine.file,
            bytes=engine.bytes,
            sha256=engine.sha256,
            seconds=seconds[engine.sha256],
        )
        for engine in manifest.engines
    )


def _policy(trial: Trial, reference: Evaluation, judged: Judged) -> PolicyResult:
    from validation.evaluate import load_evaluation
    from validation.report.content import policy_result

    return policy_result(
        trial.policy(judged.record.policy),
        judged.verdict,
        judged.checks,
        trial.puzzles,
        reference,
        load_evaluation(judged.answers.path / ANSWERS),
        judged.seconds,
    )
