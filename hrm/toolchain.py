"""What PyTorch's compiler, Inductor, needs of a machine beside PyTorch. Nothing heavy is imported to tell."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

GET_COMPILER = "install a C++ compiler and Python's headers (`apt-get install g++ python3-dev`), or name one in CXX"
"""What to do where ``missing_compiler`` says something."""


def missing_compiler() -> str | None:
    """Why Inductor cannot compile for this machine's CPU; None where it can."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # it looks for no other
    if shutil.which(compiler) is None:
        return f"Inductor writes C++ for a CPU, and there is no C++ compiler {compiler} here"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Inductor writes C++ for a CPU that includes Python.h, and Python's headers are not here"
    return None
