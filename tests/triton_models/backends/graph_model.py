"""What the stand-in backends share: an ONNX graph that answers Triton's requests through ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnxruntime
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from pathlib import Path


class GraphModel:
    """One version of one model."""

    def open(self, graph: Path) -> None:
        """Open the graph; one thread gives the bits that the in-process engine gives with one."""
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(graph), settings, providers=["CPUExecutionProvider"])
        self.inputs = [node.name for node in self.session.get_inputs()]
        self.outputs = [node.name for node in self.session.get_outputs()]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request with every output of the graph."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        feeds = {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
        try:
            values = self.session.run(self.outputs, feeds)
        except Exception as error:  # noqa: BLE001  (whatever the graph says goes to the client)
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        tensors = [pb_utils.Tensor(name, value) for name, value in zip(self.outputs, values, strict=True)]
        return pb_utils.InferenceResponse(output_tensors=tensors)
