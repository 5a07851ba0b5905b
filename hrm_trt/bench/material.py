"""What a benchmark is of: one checkpoint, the bundles that were built from it, and puzzles with their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hrm.checkpoint import locate
from hrm.data.dataset import check_fits, read_split
from hrm.data.layout import IGNORE
from hrm.data.record import digest_split
from hrm.errors import BundleError, DatasetError, UsageError
from hrm_trt.pipeline import demo
from hrm_trt.pipeline.models import find_model
from hrm_trt.pipeline.stages import WEIGHTS
from hrm_trt.pipeline.store import read_artefact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrm.checkpoint import Located
    from hrm.config import HRMConfig
    from hrm.data.dataset import PuzzleSet
    from hrm_trt.pipeline.models import Model
    from hrm_trt.pipeline.workdir import Workdir


@dataclass(frozen=True)
class Material:
    """One checkpoint and what was built from it."""

    name: str
    checkpoint: str
    """Digest."""
    parameters: int
    config: HRMConfig
    weights: Located | None
    """Where the checkpoint lies; None where it is not on this machine."""
    models: tuple[Model, ...]
    dataset: Path | None
    """What `--dataset` was given."""


class Trial(NamedTuple):
    """The puzzles that are solved."""

    puzzles: PuzzleSet
    digest: str
    """Of the whole split."""


def gather(checkpoint: str | None, names: Sequence[str], dataset: Path | None, workdir: Workdir) -> Material:
    """One checkpoint and its bundles: the named ones, or all that the work directory has of it.

    Args:
        checkpoint: as `--checkpoint` takes it; None for the one that the bundles were built from.
        names: bundles; where there are none and no checkpoint either, the demo's is meant.
        dataset: what `--dataset` was given.
        workdir: where bundles are looked up.

    Raises:
        BundleError: there is no such bundle.
        CheckpointError: there is no such checkpoint.
        UsageError: the bundles are not of one checkpoint.
    """
    located = None if checkpoint is None else locate(checkpoint)
    named = tuple(find_model(name, workdir) for name in names)
    digest = located.digest() if located is not None else _source(named[0] if named else find_model(None, workdir))
    for model in named:
        if _source(model) != digest:
            raise UsageError(
                f"{model.name} is not of the checkpoint that is measured",
                why=f"it was built from {_source(model)[:12]}…, and the others are of {digest[:12]}…",
                hint="one run measures one checkpoint: name its bundles alone",
            )
    models = named or tuple(_built_from(digest, workdir))
    located = located or _stored(digest, workdir)
    if models:
        known = _origin(models[0])
        config, name, parameters = models[0].config, known["name"], int(known.get("parameters", 0))
    elif located is not None:
        config, parameters = _read(located, dataset)
        name = located.name
    else:  # a bundle that this version cannot read was the only one
        raise BundleError("nothing to measure", why="no bundle can be read", hint="build it again: `hrm-trt build`")
    return Material(name, digest, parameters, config, located, models, dataset)


def read_trial(material: Material, limit: int) -> Trial:
    """The first ``limit`` puzzles of the split that the bundles were gated on.

    Raises:
        BundleError: they are not known here.
        DatasetError: they cannot be read, do not fit the model, or have no answers.
        UsageError: there is nothing that says which they are.
    """
    directory = material.dataset or _dataset(material)
    split = material.models[0].split if material.models else "test"
    puzzles = read_split(directory, split, limit)
    check_fits(puzzles.info, material.config)
    if not (puzzles.labels != IGNORE).any():
        raise DatasetError(
            f"the first {len(puzzles)} puzzles of {directory} have no answers",
            why="speed is measured together with accuracy, and never without",
            hint="pass a data set with labels, or more --puzzles",
        )
    return Trial(puzzles, digest_split(directory, split))


def _dataset(material: Material) -> Path:
    if material.models:
        return material.models[0].dataset(None)
    beside = None if material.weights is None else material.weights.weights.parent / "dataset"
    if beside is None or not beside.is_dir():
        raise UsageError("no puzzles to measure on", why="a checkpoint names none", hint="pass --dataset DIR")
    return beside


def _built_from(digest: str, workdir: Workdir) -> Iterator[Model]:
    """The bundles in the work directory that were built from this checkpoint."""
    for name in workdir.bundles():
        try:
            model = find_model(name, workdir)
        except BundleError:  # another version's; nobody asked for it
            continue
        if _source(model) == digest:
            yield model


def _stored(digest: str, workdir: Workdir) -> Located | None:
    """Where this machine has the checkpoint that bundles were built from: in the work directory, or the demo's."""
    for home in sorted((workdir.root / "artefacts" / "load").glob("*")):
        artefact = read_artefact(home)
        if artefact is not None and artefact.manifest.inputs.get("checkpoint") == digest:
            return locate(home / WEIGHTS)
    bundled = locate(demo.home())
    return bundled if bundled.digest() == digest else None


def _read(located: Located, dataset: Path | None) -> tuple[HRMConfig, int]:
    """A checkpoint's architecture and parameters."""
    from hrm.checkpoint.loading import load

    loaded = load(located, dataset)
    return loaded.config, sum(tensor.numel() for tensor in loaded.tensors.values())


def _origin(model: Model) -> dict[str, Any]:
    origin: dict[str, Any] = model.manifest.origin["checkpoint"]
    return origin


def _source(model: Model) -> str:
    """The digest of the checkpoint that a bundle was built from."""
    return str(_origin(model)["sha256"])
