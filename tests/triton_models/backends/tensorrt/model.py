"""Triton's ``tensorrt`` backend in Python, on a CPU: the graphs that stand-in plans stand for.

Repositories whose configurations say ``platform: "tensorrt_plan"`` load unedited. The file is chosen as the real
backend chooses it, by the compute capability of the GPU, which is ``HRM_TRT_TEST_CAPABILITY`` here; the version's
manifest says which digest that file has, and ``HRM_TRT_TEST_GRAPHS`` is the directory with ``<digest>.onnx``. No plan
is loaded, no CUDA graph captured, no GPU memory used.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from graph_model import GraphModel


class TritonPythonModel(GraphModel):
    """One version of one model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph of the plan that the real backend would load."""
        config = json.loads(args["model_config"])
        capability = os.environ.get("HRM_TRT_TEST_CAPABILITY", "")
        file = config["cc_model_filenames"].get(capability, config["default_model_filename"])
        place = f"{args['model_name']}/{args['model_version']}"
        manifest = json.loads((Path(args["model_repository"]) / args["model_version"] / "manifest.json").read_bytes())
        digests = {engine["file"]: engine["sha256"] for bundle in manifest["bundles"] for engine in bundle["engines"]}
        self.open(Path(os.environ["HRM_TRT_TEST_GRAPHS"]) / f"{digests[f'{place}/{file}']}.onnx")
