"""What is served: three bundles, the puzzles that are sent to them, and what the in-process runner answers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.pipeline import random_checkpoint
from benchmarks.serving.designs.standin import MAX_DEPTH, VOCABULARY, standin_bundle, standin_puzzles
from benchmarks.serving.shared import load, write_bundle
from engines.act import Policy
from engines.bundle import Profile, Range, read_manifest
from engines.loading import load_engines
from engines.onnx_session import RuntimeOptions
from engines.solving import solve
from hrm.config import PAPER
from hrm.data.dataset import read_split
from hrm_trt.pipeline import demo
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.run import run
from hrm_trt.pipeline.workdir import Workdir

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from engines.solving import Answers

SLOTS = 32
ONE_THREAD = RuntimeOptions(threads=1)
"""As the test server's backend has it."""
PAPER_SEGMENTS = 4
_MAX_BATCH = 256
_DEMO_PUZZLES = 1000
"""As in the demo's own gate, which is found done where the demo was built."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One bundle and its puzzles."""

    name: str
    """of the set that is published"""
    title: str
    bundle: Path
    max_depth: int
    vocabulary: int
    labels: npt.NDArray[np.int32]
    """[N, S]"""
    answers: Mapping[str, load.Puzzles]
    """By policy: what the in-process runner says."""

    @property
    def depths(self) -> npt.NDArray[np.int32]:
        """[N], under adaptive halting."""
        return np.asarray(self.answers["adaptive"].depths)


def demo_subject(workdir: Path, puzzles: int) -> Subject:
    """The demo's bundle, built if it is not yet there."""
    recipe = demo.settings(Workdir(workdir))
    recipe.pop("publish")
    result = run(make_recipe({**recipe, "gate": {"limit": _DEMO_PUZZLES}}), Workdir(workdir), until="validate")
    assert result.exit_code == 0
    bundle = Workdir(workdir).bundle(demo.BUNDLE)
    test = read_split(demo.home() / "dataset", "test", puzzles)
    architecture = read_manifest(bundle).architecture
    depth = architecture["halt_max_steps"]
    return Subject(
        name="sudoku-6x6",
        title="demo (789k, 6×6 Sudoku)",
        bundle=bundle,
        max_depth=depth,
        vocabulary=architecture["vocab_size"],
        labels=test.labels,
        answers={policy: reference(bundle, test.inputs, policy, depth) for policy in ("adaptive", "fixed")},
    )


def standin_subject(home: Path, depths: npt.NDArray[np.int32]) -> Subject:
    """The stand-in, with a puzzle for each of ``depths``."""
    bundle = standin_bundle(home / "standin", SLOTS)
    inputs = standin_puzzles(depths)
    return Subject(
        name="standin",
        title="stand-in (5 ms a call, the demo's depths)",
        bundle=bundle,
        max_depth=MAX_DEPTH,
        vocabulary=VOCABULARY,
        labels=inputs,
        answers={policy: reference(bundle, inputs, policy, MAX_DEPTH) for policy in ("adaptive", "fixed")},
    )


def paper_subject(workdir: Path, home: Path, puzzles: int) -> Subject:
    """A random 27M-parameter HRM at a fixed number of segments; only its speed means anything.

    Its answers are filled in by whoever measures the in-process runner: they take as long as what is measured.
    """
    checkpoint = workdir / "random27m.safetensors"
    if not checkpoint.is_file():
        workdir.mkdir(parents=True, exist_ok=True)
        random_checkpoint(checkpoint)
    result = run(make_recipe({"name": "random-27m", "checkpoint": str(checkpoint)}), Workdir(workdir), until="build")
    paths = {engine.module: Path(engine.path) for engine in result.engines if engine.path}
    built = Workdir(workdir).bundle("random-27m-cpu-fp32")
    with np.load(built / read_manifest(built).carry.file) as carry:
        states = dict(carry)
    sequence = Range(min=1, opt=PAPER.seq_len, max=PAPER.seq_len)
    bundle = write_bundle(
        home / "random-27m",
        "segment",
        {module: paths[module].read_bytes() for module in ("encoder", "segment")},
        states,
        PAPER,
        profile=Profile(batch=Range(min=1, opt=SLOTS, max=_MAX_BATCH), sequence=sequence),
    )
    inputs = np.random.default_rng(0).integers(1, PAPER.vocab_size, (puzzles, PAPER.seq_len), dtype=np.int32)
    return Subject(
        name="random-27m",
        title="random 27M",
        bundle=bundle,
        max_depth=PAPER_SEGMENTS,
        vocabulary=PAPER.vocab_size,
        labels=inputs,
        answers={"fixed": load.Puzzles(inputs, inputs, np.full(puzzles, PAPER_SEGMENTS, np.int32))},
    )


def reference(bundle: Path, inputs: npt.NDArray[np.int32], policy: str, max_depth: int) -> load.Puzzles:
    """What the in-process runner answers with the bundle's engines."""
    answers, _ = in_process(bundle, inputs, Policy(policy, max_depth), SLOTS)  # type: ignore[arg-type]
    return load.Puzzles(inputs, answers.tokens, answers.depth)


def in_process(bundle: Path, inputs: npt.NDArray[np.int32], policy: Policy, batch: int) -> tuple[Answers, float]:
    """The in-process runner's answers, and the seconds that they took, engines opened and warm."""
    stepper = load_engines(bundle, read_manifest(bundle), ONE_THREAD)
    identifiers = np.zeros(len(inputs), np.int32)
    solve(stepper, inputs[:1], identifiers[:1], Policy("fixed", 1), batch=1)
    began = time.perf_counter()
    answers = solve(stepper, inputs, identifiers, policy, batch=batch)
    return answers, time.perf_counter() - began
