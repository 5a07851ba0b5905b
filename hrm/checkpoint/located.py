"""Where a checkpoint lies: what the user wrote, turned into files that exist. Opens none of them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from hrm import hub
from hrm.errors import CheckpointError
from hrm.files import sha256_file, sha256_json

CONFIG = "all_config.yaml"
NATIVE = "model.safetensors"
_STEP = re.compile(r"step_([0-9]+)")
_SHORT_COMMIT = 12
_HINT = f"pass a directory with {CONFIG} and step_<N>, a *.safetensors file, or hf://<repository>@<revision>"


@dataclass(frozen=True)
class Located:
    """A checkpoint found on disk and not yet opened."""

    given: str
    """What the user wrote."""
    weights: Path
    """``step_<N>``, ``checkpoint`` or ``*.safetensors``."""
    config: Path | None
    """``all_config.yaml``; None for safetensors, which carry their own."""
    revision: str | None = None
    """The commit, where the checkpoint came from the Hub."""

    @property
    def name(self) -> str:
        """A short name for people: the directory's, or ``repository@commit``."""
        if self.revision is not None:
            return f"{hub.repository(self.given)}@{self.revision[:_SHORT_COMMIT]}"
        if self.config is None and self.weights.name != NATIVE:
            return self.weights.stem
        return self.weights.parent.resolve().name

    def digest(self) -> str:
        """SHA-256 over the contents of the weights and the configuration, wherever they lie."""
        config = None if self.config is None else sha256_file(self.config)
        return sha256_json({"weights": sha256_file(self.weights), "config": config})


def locate(given: str | Path) -> Located:
    """Find the checkpoint that ``given`` names; one on the Hub is downloaded to its cache.

    A directory's checkpoint is its highest ``step_<N>``, else ``checkpoint``, else ``model.safetensors``.

    Args:
        given: a directory, a file, or ``hf://<repository>[@<revision>]``.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        MissingError: the Hub was asked for, and huggingface_hub is not installed.
    """
    if hub.is_address(given):
        directory, commit = hub.download(str(given), (CONFIG, "checkpoint", "step_[0-9]*", NATIVE))
        return replace(_in_directory(str(given), directory), revision=commit)
    path = Path(given)
    try:
        if path.is_dir():
            return _in_directory(str(given), path)
        if path.is_file():
            return _around(str(given), path)
    except OSError as error:
        why = error.strerror or str(error)
        raise CheckpointError(f"cannot read {path}", why=why, hint=_HINT) from error
    raise CheckpointError(f"no checkpoint at {path}", why="there is no such file or directory", hint=_HINT)


def _in_directory(given: str, directory: Path) -> Located:
    names = {path.name for path in directory.iterdir() if path.is_file()}
    steps = [match for match in map(_STEP.fullmatch, names) if match]
    if steps:
        return _around(given, directory / max(steps, key=lambda match: int(match[1]))[0])
    for name in ("checkpoint", NATIVE):
        if name in names:
            return _around(given, directory / name)
    raise CheckpointError(
        f"no checkpoint in {given}",
        why=f"it holds neither step_<N> nor checkpoint nor {NATIVE}",
        hint=_HINT,
    )


def _around(given: str, weights: Path) -> Located:
    config = None if weights.suffix == ".safetensors" else weights.parent / CONFIG
    if config is not None and not config.is_file():
        raise CheckpointError(
            f"no {CONFIG} beside {weights}",
            why="the weights alone do not say how many cycles and heads the model has",
            hint=f"put the {CONFIG} that training wrote beside it",
        )
    for path in filter(None, (weights, config)):
        if not os.access(path, os.R_OK):
            raise CheckpointError(f"cannot read {path}", why="permission denied", hint=f"chmod u+r {path}")
    return Located(given, weights, config)
