"""What an assignment of precisions makes of puzzles: its graphs written, run on a CPU, and thrown away.

Every measurement is kept: a search that was killed goes on where it was, and one with more evaluations adds to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.act import Policy
from export.quantise.sites import quantised
from hrm_trt.pipeline.events import Progressed
from hrm_trt.pipeline.quantising import CALIBRATION
from hrm_trt.pipeline.store import Step
from validation.drift import AnswerRecorder, DriftMeter
from validation.observers import require_finite
from validation.sensitivity import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engines.onnx_session import RuntimeOptions
    from engines.solving import Observer
    from export.contract import Module
    from export.quantise.sites import Assignment
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.store import Artefact, Store
    from validation.evaluate import Evaluation

BATCH = 128
"""Puzzles per call: a CPU gains nothing from more, and memory does."""
CODE = (
    "hrm_trt.pipeline.measuring",
    "hrm.config",
    "hrm.data",
    "hrm.metrics",
    "export",
    "engines.act",
    "engines.slots",
    "engines.solving",
    "engines.loading",
    "engines.onnx_runtime",
    "engines.onnx_session",
    "engines.stepper",
    "validation.drift",
    "validation.evaluate",
    "validation.observers",
)
LIBRARIES = ("numpy", "onnx", "onnx-graphsurgeon", "onnxruntime")
_SOLVED, _PROBABILITIES = "solved.npy", "probabilities.npz"
_MODULES: tuple[Module, ...] = ("encoder", "segment")


@dataclass(frozen=True)
class Material:
    """What assignments are measured on."""

    graphs: Artefact
    """In FP16."""
    calibration: Artefact
    architecture: Mapping[str, Any]
    puzzles: PuzzleSet
    """Each with a label."""
    origin: Mapping[str, Any]
    """Which puzzles these are."""
    options: RuntimeOptions


class Measuring:
    """Runs assignments under the fixed policy, the baseline, everything in FP16, first.

    Args:
        store: keeps the measurements.
        material: what they are made on.
        most: how many there will be at most, for the time that is left.

    Raises:
        EngineError: ONNX Runtime refuses a graph, or the baseline's numbers overflow.
    """

    def __init__(self, store: Store, material: Material, most: int) -> None:
        self._store = store
        self._material = material
        self._most = most
        self._done = 0
        self._policy = Policy("fixed", material.architecture["halt_max_steps"])
        self._reference = self._measure("everything in FP16", {"calibration": None}, self._answer)
        self.baseline = _outcome(self._reference)

    def __call__(self, assignment: Assignment) -> Outcome:
        """What ``assignment`` makes of the puzzles."""
        low = quantised(dict(sorted(assignment.items())))
        if not low:
            return self.baseline
        subject, material = _describe(low), self._material
        identity = {
            "calibration": material.calibration.digest,
            "assignment": low,
            "baseline": self._reference.digest,
        }

        def work(home: Path, subject: str) -> Any:
            with TemporaryDirectory(dir=home) as directory:
                return self._compare(home, self._write(Path(directory), low), subject)

        return _outcome(self._measure(subject, identity, work))

    def _measure(self, subject: str, identity: dict[str, Any], work: Any) -> Artefact:
        material = self._material
        inputs = {
            **material.origin,
            **identity,
            "graphs": material.graphs.digest,
            "batch": BATCH,
            "threads": material.options.threads,
        }
        step = Step("measure", subject, inputs=inputs, code=CODE, libraries=LIBRARIES)
        artefact = self._store.make(step, lambda home: work(home, subject))
        self._done += 1
        return artefact

    def _answer(self, home: Path, subject: str) -> Any:
        """The baseline: its answers are kept for others to be compared with."""
        puzzles, cells = self._material.puzzles.inputs.shape
        recorder = AnswerRecorder(puzzles, cells, self._material.architecture["vocab_size"], self._policy.max_depth)
        evaluation = self._run(self._material.graphs.path, (require_finite, recorder), subject)
        np.savez_compressed(home / _PROBABILITIES, probabilities=recorder.probabilities)
        return _keep(home, evaluation, 0.0)

    def _compare(self, home: Path, graphs: Path, subject: str) -> Any:
        with np.load(self._reference.path / _PROBABILITIES, allow_pickle=False) as stored:
            meter = DriftMeter(stored["probabilities"])
        return _keep(home, self._run(graphs, (meter,), subject), meter.drift)

    def _write(self, directory: Path, assignment: Assignment) -> Path:
        """The graphs that compute on a CPU what ``assignment`` computes on a GPU."""
        from export.quantise.calibration import read_calibration
        from export.quantise.stage import write_quantised, write_twin

        quantised, twin = directory / "quantised", directory / "twin"
        calibration = read_calibration(self._material.calibration.path / CALIBRATION)
        quantised.mkdir()
        write_quantised(quantised, self._material.graphs.path, assignment, calibration, progress=_ignore)
        if "nvfp4" not in assignment.values():
            return quantised
        twin.mkdir()
        write_twin(twin, quantised, progress=_ignore)
        return twin

    def _run(self, graphs: Path, observers: tuple[Observer, ...], subject: str) -> Evaluation:
        from engines.loading import load_graphs
        from validation.evaluate import evaluate

        material = self._material
        stepper = load_graphs(graphs, _MODULES, material.architecture, material.options)

        def progress(done: int, total: int) -> None:
            self._store.emit(Progressed("measure", subject, self._done * total + done, self._most * total))

        return evaluate(stepper, material.puzzles, self._policy, batch=BATCH, observers=observers, progress=progress)


def _keep(home: Path, evaluation: Evaluation, drift: float) -> dict[str, Any]:
    np.save(home / _SOLVED, evaluation.solved)
    return {
        "exact": float(evaluation.solved.mean()),
        "drift": drift,
        "finite": bool(evaluation.answers.finite.all()),
    }


def _outcome(artefact: Artefact) -> Outcome:
    solved = np.load(artefact.path / _SOLVED, allow_pickle=False)
    return Outcome(solved, artefact.value["drift"], artefact.value["finite"])


def _describe(low: Assignment) -> str:
    """One linear by its name; several by how many there are of each precision."""
    if len(low) == 1:
        return " in ".join(next(iter(low.items())))
    return " and ".join(f"{count} linears in {name}" for name, count in sorted(Counter(low.values()).items()))


def _ignore(part: str) -> None:
    del part
