"""Triton's ``onnxruntime`` backend in Python: the test server has no compiled one.

It runs ``<version>/<default_model_filename>`` in the server's own environment, so that repositories whose
configurations say ``platform: "onnxruntime_onnx"`` load unedited.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One version of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the engine that the configuration names."""
        config = json.loads(args["model_config"])
        engine = Path(args["model_repository"]) / args["model_version"] / config["default_model_filename"]
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(engine), settings, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.outputs = [node.name for node in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request with every output of the engine."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        feeds = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        try:
            values = self.session.run(self.outputs, feeds)
        except Exception as error:  # noqa: BLE001  (whatever the engine says goes to the client)
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self.outputs, values, strict=True)]
        return pb_utils.InferenceResponse(output_tensors=tensors)
