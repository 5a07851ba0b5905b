"""What a benchmark has found, on the disk after every item: a lent machine can go back at any moment."""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table

from hrm.files import write_json
from hrm_trt.pipeline import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
_LIBRARIES = ("torch", "triton", "onnx", "onnxruntime", "numpy", "nvidia-modelopt")
_QUERY = ("nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "--format=csv,noheader")


@dataclass
class Results:
    """The items of one benchmark, and the file that they go to."""

    path: Path
    benchmark: str
    rehearsal: bool
    minutes: float
    """After how many no further item is begun."""
    items: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self.began > 60 * self.minutes

    def measure(self, item: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Do ``work`` and note what it found; what fails is noted as failed, and the next item goes on.

        Returns:
            What was found; None where it failed or the time was up before.
        """
        if self.over:
            self._note({"item": item, "status": "not begun: the time was up"})
            return None
        began = time.monotonic()
        try:
            found = work()
        except Exception as error:  # noqa: BLE001  (one way that fails must not cost the others their minutes)
            self._note({"item": item, "status": "failed", "seconds": _since(began), "error": tell(error)})
            return None
        self._note({"item": item, "status": "measured", "seconds": _since(began), **found})
        return found

    def _note(self, item: dict[str, Any]) -> None:
        self.items.append(item)
        about = {
            "format_version": 1,
            "benchmark": self.benchmark,
            "rehearsal": self.rehearsal,
            "date": self.date,
            "machine": {**machine.describe(), **gpu()},
            "versions": {name: version(name) for name in _LIBRARIES},
            "minutes": round((time.monotonic() - self.began) / 60, 2),
        }
        write_json(self.path, {**about, "items": self.items})
        print(f"{time.monotonic() - self.began:6.1f} s  {item['status']:9} {item['item']}", item.get("error", ""))


@functools.cache
def gpu() -> dict[str, Any]:
    """The GPU, as PyTorch and the driver describe it."""
    if DEVICE.type == "cpu":
        return {"gpu": None}
    properties = torch.cuda.get_device_properties(DEVICE)
    asked = subprocess.run(_QUERY, capture_output=True, text=True, check=False)
    return {
        "gpu": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "gpu_memory_gib": round(properties.total_memory / 2**30, 1),
        "cuda": torch.version.cuda,
        "driver_power_limit_and_clock": asked.stdout.strip() or asked.stderr.strip(),
    }


def version(package: str) -> str | None:
    """The installed version of ``package``, if any."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def tell(error: BaseException) -> str:
    """An error in words, cut where a compiler's log would follow."""
    return f"{type(error).__name__}: {error}"[:3000]


def show(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print a table; the first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(_cell, row))
    Console(width=150).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)
