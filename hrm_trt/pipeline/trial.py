"""A trial: the puzzles that bundles are judged on, and PyTorch's and a bundle's answers to them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.act import Policy
from hrm.config import HRMConfig
from hrm_trt.pipeline.events import Progressed
from hrm_trt.pipeline.stages import open_network
from hrm_trt.pipeline.store import Step
from validation.observers import require_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engines.act import PolicyName, Stepper
    from engines.onnx_session import RuntimeOptions
    from engines.solving import Observer
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.recipe import GateSettings
    from hrm_trt.pipeline.store import Artefact, Store

ANSWERS = "answers.npz"
STAGE = "validate"
RUN_CODE = (
    "hrm_trt.pipeline.trial",
    "hrm.data",
    "hrm.metrics",
    "engines",
    "validation.evaluate",
    "validation.observers",
)


@dataclass(frozen=True)
class Trial:
    """What every gate of one build has in common."""

    store: Store
    architecture: Mapping[str, Any]
    """``HRMConfig.to_dict()``"""
    dataset: Path
    origin: Mapping[str, Any]
    """Which puzzles these are: split, digest, record."""
    settings: GateSettings
    execution: RuntimeOptions
    batch: int
    source: Artefact
    """The checkpoint, for PyTorch to answer; or its answers, where they came with the puzzles."""

    @functools.cached_property
    def puzzles(self) -> PuzzleSet:
        """The puzzles, read when the first stage needs them.

        Raises:
            DatasetError: they are damaged, or have changed since their record was written.
        """
        from hrm.data.dataset import read_split
        from hrm.data.record import check_record

        check_record(self.dataset)
        return read_split(self.dataset, self.settings.split, self.settings.limit)

    @property
    def depth(self) -> int:
        """The most segments that a puzzle gets."""
        return int(self.architecture["halt_max_steps"])

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


def prepare(
    store: Store, loaded: Artefact, dataset: Path, settings: GateSettings, execution: RuntimeOptions, batch: int
) -> Trial:
    """What the gates of a build need, checked as far as that goes without reading a puzzle.

    Raises:
        DatasetError: there is no such data set, or it does not fit the checkpoint.
    """
    from hrm.data.dataset import check_fits, read_info
    from hrm.data.record import digest_split, read_record

    architecture = loaded.value["architecture"]
    check_fits(read_info(dataset, settings.split), HRMConfig.from_dict(architecture))
    record = read_record(dataset)
    origin = {
        "split": settings.split,
        "sha256": digest_split(dataset, settings.split),
        "record": None if record is None else record.model_dump(mode="json"),
    }
    return Trial(store, architecture, dataset, origin, settings, execution, batch, loaded)


def baseline(trial: Trial) -> Artefact:
    """PyTorch's answers in float32 under the fixed policy."""
    if trial.source.manifest.stage == STAGE:
        return trial.source

    def model() -> Stepper:
        from engines.torch_runtime import torch_stepper

        return torch_stepper(open_network(trial.source), trial.execution.threads)

    identity = {"checkpoint": trial.source.digest, "policy": ["fixed", trial.depth]}
    code = ("hrm.config", "hrm.network", "hrm.checkpoint")
    return answer(
        trial,
        "PyTorch float32, fixed",
        trial.policy("fixed"),
        model,
        identity,
        code=code,
        libraries=("torch",),
        observers=(require_finite,),
    )


def answer(
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
            trial.store.emit(Progressed(STAGE, subject, done, total))

        evaluation = evaluate(model(), trial.puzzles, policy, batch=trial.batch, observers=observers, progress=progress)
        save_evaluation(home / ANSWERS, evaluation)
        return evaluation.metrics.to_dict()

    step = Step(
        STAGE,
        subject,
        inputs={**trial.inputs, **identity},
        code=(*RUN_CODE, *code),
        libraries=("numpy", *libraries),
    )
    return trial.store.make(step, work)
