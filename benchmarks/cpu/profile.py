"""ONNX Runtime's own profile of a segment."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime

from engines.bundle import read_manifest
from hrm.config import HRMConfig

_CALLS = 8
_FATAL_ONLY = 4


def profile(bundle: Path, batch: int) -> dict[str, float]:
    """Seconds of a call of ``batch`` puzzles by operator, the mean of several calls, the longest first."""
    tokens = HRMConfig.from_dict(read_manifest(bundle).architecture).tokens
    settings = onnxruntime.SessionOptions()
    settings.enable_profiling = True
    settings.log_severity_level = _FATAL_ONLY
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        settings.profile_file_prefix = f"{place}/profile"
        session = onnxruntime.InferenceSession(str(bundle / "segment.onnx"), settings)
        feeds = {
            node.name: generator.standard_normal((batch, tokens, node.shape[2]), dtype=np.float32)
            for node in session.get_inputs()
        }
        for _ in range(_CALLS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    seconds: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            seconds[event["args"]["op_name"]] += event["dur"] / 1e6 / _CALLS
    return dict(seconds.most_common())
