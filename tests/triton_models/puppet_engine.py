"""An engine under Triton's Python backend that a test holds, breaks or poisons by writing a word into a file.

It runs the ``model.onnx`` beside it. The word stands in ``<repository>/<model>/order``: ``hold`` keeps every call until
the word has changed (meanwhile there is a file ``held`` beside it), ``once`` lets one call through and holds the next,
``fail`` refuses, ``nan`` answers with NaN, and anything else, or no file, lets it work.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

LOOK_SECONDS = 0.002


class TritonPythonModel:
    """One version of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph."""
        self.home = Path(args["model_repository"])
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        path = self.home / args["model_version"] / "model.onnx"
        self.session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.outputs = [node.name for node in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request as ordered."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        order = self._order()
        if order == "fail":
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("this engine was told to fail"))
        feeds = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        values = self.session.run(self.outputs, feeds)
        if order == "nan":
            values = [np.full_like(value, np.nan) for value in values]
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self.outputs, values, strict=True)]
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def _order(self) -> str:
        """What is to be done now, after waiting for as long as that is ``hold``."""
        held = self.home / "held"
        while (order := self._read()) == "hold":
            held.touch()
            time.sleep(LOOK_SECONDS)
        held.unlink(missing_ok=True)
        if order == "once":
            (self.home / "order").write_text("hold")
        return order

    def _read(self) -> str:
        try:
            return (self.home / "order").read_text()
        except FileNotFoundError:
            return ""
