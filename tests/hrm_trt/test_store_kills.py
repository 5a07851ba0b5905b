"""The demo built by real processes that are killed, doubled and repeated."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from traps import snapshot

from hrm.files import sha256_file

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hrm_trt.pipeline.result import BuildResult
    from hrm_trt.pipeline.workdir import Workdir

MANIFEST = "artefact.json"
STAGES = ("load", "export", "build", "bundle", "validate", "check", "gate", "report")
FINISHING = 0.005
"""Seconds from an artefact's first byte to its last, about: stages write when their work is done."""
PUBLISHING = 0.03
"""The same for a version in the repository."""


def is_slow(home: Path) -> bool:
    """Whether an artefact is the export or PyTorch's own answers, which take far longer than all others together."""
    return home.parent.name == "export" or "checkpoint" in json.loads((home / MANIFEST).read_bytes())["inputs"]


def undo(workdir: Path, stage: str) -> None:
    """Remove the artefacts of ``stage`` and of later ones, so that the next build has to begin there.

    Slow ones of later stages stay: they are found again only by a build that has made the same of what comes before.
    """
    for home in list(workdir.glob("artefacts/*/*")):
        later = home.parent.name in STAGES[STAGES.index(stage) :]
        if home.parent.name == stage or (later and not is_slow(home)):
            shutil.rmtree(home)
    shutil.rmtree(workdir / "repository")


def result_of(document: dict[str, Any], workdir: Path) -> dict[str, Any]:
    """Everything in a build's result that an undisturbed build has just so."""
    repository = workdir / "repository"
    return {
        "engines": {row["module"]: row["sha256"] for row in document["engines"]},
        "gates": document["gates"],
        "bundles": {name: (workdir / "bundles" / name / "bundle.json").read_text() for name in document["bundles"]},
        "published": [[row["name"], row["version"], row["policies"], row["gated"]] for row in document["published"]],
        "repository": {
            str(path.relative_to(repository)): sha256_file(path)
            for path in repository.rglob("*")
            if path.name in ("model.onnx", "config.pbtxt", "carry.npz")
        },
    }


@pytest.fixture(scope="session")
def undisturbed(demo_workdir: Workdir, demo_result: BuildResult) -> dict[str, Any]:
    document = json.loads(json.dumps(demo_result.to_json()))
    assert len(document["engines"]) == 4
    assert {gate["verdict"] for gate in document["gates"]} == {"pass"}
    return result_of(document, demo_workdir.root)


def fault_of(home: Path) -> str | None:
    """What a reader would find wrong with the artefact at ``home``."""
    try:
        stored = json.loads((home / MANIFEST).read_bytes())["files"]
        wrong = [name for name, record in stored.items() if (home / name).stat().st_size != record["bytes"]]
    except (OSError, ValueError, KeyError) as error:
        return f"{home}: {error}"
    return f"{home}: {wrong}" if wrong else None


@contextmanager
def read_all_the_while(workdir: Path) -> Iterator[None]:
    """Look at every artefact again and again, and fail if one is ever seen that is not whole."""
    done, faults, looks = threading.Event(), [], 0

    def look() -> None:
        nonlocal looks
        while not done.wait(0.005):
            faults.extend(filter(None, map(fault_of, workdir.glob("artefacts/*/*"))))
            looks += 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield
    finally:
        done.set()
        reader.join()
    assert faults == []
    assert looks > 10


def is_touched(directory: Path, since: float) -> bool:
    """Whether something was made or removed in ``directory`` after the time ``since``."""
    try:
        return directory.stat().st_mtime > since
    except FileNotFoundError:
        return False


def holds_bytes(directory: Path, since: float) -> bool:
    """Whether ``directory``, or one below it, was touched after the time ``since`` and holds the first byte."""
    try:
        entries = [directory, *directory.rglob("*")]
        news = any(is_touched(entry, since) for entry in entries)
        return news and any(entry.is_file() and entry.stat().st_size for entry in entries)
    except FileNotFoundError:
        return False


def kill_when(due: Callable[[], bool], delay: float, child: subprocess.Popen[str]) -> None:
    """Kill the whole group ``delay`` seconds after the moment when ``due`` is true."""
    while not due():
        assert child.poll() is None, child.communicate()
        time.sleep(0.0005)
    time.sleep(delay)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL, "it ended before it was killed"


def kill_at_work(start: Callable[..., Any], workdir: Path, home: Path, delay: float) -> None:
    """A build is killed ``delay`` seconds after it began to make the artefact at ``home``."""
    launched = time.time()
    child = start("build", "--workdir", workdir, "--json")
    with read_all_the_while(workdir):
        kill_when(lambda: is_touched(workdir / "partial" / home.name, launched), delay, child)


def kill_writing(start: Callable[..., Any], workdir: Path, home: Path, delay: float) -> None:
    """A build is killed ``delay`` seconds after the first byte of what belongs at ``home`` was written."""
    shutil.rmtree(home, ignore_errors=True)
    launched = time.time()
    places = [workdir / "partial" / home.name, home]
    child = start("build", "--workdir", workdir, "--json")
    with read_all_the_while(workdir):
        kill_when(lambda: any(holds_bytes(place, launched) for place in places), delay, child)


@pytest.fixture
def assert_recovers(command: Callable[..., Any], undisturbed: dict[str, Any]) -> Callable[[Path], None]:
    """Checks that the next build does well, comes to what an undisturbed one comes to, and clears what was left."""

    def check(workdir: Path) -> None:
        with read_all_the_while(workdir):
            after = command("build", "--workdir", workdir, "--json")
        assert after.code == 0, after.err
        assert result_of(after.document, workdir) == undisturbed
        assert not any(workdir.glob("partial/*"))
        assert not any(workdir.glob("repository/*/.hrm-trt"))

    return check


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_build_killed_in_any_stage_ends_as_if_nothing_had_happened(
    stage: str, copy_demo: Callable[..., Path], start: Callable[..., Any], assert_recovers: Callable[[Path], None]
) -> None:
    workdir, chance = copy_demo(), random.Random(stage)
    homes = sorted(workdir.glob(f"artefacts/{stage}/*"))
    seconds = min(json.loads((home / MANIFEST).read_bytes())["seconds"] for home in homes)
    undo(workdir, stage)
    if stage != "export":  # it takes ten seconds
        kill_at_work(start, workdir, chance.choice(homes), chance.uniform(0, seconds / 2))
        kill_writing(start, workdir, chance.choice(homes), 0)
    kill_writing(start, workdir, chance.choice(homes), chance.uniform(0, FINISHING))
    assert_recovers(workdir)


@pytest.mark.slow
def test_a_build_killed_while_it_publishes_ends_as_if_nothing_had_happened(
    copy_demo: Callable[..., Path], start: Callable[..., Any], assert_recovers: Callable[[Path], None]
) -> None:
    workdir, chance = copy_demo(), random.Random("publish")
    for third in range(3):
        kill_writing(start, workdir, workdir / "repository", chance.uniform(third, third + 1) / 3 * PUBLISHING)
    assert_recovers(workdir)


@pytest.mark.slow
def test_two_builds_at_once_share_the_work(
    copy_demo: Callable[..., Path], start: Callable[..., Any], command: Callable[..., Any], undisturbed: dict[str, Any]
) -> None:
    workdir = copy_demo()
    undo(workdir, "load")
    kept = len(list(workdir.glob("artefacts/*/*")))
    with read_all_the_while(workdir):
        builds = [start("build", "--workdir", workdir, FORCE_COLOR="1", NO_COLOR="1", TERM="dumb") for _ in range(2)]
        logs = [build.communicate()[1] for build in builds]
    assert [build.returncode for build in builds] == [0, 0], logs
    made = [set(re.findall(r"✓ (.*\S)  +[\d.]+ s$", log, re.MULTILINE)) for log in logs]
    found = [set(re.findall(r"✓ (.*\S)  +already done$", log, re.MULTILINE)) for log in logs]
    assert len(made[0]) + len(made[1]) == len(made[0] | made[1])
    assert len(made[0] | made[1]) == len(list(workdir.glob("artefacts/*/*"))) - kept
    assert made[1] <= found[0]
    assert made[0] <= found[1]
    assert "waiting for it" in "".join(logs)
    assert result_of(command("build", "--workdir", workdir, "--json").document, workdir) == undisturbed


def test_a_build_with_nothing_to_do_says_so_at_once(
    copy_demo: Callable[..., Path], command: Callable[..., Any]
) -> None:
    workdir = copy_demo()
    before = snapshot(workdir)
    seconds = []
    for _ in range(3):
        before_it = resource.getrusage(resource.RUSAGE_CHILDREN)
        again = command("build", "--workdir", workdir)
        after_it = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after_it.ru_utime - before_it.ru_utime)
        assert again.code == 0
        assert "nothing has changed since the last build: no work was done" in again.err
        assert snapshot(workdir) == before
    assert min(seconds) < 2  # of the processor: a busy machine is no failure
