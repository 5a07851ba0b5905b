"""What a build came to: engines, verdicts, what was published, and the exit code they add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hrm.errors import BuildError, GateError, InconclusiveError, MissingError

if TYPE_CHECKING:
    from pathlib import Path

    from engines.bundle import GateRecord
    from triton_models.publication import Published

Status = Literal["built", "cached", "needs-target", "unsupported", "failed"]
_VERDICT_CODES = {"fail": GateError.exit_code, "inconclusive": InconclusiveError.exit_code, "pass": 0}
_STATUS_CODES = {"failed": BuildError.exit_code, "needs-target": MissingError.exit_code}
_STATUS_CODES["unsupported"] = MissingError.exit_code


@dataclass(frozen=True)
class EngineRow:
    """One engine that was asked for."""

    target: str
    precision: str
    runtime: str | None
    module: str
    status: Status
    reason: str | None = None
    path: str | None = None
    sha256: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    command: str | None = None
    """What finishes it on a machine that can."""


@dataclass(frozen=True)
class GraphRow:
    """One ONNX graph, where a build stops at graphs."""

    variant: str
    module: str
    path: str
    sha256: str
    bytes: int


@dataclass
class BuildResult:
    """Everything that one build has to say."""

    checkpoint: dict[str, Any] = field(default_factory=dict)
    engines: list[EngineRow] = field(default_factory=list)
    graphs: list[GraphRow] = field(default_factory=list)
    """Graphs that no engine was built from."""
    gates: list[GateRecord] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    bundles: dict[str, Path] = field(default_factory=dict)
    report: Path | None = None
    asked: tuple[str, ...] = ()
    """Policies that were asked for by name: the exit code speaks of them beside ``fixed``."""
    given: str = ""
    """The checkpoint as it was asked for."""
    worked: bool = False
    """Whether any artefact had to be made."""

    @property
    def exit_code(self) -> int:
        """0, or the code that counts most of those that apply."""
        spoken_for = {"fixed", *self.asked}
        codes = {_STATUS_CODES.get(row.status, 0) for row in self.engines}
        codes |= {_VERDICT_CODES[gate.verdict] for gate in self.gates if gate.policy in spoken_for}
        order = (BuildError, GateError, InconclusiveError, MissingError)
        return next((error.exit_code for error in order if error.exit_code in codes), 0)

    def to_json(self) -> dict[str, Any]:
        """The document that `hrm-trt build --json` prints."""
        return {
            "format_version": 1,
            "checkpoint": {"given": self.given, **self.checkpoint},
            "engines": [asdict(row) for row in self.engines],
            "graphs": [asdict(row) for row in self.graphs],
            "gates": [gate.model_dump(mode="json") for gate in self.gates],
            "published": [{**asdict(row), "repository": str(row.repository)} for row in self.published],
            "bundles": {name: str(path) for name, path in self.bundles.items()},
            "report": None if self.report is None else str(self.report),
        }
