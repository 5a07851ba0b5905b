"""What a run writes down as it goes: metrics as JSON lines, and TensorBoard's event files."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from hrm.errors import CheckpointError, from_os_error, missing_package
from hrm.files import sha256_bytes, write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METRICS = "metrics.jsonl"


class Journal(Protocol):
    """Takes the numbers of a step; what cannot be written is a StorageError or an UnwritableError."""

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Write down ``values``; ``kind`` is ``train`` or ``evaluation``."""

    def close(self) -> None:
        """Finish writing."""


class JsonLines:
    """One JSON object a line: ``step``, ``kind`` and the values."""

    def __init__(self, path: Path, step: int) -> None:
        """Open ``path`` to go on after ``step``: what a killed run wrote later than its last state goes away."""
        kept = [line for line in read_metrics(path) if line["step"] <= step]
        write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._path = path
        with _writing(path):
            self._file = path.open("a")

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Append one line."""
        with _writing(self._path):
            self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with _writing(self._path):
            self._file.close()


class TensorBoard:
    """Event files for ``tensorboard --logdir``."""

    def __init__(self, directory: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._directory = directory
        with _writing(directory):
            self._writer = SummaryWriter(str(directory), purge_step=step + 1)

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Add every number as a scalar, on the disk at once: a killed run's state knows of it."""
        with _writing(self._directory):
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(f"{kind}/{name}", value, step)
            self._writer.flush()

    def close(self) -> None:
        """Flush and close the files."""
        with _writing(self._directory):
            self._writer.close()


class WeightsAndBiases:
    """A run on Weights & Biases; a resumed one goes on under the same identifier."""

    def __init__(self, project: str, name: str, directory: Path, recipe: dict[str, Any]) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise missing_package("wandb", extra="wandb", purpose="logging to Weights & Biases") from error
        self._run = wandb.init(
            project=project,
            name=name,
            id=sha256_bytes(str(directory.resolve()).encode())[:16],
            dir=str(directory),
            config=recipe,
            resume="allow",
        )

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """Log every number."""
        numbers = {f"{kind}/{name}": value for name, value in values.items() if isinstance(value, int | float)}
        self._run.log(numbers, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file; a last line that a kill cut short is left out, and no file is no lines.

    Raises:
        CheckpointError: a line is no JSON.
    """
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    except ValueError as error:
        raise CheckpointError(
            f"{path} is not a training log", why=str(error), hint="restore it, or remove it: only the curve needs it"
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error, path) from error
