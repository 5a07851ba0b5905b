"""What hrm-trt uses of TensorRT's Python module, which both libraries share, by the types of the classic one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import tensorrt as trt


class Api(Protocol):
    """The module ``tensorrt``, or ``tensorrt_rtx_bindings``."""

    __version__: str
    Builder: type[trt.Builder]
    BuilderFlag: type[trt.BuilderFlag]
    Dims: type[trt.Dims]
    HardwareCompatibilityLevel: type[trt.HardwareCompatibilityLevel]
    ILogger: type[trt.ILogger]
    MemoryPoolType: type[trt.MemoryPoolType]
    NetworkDefinitionCreationFlag: type[trt.NetworkDefinitionCreationFlag]
    OnnxParser: type[trt.OnnxParser]
    ProfilingVerbosity: type[trt.ProfilingVerbosity]
    Runtime: type[trt.Runtime]


class Words:
    """What TensorRT says, kept: it tells of failures and of what it built in its log alone."""

    def __init__(self, api: Api) -> None:
        self.said: list[str] = []
        self.faults: list[str] = []
        """What it called an error."""
        worst = (api.ILogger.Severity.INTERNAL_ERROR, api.ILogger.Severity.ERROR)

        def log(logger: object, severity: trt.ILogger.Severity, message: str) -> None:
            del logger
            self.said.append(message)
            if severity in worst:
                self.faults.append(message)

        recorder: Any = type("Recorder", (api.ILogger,), {"log": log})
        self.logger: trt.ILogger = recorder()

    @property
    def reason(self) -> str:
        """The first error, as one line."""
        return " ".join(self.faults[0].split()) if self.faults else "it gave no reason"
