from __future__ import annotations

import os
import signal
import textwrap
import time
from typing import TYPE_CHECKING, Any

import pytest
from artefacts import assert_whole
from traps import snapshot

import hrm_trt.cli.doctor
from hrm_trt.cli.interrupts import interrupts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAID = "interrupted; what was finished is kept\n"


@pytest.mark.parametrize(
    ("stage", "seconds"), [("load", 0), ("load", 0.5), ("export", 0), ("export", 1), ("export", 4), ("validate", 1)]
)
def test_an_interrupted_build_says_so_in_one_line(
    start: Callable[..., Any], copy_demo: Callable[..., Path], stage: str, seconds: float
) -> None:
    workdir = copy_demo(stage)
    before = snapshot(workdir)
    build = start("build", "--workdir", workdir)
    while not any(workdir.glob("partial/*")):
        assert build.poll() is None
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(build.pid, signal.SIGINT)
    assert (*build.communicate(), build.returncode) == ("", SAID, 130)
    assert before.items() <= snapshot(workdir).items()
    assert not any(workdir.glob("partial/*"))
    for home in workdir.glob("artefacts/*/*"):
        assert_whole(home)


PRESSED_AT_AN_IMPORT = """
import os, signal, sys
from hrm_trt.cli import main

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module = sys.argv.pop(1)
sys.meta_path.insert(0, Press())
main()
"""


@pytest.mark.parametrize(
    ("stage", "module"),
    [
        ("load", "typer"),
        ("load", "hrm_trt.pipeline.run"),
        ("load", "torch"),
        ("load", "torch.nn.modules"),
        ("build", "onnxruntime"),
    ],
)
def test_an_import_is_finished_before_the_command_is_interrupted(
    python: Callable[..., Any], copy_demo: Callable[..., Path], stage: str, module: str
) -> None:
    workdir = copy_demo(stage)
    before = snapshot(workdir)
    build = python(PRESSED_AT_AN_IMPORT, module, "build", "--workdir", workdir)
    assert (build.out, build.err, build.code) == ("", SAID, 130)
    assert snapshot(workdir) == before
    assert not any(workdir.glob("partial/*"))


GUARDED = """
import signal, sys, time
from hrm_trt.cli.interrupts import interrupts

class Final:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def command():
{body}

sys.exit(interrupts.guard(command))
"""
LOST = {
    "by a library that goes on": """
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            pass
        time.sleep(30)
    """,
    "by a library that ends": """
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException:
            return 0
    """,
    "in a finaliser": """
        Final()
        time.sleep(30)
    """,
    "in an `exec`": """
        exec("signal.raise_signal(signal.SIGINT)")
    """,
}


@pytest.fixture
def guarded(python: Callable[..., Any]) -> Callable[[str], Any]:
    """Runs the body of a command under the guard; returns its code, stdout and stderr."""

    def run(body: str) -> tuple[int, str, str]:
        ended = python(GUARDED.format(body=textwrap.indent(textwrap.dedent(body), "    ")))
        return ended.code, ended.out, ended.err

    return run


@pytest.mark.parametrize("way", LOST)
def test_an_interrupt_is_never_lost(guarded: Callable[[str], Any], way: str) -> None:
    began = time.perf_counter()
    assert guarded(LOST[way]) == (130, "", SAID)
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize("handling", ["pass", "raise ImportError('half of it')"])
def test_a_library_does_not_notice_an_interrupt_while_it_is_imported(
    guarded: Callable[[str], Any], tmp_path: Path, handling: str
) -> None:
    (tmp_path / "library.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\n"
        f"except BaseException:\n    {handling}\nelse:\n    print('whole')\n"
    )
    assert guarded("import library\ntime.sleep(30)") == (130, "whole\n", SAID)


def test_what_cleans_up_has_the_time_it_needs(guarded: Callable[[str], Any]) -> None:
    body = """
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            time.sleep(1.5)
            print("cleaned")
    """
    assert guarded(body) == (130, "cleaned\n", SAID)


def test_a_second_interrupt_waits_for_nothing(guarded: Callable[[str], Any]) -> None:
    body = """
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            print("cleaned")
    """
    assert guarded(body) == (130, "", SAID)


def test_a_terminated_command_cleans_up_too(guarded: Callable[[str], Any]) -> None:
    body = """
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            print("cleaned")
    """
    assert guarded(body) == (143, "cleaned\n", SAID)


def test_a_command_that_ignores_ctrl_c_goes_on_doing_so(python: Callable[..., Any]) -> None:
    ignoring = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    ended = python(ignoring + GUARDED.format(body="    signal.raise_signal(signal.SIGINT); return 3"))
    assert (ended.code, ended.err) == (3, "")


def test_what_a_library_makes_of_an_interrupt_is_no_error(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*, json: bool) -> None:
        raise SystemError("error return without exception set")

    monkeypatch.setattr(hrm_trt.cli.doctor, "doctor_command", fail)
    monkeypatch.setattr(interrupts, "code", 130)
    said = cli("doctor")
    assert (said.code, said.out, said.err) == (130, "", "")
