"""Triton's own perf_analyzer on the same server: somebody else's clients, somebody else's clock.

Its newest binary needs a newer C library than many machines have. The one inside the wheel of tritonclient 2.51.0 runs
with two shared libraries that the test server's wheel brings under other names.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serving.goals import CLIENTS
from benchmarks.serving.parts import serving
from benchmarks.serving.points import Served, clients_process, sample
from benchmarks.serving.shared import server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.serving.subjects import Subject

_WHEEL = "tritonclient==2.51.0"
_LIBRARIES = {"libcudart.so.12": "libcudart-*.so.12*", "libb64.so.0d": "libb64-*.so.0d"}
_TRIALS = 3
_COLUMNS = {"requests_per_second": "Inferences/Second", "p50_us": "p50 latency", "p99_us": "p99 latency"}


def witness(
    subjects: Sequence[tuple[Subject, Callable[[Path], None] | None]],
    seconds: float,
    scratch: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """perf_analyzer and our clients, one after the other, on each subject's orchestrator."""
    try:
        program = install(scratch)
    except subprocess.CalledProcessError as error:
        return {
            subject.name: {"error": f"pip could not get {_WHEEL}: {error.stderr[-500:]}"} for subject, _ in subjects
        }
    found = {}
    for subject, prepare in subjects:
        with serving(subject, prepare) as running, clients_process() as process:
            served = Served(running, subject.name, subject.name, subject.answers["adaptive"], subject.labels)
            ours = process.submit(sample, served, CLIENTS, seconds).result()
            found[subject.name] = perf_analyzer(program, running, subject, CLIENTS, seconds)
        found[subject.name]["ours"] = ours.checked.answered / ours.seconds
        say(f"{subject.name}: {found[subject.name]}")
    return {"subjects": found}


def install(scratch: Path) -> Path:
    """perf_analyzer with its libraries beside it.

    Raises:
        subprocess.CalledProcessError: pip could not get the wheel.
    """
    platform = ("--platform", "manylinux1_x86_64", "--only-binary=:all:", "--no-deps", "--quiet")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", _WHEEL, *platform, "--dest", str(scratch)],
        check=True,
        capture_output=True,
        text=True,
    )
    with zipfile.ZipFile(next(scratch.glob("tritonclient-*.whl"))) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith("/bin/perf_analyzer"))
        program = Path(wheel.extract(member, scratch))
    program.chmod(0o755)
    for name, pattern in _LIBRARIES.items():
        shutil.copy(next(server.libraries().glob(pattern)), program.with_name(name))
    return program


def perf_analyzer(
    program: Path, running: server.Server, subject: Subject, clients: int, seconds: float
) -> dict[str, Any]:
    """What it measures with the subject's puzzles."""
    data = program.with_name(f"{subject.name}.json")
    inputs = subject.answers["adaptive"].inputs
    data.write_text(json.dumps({"data": [{"inputs": row.tolist()} for row in inputs]}))
    table = program.with_name(f"{subject.name}.csv")
    options = {
        "-m": subject.name,
        "-i": "grpc",
        "-u": running.grpc,
        "--input-data": data,
        "--concurrency-range": clients,
        "--measurement-interval": int(1000 * seconds),
        "--max-trials": _TRIALS,
        "--stability-percentage": 50,
        "--percentile": 99,
        "-f": table,
    }
    finished = subprocess.run(
        [program, *(str(each) for pair in options.items() for each in pair), "--async"],
        env={**os.environ, "LD_LIBRARY_PATH": str(program.parent)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60 + 2 * _TRIALS * seconds,
    )
    if not table.is_file():
        return {"clients": clients, "error": (finished.stdout + finished.stderr).strip()[-500:]}
    (row,) = csv.DictReader(table.open())
    numbers = {key: float(row[column]) for key, column in _COLUMNS.items()}
    return {
        "clients": clients,
        "requests_per_second": numbers["requests_per_second"],
        "p50_ms": numbers["p50_us"] / 1e3,
        "p99_ms": numbers["p99_us"] / 1e3,
        "tool": f"perf_analyzer of {_WHEEL}",
    }
