"""Where text goes: results to stdout, and people's text, progress and logs to stderr. Both honour NO_COLOR."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

people = Console(stderr=True, soft_wrap=True)
"""Messages and progress, on stderr."""

results = Console(soft_wrap=True)
"""What a command was asked for, on stdout."""


def program() -> str:
    """How this program can be called from here: by its name, or by its path where it is not on the PATH."""
    name = "hrm-trt"
    return name if shutil.which(name) or Path(sys.argv[0]).name != name else os.path.relpath(sys.argv[0])


def print_json(document: Any) -> None:
    """Write exactly one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
