"""The rivals' orchestrator: a batch that starts together and ends together, one engine call for each segment.

A row that has halted stays in the batch until the last one has. With one row this is the naive loop. Same engines, same
encoder, same initial carry as the orchestrator that is published; runs inside Triton's Python backend.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """One version of the model; ``settings.json`` beside it has engines, version, policy and depth."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the settings and the initial carry."""
        home = Path(args["model_repository"]) / args["model_version"]
        self.settings = json.loads((home / "settings.json").read_text())
        with np.load(home / "carry.npz") as stored:
            self.carry = [stored[name] for name in ("z_H", "z_L")]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Solve what Triton's batcher has put together."""
        arrays = [pb_utils.get_input_tensor_by_name(request, "inputs").as_numpy() for request in requests]
        solution, depth = self._solve(np.concatenate(arrays))
        ends = np.cumsum([len(array) for array in arrays])[:-1]
        pairs = zip(np.split(solution, ends), np.split(depth, ends), strict=True)
        return [pb_utils.InferenceResponse([_tensor("solution", one), _tensor("depth", other)]) for one, other in pairs]

    def _solve(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, adaptive = len(inputs), self.settings["policy"] == "adaptive"
        solution, depth, running = np.zeros_like(inputs), np.zeros((rows, 1), np.int32), np.ones(rows, bool)
        identifiers = np.zeros((rows, 1), np.int32)
        (embeddings,) = self._call(
            "encoder", [_tensor("inputs", inputs), _tensor("puzzle_identifiers", identifiers)], ["input_embeddings"]
        )
        state = [np.ascontiguousarray(np.broadcast_to(one, embeddings.shape)) for one in self.carry]
        embeddings = _tensor("input_embeddings", embeddings)
        outputs = ["z_H_out", "z_L_out", "logits", "q_halt", "q_continue"]
        for segment in range(1, self.settings["max_depth"] + 1):
            feeds = [_tensor("z_H", state[0]), _tensor("z_L", state[1]), embeddings]
            *state, logits, q_halt, q_continue = self._call("segment", feeds, outputs)
            halts = (q_halt > q_continue).reshape(-1) & adaptive
            ends = running & (halts | (segment == self.settings["max_depth"]))
            solution[ends] = logits[ends].argmax(axis=-1)
            depth[ends] = segment
            running &= ~ends
            if not running.any():
                break
        return solution, depth

    def _call(self, module: str, feeds: list[Any], outputs: list[str]) -> list[np.ndarray]:
        model, version = self.settings["models"][module], self.settings["version"]
        request = pb_utils.InferenceRequest(
            model_name=model, model_version=version, inputs=feeds, requested_output_names=outputs
        )
        response = request.exec()
        if response.has_error():
            raise pb_utils.TritonModelException(response.error().message())
        return [pb_utils.get_output_tensor_by_name(response, name).as_numpy() for name in outputs]


def _tensor(name: str, array: np.ndarray) -> Any:
    return pb_utils.Tensor(name, array)
