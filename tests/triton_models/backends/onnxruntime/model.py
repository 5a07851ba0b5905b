"""Triton's ``onnxruntime`` backend in Python: the test server has no compiled one.

It runs ``<version>/<default_model_filename>`` in the server's own environment, so that repositories whose
configurations say ``platform: "onnxruntime_onnx"`` load unedited.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from graph_model import GraphModel


class TritonPythonModel(GraphModel):
    """One version of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the engine that the configuration names."""
        config = json.loads(args["model_config"])
        self.open(Path(args["model_repository"]) / args["model_version"] / config["default_model_filename"])
