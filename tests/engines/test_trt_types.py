"""The classic path, which no machine without NVIDIA's own package index can run, checked against TensorRT's type stubs.

tensorrt-stubs 10.13 was generated from the C++ signatures and does not parse as it is: parameters are called ``in``,
and one without a default follows one with. A copy is mended, and mypy checks the package against that.
"""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = """
[mypy]
check_untyped_defs = true
follow_imports = skip
[mypy-tensorrt.*,tensorrt_bindings.*]
follow_imports = normal
[mypy-tensorrt_libs.*]
ignore_missing_imports = true
[mypy-tensorrt_bindings.*]
ignore_errors = true
"""
WRONG = """
from engines.tensorrt.api import Api
def wrong(api: Api) -> None:
    api.Builder(1).build_serialised_network()
"""


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    home = tmp_path_factory.mktemp("stubs")
    for name in ("tensorrt", "tensorrt_bindings"):
        source = Path(find_spec(name).submodule_search_locations[0])
        (home / name).mkdir()
        for stub in source.glob("*.pyi"):
            text = re.sub(r"\bin: ", "in_: ", stub.read_text())
            text = text.replace("channel_axis: int) ->", "channel_axis: int = ...) ->")
            (home / name / stub.name).write_text(text)
    (home / "mypy.ini").write_text(SETTINGS)
    return home


def check(stubs, *files):
    program = [sys.executable, "-m", "mypy", "--config-file", str(stubs / "mypy.ini")]
    program += ["--cache-dir", str(stubs / "cache"), *map(str, files)]
    environment = {"MYPYPATH": f"{stubs}:{ROOT}", "PATH": ""}
    return subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_every_call_of_tensorrt_is_as_its_stubs_say(stubs):
    (stubs / "wrong.py").write_text(WRONG)
    callers = [path for path in sorted((ROOT / "engines/tensorrt").glob("*.py")) if "trt." in path.read_text()]
    assert {"api.py", "network.py", "runtime.py", "timing.py"} <= {path.name for path in callers}
    done = check(stubs, stubs / "wrong.py", ROOT / "engines/tensorrt/worker.py", *callers)
    faults = [line for line in done.stdout.splitlines() if "error:" in line]
    assert len(faults) == 2, done.stdout + done.stderr
    assert all("wrong.py:4:" in fault for fault in faults)  # so the stubs are what is checked against
    assert "build_serialised_network" in done.stdout
