from __future__ import annotations

import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from artefacts import STEP, assert_whole, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hrm_trt.pipeline.events import Event, Noted
from hrm_trt.pipeline.store import MANIFEST, Step, Store

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

PATIENCE = 60.0


KILLED_AT_EVERY_STEP = """
import json, os, shutil, signal, sys
from pathlib import Path
from hrm.files import sha256_file
from hrm_trt.pipeline.store import MANIFEST, Step, Store

root, damaged = Path(sys.argv[1]), sys.argv[2] == "damaged"
step = Step("build", "an engine", inputs={}, code=())

def write(home):
    (home / "engine.onnx").write_bytes(b"engine" * 1000)
    (home / "carry.npz").write_bytes(b"carry")
    return "value"

def die_at(count):
    # Python announces every open, rename, mkdir and removal before it is done.
    def watch(event, arguments):
        nonlocal count
        if any(str(argument).startswith(str(root)) for argument in arguments):
            count -= 1
            if count == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)

def prepare():
    shutil.rmtree(root, ignore_errors=True)
    if damaged:
        (Store(root).make(step, write).path / MANIFEST).write_text("{}")

def assert_whole(home):
    files = json.loads((home / MANIFEST).read_bytes())["files"]
    assert {name: sha256_file(home / name) for name in files} == {name: one["sha256"] for name, one in files.items()}
    assert len(files) == 2

for moment in range(1, 1000):
    prepare()
    child = os.fork()
    if child == 0:
        die_at(moment)
        Store(root).make(step, write)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    home = root / "artefacts/build" / step.key
    if home.exists() and not damaged:
        assert_whole(home)
    assert Store(root).make(step, write).value == "value"
    assert_whole(home)
    assert list((root / "partial").iterdir()) == []
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(moment)
"""


@pytest.mark.parametrize("state", ["new", "damaged"])
def test_killed_before_any_touch_of_the_disk_it_is_whole_or_absent(
    tmp_path: Path, python: Callable[..., Any], state: str
) -> None:
    done = python(KILLED_AT_EVERY_STEP, tmp_path / "store", state)
    assert done.code == 0, done.err
    assert int(done.out) > 15


def test_two_threads_make_it_once(tmp_path: Path) -> None:
    waiting, calls = threading.Event(), []

    def note(event: Event) -> None:
        if isinstance(event, Noted):
            assert "waiting" in event.text
            waiting.set()

    def work(home: Path) -> Any:
        calls.append(home)
        assert waiting.wait(PATIENCE), "the second thread never said that it waits"
        return write(home)

    with ThreadPoolExecutor(2) as threads:
        tasks = [threads.submit(Store(tmp_path, note).make, STEP, work) for _ in range(2)]
        artefacts = [task.result() for task in tasks]
    assert len(calls) == 1
    assert sorted(artefact.cached for artefact in artefacts) == [False, True]
    assert artefacts[0].manifest == artefacts[1].manifest
    assert_whole(artefacts[0].path)


def test_two_processes_make_it_once(tmp_path: Path, spawn: Callable[..., subprocess.Popen[str]]) -> None:
    program = """
import os, sys, time
from pathlib import Path
from hrm_trt.pipeline.events import Noted
from hrm_trt.pipeline.store import Step, Store

root = Path(sys.argv[1])

def note(event):
    if isinstance(event, Noted):
        (root / "waiting").touch()

def work(home):
    with (root / "log").open("a") as log:
        log.write("made\\n")
    deadline = time.monotonic() + 60
    while not (root / "waiting").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return "value"

artefact = Store(root, note).make(Step("build", "", {}, ()), work)
print(artefact.cached, artefact.digest)
"""
    children = [spawn("-c", program, tmp_path) for _ in range(2)]
    said = sorted(child.communicate()[0].split() for child in children)
    assert [child.returncode for child in children] == [0, 0]
    assert [cached for cached, _ in said] == ["False", "True"]
    assert said[0][1] == said[1][1]
    assert (tmp_path / "log").read_text() == "made\n"


def test_different_artefacts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def work(home: Path) -> Any:
        meeting.wait()

    steps = [Step("build", "", {"number": number}, ()) for number in range(2)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda step: Store(tmp_path).make(step, work), steps))
    assert len(list(tmp_path.glob("artefacts/build/*"))) == 2


class Interleavings(RuleBasedStateMachine):
    """Builds that succeed, fail and are damaged in any order, over a few keys."""

    KEYS = st.integers(0, 2)

    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.whole: set[int] = set()

    @rule(key=KEYS, fails=st.sampled_from(["no", "before", "between", "late"]))
    def make(self, key: int, fails: str) -> None:
        worked = []

        def work(home: Path) -> Any:
            worked.append(key)
            for moment, name in (("before", "a"), ("between", "b")):
                if fails == moment:
                    raise RuntimeError(moment)
                (home / name).write_bytes(b"x" * (key + 1) * 100)
            return object() if fails == "late" else key  # an object is no JSON value: writing the manifest fails

        step = Step("build", str(key), {"key": key}, ())
        if fails != "no" and key not in self.whole:
            with pytest.raises(Exception):  # noqa: B017, PT011  (whichever it was)
                Store(self.root).make(step, work)
            assert worked == [key]
            return
        artefact = Store(self.root).make(step, work)
        assert artefact.value == key
        assert worked == ([] if key in self.whole else [key])
        self.whole.add(key)

    @rule(key=KEYS, damage=st.sampled_from(["cut", "delete"]))
    def damage(self, key: int, damage: str) -> None:
        home = self.root / "artefacts/build" / Step("build", "", {"key": key}, ()).key
        if not home.exists():
            return
        (home / "a").write_bytes(b"x") if damage == "cut" else (home / MANIFEST).unlink(missing_ok=True)
        self.whole.discard(key)

    @invariant()
    def nothing_is_half_made(self) -> None:
        assert not any((self.root / "partial").glob("*"))
        for key in self.whole:
            assert_whole(self.root / "artefacts/build" / Step("build", "", {"key": key}, ()).key)

    def teardown(self) -> None:
        shutil.rmtree(self.root)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
