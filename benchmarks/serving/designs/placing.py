"""Rival designs put beside a published set, on the set's own engines."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from export.contract import CARRY
from hrm.files import write_json
from triton_models.config import CONFIG
from triton_models.repository import open_published, read_versions

if TYPE_CHECKING:
    from typing import Any

_FILL_MICROSECONDS = 60_000_000
"""How long Triton's batcher lets a request wait for its gang to fill: for ever, as there are always clients enough."""


@dataclass(frozen=True)
class Design:
    """One way to serve the engines."""

    key: str
    title: str
    policy: str
    gang: bool
    """Whether rows start and end together, in Triton's batches."""


NAIVE = Design("naive", "naive loop", "adaptive", gang=False)
FILLED = Design("gang-filled", "gang, filled", "adaptive", gang=True)
FIXED = Design("gang-fixed", "gang, fixed depth", "fixed", gang=True)
RIVALS = (FILLED, FIXED, NAIVE)


def rival_model(name: str, design: Design) -> str:
    """The model of a design on the set ``name``."""
    return f"{name}-{design.key}"


def place_rivals(repository: Path, name: str, rows: int) -> None:
    """Write, or write anew, every rival on the newest version of the set; gangs of ``rows``."""
    for design in RIVALS:
        model = repository / rival_model(name, design)
        (model / "1").mkdir(parents=True, exist_ok=True)
        sequence = _write_settings(repository, name, design, model / "1")
        shutil.copy(Path(__file__).with_name("gang.py"), model / "1" / "model.py")
        (model / CONFIG).write_text(_config(model.name, sequence, rows if design.gang else 1))


def _write_settings(repository: Path, name: str, design: Design, version: Path) -> int:
    """What ``gang.py`` reads; returns the sequence length."""
    root, bundle = open_published(repository / name, "segment")
    architecture: dict[str, Any] = bundle.architecture
    settings = {
        "models": {module: f"{name}_{module}" for module in ("encoder", "segment")},
        "version": read_versions(repository, name)[-1].version,
        "policy": design.policy,
        "max_depth": architecture["halt_max_steps"],
    }
    write_json(version / "settings.json", settings)
    shutil.copy(root / bundle.carry.file, version / CARRY)
    return int(architecture["seq_len"])


def _config(model: str, sequence: int, rows: int) -> str:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2 as pb

    config = pb.ModelConfig(name=model, backend="python", max_batch_size=rows)
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU)
    config.input.add(name="inputs", data_type=pb.TYPE_INT32, dims=[sequence])
    config.output.add(name="solution", data_type=pb.TYPE_INT32, dims=[sequence])
    config.output.add(name="depth", data_type=pb.TYPE_INT32, dims=[1])
    if rows > 1:
        config.dynamic_batching.preferred_batch_size.append(rows)
        config.dynamic_batching.max_queue_delay_microseconds = _FILL_MICROSECONDS
    return str(text_format.MessageToString(config))
