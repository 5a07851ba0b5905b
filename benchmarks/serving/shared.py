"""What the benchmark shares with the tests: the real server, the clients, the soak, and bundles written by hand."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "triton_models"))

import load
import server
import soak
from tiny_bundles import write_bundle

__all__ = ["load", "server", "soak", "write_bundle"]
