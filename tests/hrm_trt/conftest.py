from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hrm_trt.cli import edge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.workdir import Workdir

ROOT = Path(__file__).parents[2]
COLOUR = ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "HRM_TRT_WORKDIR")
ONE_PER_CHILD = {"OMP_NUM_THREADS": "1"}  # torch's threads would wait for each other where cores are busy


SAMPLE = ROOT / "checkpoints/sudoku-4x4"
BUNDLE = "sudoku-4x4-cpu-fp32"


def on_sample(arguments: tuple[object, ...]) -> list[str]:
    """A command line that means the demo, made to mean the sample; any other as it is."""
    line = [str(argument) for argument in arguments]
    given = {"--checkpoint", "--model"} & set(line) or any(word.endswith((".yaml", ".kit")) for word in line)
    if not line or given or "--help" in line:
        return line
    if line[0] in ("solve", "evaluate"):
        return [line[0], "--model", BUNDLE, *line[1:]]
    if line[0] == "build":
        return [
            "build",
            "--checkpoint",
            str(SAMPLE),
            "--dataset",
            str(SAMPLE / "dataset"),
            *_publishing(line),
            *line[1:],
        ]
    return line


def _publishing(line: list[str]) -> list[str]:
    """Where the demo's build publishes: its work directory's repository."""
    if {"--until", "--publish"} & set(line) or "--workdir" not in line[:-1]:
        return []
    return ["--publish", str(Path(line[line.index("--workdir") + 1]) / "repository")]


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        assert self.code not in (1, 2), self.err
        return json.loads(self.out)

    def assert_refused(self, code: int, *words: str) -> None:
        """One message of three parts on stderr that holds ``words``, and nothing else anywhere."""
        assert (self.code, self.out) == (code, ""), self.err
        starts = Counter(line.split()[0] for line in self.err.splitlines() if line.strip())
        assert [starts[part] for part in ("error:", "why:", "next:")] == [1, 1, 1], self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err, self.err


def environment(**changes: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in COLOUR}
    return inherited | ONE_PER_CHILD | {"PYTHONPATH": str(ROOT)} | changes


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a command line in this process, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HRM_TRT_WORKDIR", raising=False)

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = edge.run(on_sample(arguments))
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python as the leader of a process group of its own; what still runs at the end is killed."""
    children: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, **changes: str) -> subprocess.Popen[str]:
        children.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env=environment(**changes),
                start_new_session=True,
            )
        )
        return children[-1]

    yield begin
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


@pytest.fixture
def start(spawn: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Starts `hrm-trt`."""
    return lambda *arguments, **changes: spawn("-m", "hrm_trt", *on_sample(arguments), **changes)


@pytest.fixture
def command(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Outcome]:
    """Runs `hrm-trt` in a process of its own."""
    return functools.partial(_finish, start)


@pytest.fixture
def python(spawn: Callable[..., subprocess.Popen[str]]) -> Callable[..., Outcome]:
    """Runs a program in a Python of its own, with a command line to it."""

    def begin(program: str, *arguments: object, **changes: str) -> subprocess.Popen[str]:
        before = [argument for argument in arguments[:1] if not isinstance(argument, str)]  # a number for the program
        return spawn("-c", program, *before, *on_sample(arguments[len(before) :]), **changes)

    return functools.partial(_finish, begin)


def _finish(
    begin: Callable[..., subprocess.Popen[str]], *arguments: object, stdin: str = "", **changes: str
) -> Outcome:
    child = begin(*arguments, **changes)
    out, err = child.communicate(stdin)
    return Outcome(child.returncode, out, err)


@pytest.fixture
def demo(demo_workdir: Workdir, demo_result: BuildResult) -> Path:
    """The demo's work directory, in which it is built and published."""
    del demo_result
    return demo_workdir.root


@pytest.fixture
def copy_demo(tmp_path: Path, demo: Path) -> Callable[..., Path]:
    """Makes a copy of the demo's work directory without some stages; it shares the demo's files: never edit one."""

    def copy(*without: str) -> Path:
        workdir, skipped = tmp_path / "work", shutil.ignore_patterns("locks", "partial", "*.lock")
        shutil.copytree(demo, workdir, symlinks=True, copy_function=os.link, ignore=skipped)
        for stage in without:
            shutil.rmtree(workdir / stage if stage == "repository" else workdir / "artefacts" / stage)
        return workdir

    return copy


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A copy of the demo's checkpoint, with its data set, to be damaged."""
    return Path(shutil.copytree(ROOT / "checkpoints/sudoku-4x4", tmp_path / "checkpoint"))
