"""An engine whose call costs the same whatever its rows, as a GPU's does at small batch: it computes, and then sleeps.

Runs inside Triton's Python backend, beside the ``model.onnx`` that the in-process runner has the answers from.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils

CALL_SECONDS = 0.005


class TritonPythonModel:
    """One version of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph."""
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.outputs = [node.name for node in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request ``CALL_SECONDS`` after it was begun."""
        return [self._answer(request, time.perf_counter() + CALL_SECONDS) for request in requests]

    def _answer(self, request: Any, ready: float) -> Any:
        feeds = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        values = self.session.run(self.outputs, feeds)
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self.outputs, values, strict=True)]
        time.sleep(max(0.0, ready - time.perf_counter()))
        return pb_utils.InferenceResponse(output_tensors=tensors)
