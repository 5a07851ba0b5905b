"""From a checkpoint and its FP16 graphs to quantised ones: calibrate, quantise, and simulate what a CPU lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hrm_trt.pipeline.events import Progressed, Started
from hrm_trt.pipeline.stages import NETWORK_CODE, open_network
from hrm_trt.pipeline.store import Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from export.quantise.calibration import Calibration, Method
    from export.quantise.sites import Assignment, Quantisable
    from hrm_trt.pipeline.recipe import CalibrationSettings
    from hrm_trt.pipeline.store import Artefact, Store

CALIBRATION = "calibration.json"
WEIGHTS = "weights.npz"
_HERE = "hrm_trt.pipeline.quantising"
_GRAPH_CODE = ("export", "hrm.config", _HERE)
_GRAPH_LIBRARIES = ("onnx", "onnx-graphsurgeon", "numpy")


def calibrate(
    store: Store,
    loaded: Artefact,
    dataset: Path,
    settings: CalibrationSettings,
    method: Method,
    modules: tuple[Quantisable, ...],
    judged_on: tuple[str, ...],
) -> Artefact:
    """The magnitudes on real trajectories, in ``CALIBRATION``; value: how many puzzles of which split.

    Args:
        store: keeps the artefact.
        loaded: the checkpoint.
        dataset: where the puzzles are.
        settings: how many, and how they are chosen.
        method: how magnitudes become scales.
        modules: what will be quantised.
        judged_on: splits whose puzzles must not be calibrated on.

    Raises:
        DatasetError: there are no such puzzles, or some of them are judged on.
    """
    from engines.calibration.puzzles import calibration_split
    from hrm.data.record import digest_split

    split = settings.split or calibration_split(dataset)
    subject = f"{', '.join(modules)} on puzzles of {split}"

    def progress(done: int, total: int) -> None:
        store.emit(Progressed("calibrate", subject, done, total))

    def work(home: Path) -> Any:
        calibration = _measure(loaded, dataset, split, settings, method, modules, judged_on, progress)
        (home / CALIBRATION).write_text(calibration.model_dump_json(indent=2))
        return {"split": split, "puzzles": calibration.puzzles, "method": calibration.method}

    step = Step(
        "calibrate",
        subject,
        inputs={
            "checkpoint": loaded.digest,
            "dataset": digest_split(dataset, split),
            "judged on": [digest_split(dataset, other) for other in judged_on],
            "settings": settings.model_dump(mode="json") | {"split": split, "method": method},
            "modules": modules,
        },
        code=(*NETWORK_CODE, "hrm.data", "engines.calibration", "export.quantise", _HERE),
        libraries=("torch", "nvidia-modelopt", "numpy"),
    )
    return store.make(step, work)


def _measure(
    loaded: Artefact,
    dataset: Path,
    split: str,
    settings: CalibrationSettings,
    method: Method,
    modules: tuple[Quantisable, ...],
    judged_on: tuple[str, ...],
    progress: Callable[[int, int], None],
) -> Calibration:
    from engines.calibration.collect import calibrate as collect
    from engines.calibration.puzzles import refuse_overlap
    from export.quantise.calibration import Calibration, check_calibration
    from hrm.data.dataset import check_fits, read_info, read_split
    from hrm.data.record import digest_split

    network = open_network(loaded)
    check_fits(read_info(dataset, split), network.config)
    inputs, identifiers = _puzzles(dataset, split, settings)
    for other in judged_on:
        refuse_overlap(inputs, read_split(dataset, other).inputs, split, other)
    measured = collect(network, inputs, identifiers, modules=modules, method=method, progress=progress)
    calibration = Calibration(
        method=method,
        sites=measured.sites,
        segments=measured.segments,
        checkpoint=loaded.manifest.inputs["checkpoint"],
        dataset=digest_split(dataset, split),
        split=split,
        puzzles=len(inputs),
        seed=settings.seed,
        versions=measured.versions,
    )
    check_calibration(calibration)
    return calibration


def _puzzles(
    dataset: Path, split: str, settings: CalibrationSettings
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The token ids [N, S] and the identifiers [N] of the puzzles to calibrate on."""
    from engines.calibration.puzzles import choose
    from hrm.data.dataset import read_split

    puzzles = read_split(dataset, split)
    chosen = choose(settings.puzzles, len(puzzles), settings.seed)
    return puzzles.inputs[chosen], puzzles.puzzle_identifiers[chosen]


def compensate(
    store: Store,
    loaded: Artefact,
    dataset: Path,
    settings: CalibrationSettings,
    calibration: Artefact,
    assignment: Assignment,
) -> Artefact:
    """NVFP4 weights by GPTQ (``engines.calibration.gptq``) on the puzzles of ``calibration``, in ``WEIGHTS``."""
    sites = sorted(site for site, precision in assignment.items() if precision == "nvfp4")
    subject = f"{len(sites)} NVFP4 weights, by GPTQ"

    def progress(done: int, total: int) -> None:
        store.emit(Progressed("calibrate", subject, done, total))

    def work(home: Path) -> Any:
        from engines.calibration.compensate import compensate as rounded
        from export.quantise.calibration import read_calibration

        measured = read_calibration(calibration.path / CALIBRATION)
        inputs, identifiers = _puzzles(dataset, calibration.value["split"], settings)
        weights = rounded(open_network(loaded), inputs, identifiers, sites, measured, progress=progress)
        np.savez(home / WEIGHTS, **weights)  # type: ignore[arg-type]

    step = Step(
        "calibrate",
        subject,
        inputs={"checkpoint": loaded.digest, "calibration": calibration.digest, "sites": sites},
        code=(*NETWORK_CODE, "hrm.data", "engines.calibration", "export.quantise", _HERE),
        libraries=("torch", "numpy"),
    )
    return store.make(step, work)


def quantise(
    store: Store,
    graphs: Artefact,
    calibration: Artefact,
    assignment: Assignment,
    label: str,
    rounded: Artefact | None = None,
) -> Artefact:
    """The graphs with low precision where ``assignment`` has it; value: linears and bytes of each module.

    Args:
        store: keeps the artefact.
        graphs: in FP16.
        calibration: what scales are made from.
        assignment: what each linear computes in.
        label: for people.
        rounded: weights to take in place of the graphs' own, of ``compensate``.
    """
    subject = f"{label} graphs"

    def progress(part: str) -> None:
        store.emit(Started("quantise", f"{subject}: {part}"))

    def work(home: Path) -> Any:
        from export.quantise.calibration import read_calibration
        from export.quantise.stage import write_quantised

        measured = read_calibration(calibration.path / CALIBRATION)
        weights = {} if rounded is None else _read_weights(rounded.path / WEIGHTS)
        return write_quantised(home, graphs.path, assignment, measured, progress=progress, weights=weights)

    step = Step(
        "quantise",
        subject,
        inputs={
            "graphs": graphs.digest,
            "calibration": calibration.digest,
            "assignment": dict(assignment),
            "rounded": rounded and rounded.digest,
        },
        code=_GRAPH_CODE,
        libraries=_GRAPH_LIBRARIES,
    )
    return store.make(step, work)


def _read_weights(path: Path) -> dict[str, npt.NDArray[np.float16]]:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def simulate(store: Store, graphs: Artefact, label: str) -> Artefact:
    """What computes on a CPU what ``graphs`` compute in FP4 on a GPU; value: the rewrite, on record."""
    subject = f"{label} graphs for a CPU"

    def progress(part: str) -> None:
        store.emit(Started("simulate", f"{subject}: {part}"))

    def work(home: Path) -> Any:
        from export.quantise.stage import write_twin

        return write_twin(home, graphs.path, progress=progress)

    step = Step("simulate", subject, inputs={"graphs": graphs.digest}, code=_GRAPH_CODE, libraries=_GRAPH_LIBRARIES)
    return store.make(step, work)
