"""The way back to a client through Triton's response sender."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engines.slots import Answer
    from triton_models.solver.work import Outcome

_CODES = {
    "invalid": "INVALID_ARG",
    "cancelled": "CANCELLED",
    "deadline": "UNAVAILABLE",  # as Triton has it, and what follows, in queues of its own
    "queue_full": "UNAVAILABLE",
    "error": "INTERNAL",
    "not_finite": "INTERNAL",
}
"""Names in ``TritonError``, which is not there yet when this module is imported."""


COLUMNS = {
    "depth": np.int32,
    "halted": np.bool_,
    "confidence": np.float32,
    "entropy": np.float32,
    "q_halt": np.float32,
}
"""One value for each puzzle, beside its solution."""


class TritonReply:
    """Answers one request, whenever and from whichever thread."""

    def __init__(self, request: Any) -> None:
        self._outputs = set(request.requested_output_names())
        self._sender = request.get_response_sender()

    def send(self, answers: Sequence[Answer]) -> None:
        """Answer every puzzle with what was asked for: ``solution`` [B, S], everything else [B, 1]."""
        tensors = [
            pb_utils.Tensor(name, np.array([getattr(answer, name) for answer in answers], dtype=dtype)[:, None])
            for name, dtype in COLUMNS.items()
            if name in self._outputs
        ]
        if "solution" in self._outputs:
            tensors.append(pb_utils.Tensor("solution", np.stack([answer.tokens for answer in answers])))
        self._finish(pb_utils.InferenceResponse(output_tensors=tensors))

    def refuse(self, outcome: Outcome, message: str) -> None:
        """Answer with an error."""
        error = pb_utils.TritonError(message, getattr(pb_utils.TritonError, _CODES[outcome]))
        self._finish(pb_utils.InferenceResponse(error=error))

    def is_cancelled(self) -> bool:
        """Whether the client has gone; Triton tells of gRPC clients only."""
        return bool(self._sender.is_cancelled())

    def _finish(self, response: Any) -> None:
        self._sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
