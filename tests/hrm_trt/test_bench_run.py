"""Subjects in processes of their own: what is measured of them, and what becomes of one that fails."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from bench_subjects import (
    HALTS,
    AsksThreads,
    Buggy,
    Dying,
    NoLimit,
    NotNumbers,
    Refusing,
    Script,
    make_plan,
    subject,
)
from scripted import Scripted

import hrm_trt.bench.run as running
from engines.act import Policy
from hrm.errors import EngineError
from hrm_trt.bench.measure import Clock, SubjectJob, SubjectSession

if TYPE_CHECKING:
    from hrm_trt.bench.document import BenchDocument
    from hrm_trt.bench.plan import Plan

FAST = subject(Script())
SLOW = subject(Script(pause=0.005), runtime="torch")


@pytest.fixture(autouse=True)
def without_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LimitJob", NoLimit)


def silent(*_: Any) -> None:
    pass


def run(plan: Plan) -> BenchDocument:
    document = running.run(plan, keep=silent, tell=silent)
    assert multiprocessing.active_children() == []
    return document


def test_every_subject_is_measured_under_every_policy() -> None:
    document = run(make_plan(SLOW, FAST))
    assert [(row.runtime, row.batch, row.policy) for row in document.rows] == [
        (runtime, 2, policy) for policy in ("fixed", "adaptive") for runtime in ("torch", "onnxruntime")
    ]
    for row in document.rows:
        assert len(row.puzzles_per_second.each) == 2
        assert row.depths == ({4: 6} if row.policy == "fixed" else {1: 3, 2: 1, 3: 1, 4: 1})
        assert row.exact == (1 / 6 if row.policy == "fixed" else 1)
        assert row.open_seconds > 0
        assert 10**6 < row.peak_bytes < 2**30
        assert row.share_of_limit is not None
        assert row.latency_seconds.least > 0
    assert (document.matrix_flops, document.matrix_by, document.interrupted) == (2e9, "torch", False)
    assert document.refused == ()
    assert 0 <= document.machine["busy_percent"] <= 100


def test_a_slow_subject_is_measured_as_slow() -> None:
    (row,) = run(make_plan(SLOW, policies=(Policy("fixed", 4),))).rows
    assert row.segment_seconds.least >= 0.005
    assert row.first_call_seconds >= 0.005
    assert row.latency_seconds.least >= 4 * 0.005
    assert row.puzzles_per_second.most <= 6 / (3 * 4 * 0.005)  # three batches of two, four segments each


def test_repetitions_are_interleaved() -> None:
    labels: list[str] = []
    plan = make_plan(SLOW, FAST, policies=(Policy("fixed", 4),))
    running.run(plan, keep=silent, tell=lambda label, done, total: labels.append(f"{label}, {done}/{total}"))
    assert [label for label in labels if label.endswith("/24")] == labels
    assert [label for label in dict.fromkeys(labels) if "limit" not in label] == [
        "repetition 1 of 2: torch fp32, batch 2, fixed, 0/24",
        "repetition 1 of 2: onnxruntime fp32, batch 2, fixed, 6/24",
        "repetition 2 of 2: torch fp32, batch 2, fixed, 12/24",
        "repetition 2 of 2: onnxruntime fp32, batch 2, fixed, 18/24",
    ]


def test_what_was_measured_is_kept_after_every_repetition() -> None:
    kept: list[BenchDocument] = []
    last = running.run(make_plan(FAST), keep=kept.append, tell=silent)
    assert [{len(row.puzzles_per_second.each) for row in document.rows} for document in kept] == [{1}, {2}]
    assert kept[-1] == last


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        (Refusing(), "no engine: its graph is broken"),
        (Buggy(), "exit code 1; its last words: ArithmeticError: the product is not defined"),
        (Dying(0), "killed by signal 9"),
        (Dying(20), "killed by signal 9"),  # in its second turn
    ],
)
def test_a_subject_that_fails_is_refused_and_the_others_go_on(
    opener: Any, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    document = run(make_plan(subject(opener, precision="int8"), FAST, policies=(Policy("fixed", 4),)))
    assert [row.precision for row in document.rows] == ["fp32"]
    assert len(document.rows[0].puzzles_per_second.each) == 2
    (refused,) = document.refused
    assert (refused.runtime, refused.precision) == ("onnxruntime", "int8")
    assert words in refused.reason
    assert capfd.readouterr() == ("", "")


def test_where_not_all_of_a_subject_fails_it_is_said_what_does() -> None:
    # Batch 6 takes 4 segments and 2 for the warm-up, batch 1 takes 24 and dies.
    plan = make_plan(subject(Dying(20)), batches=(1, 6), policies=(Policy("fixed", 4),), repetitions=1)
    document = run(plan)
    assert [row.batch for row in document.rows] == [6]
    assert document.refused[0].reason.startswith("batch 1, fixed: its process was killed")


def test_where_everything_fails_there_is_an_error() -> None:
    with pytest.raises(EngineError) as refused:
        run(make_plan(subject(Refusing())))
    assert refused.value.why == "onnxruntime fp32: no engine: its graph is broken"


def test_an_interrupt_keeps_what_was_measured() -> None:
    kept: list[BenchDocument] = []

    def press(label: str, done: int, total: int) -> None:
        if label.startswith("repetition 2 of 2: onnxruntime"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        running.run(make_plan(SLOW, FAST, policies=(Policy("fixed", 4),)), keep=kept.append, tell=press)
    assert multiprocessing.active_children() == []
    assert [document.interrupted for document in kept] == [False, True]
    assert [len(row.puzzles_per_second.each) for row in kept[-1].rows] == [2, 1]


def test_an_interrupt_before_anything_was_measured_keeps_nothing() -> None:
    kept: list[BenchDocument] = []

    def press(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        running.run(make_plan(FAST), keep=kept.append, tell=press)
    assert kept == []


def test_a_batch_that_is_never_full_is_measured_by_its_largest_calls() -> None:
    (row,) = run(make_plan(FAST, puzzles=3, batches=(8,), policies=(Policy("fixed", 4),))).rows
    assert row.flags == ("the batch was never full: 3 puzzles for 8 slots",)
    assert row.segment_seconds.median > 0


def test_numbers_that_are_none_are_flagged() -> None:
    plan = make_plan(subject(NotNumbers()), policies=(Policy("fixed", 4),))
    (row,) = run(plan).rows
    assert row.flags == ("6 puzzles got NaN or infinity",)


def test_threads_are_set_before_anything_is_loaded() -> None:
    before = dict(os.environ)
    plan = make_plan(subject(AsksThreads()), policies=(Policy("fixed", 4),), threads=3, repetitions=1)
    assert run(plan).refused == ()
    assert dict(os.environ) == before


def test_a_puzzle_waits_from_its_slot_to_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(1000))
    monkeypatch.setattr("hrm_trt.bench.measure.time.perf_counter", lambda: float(next(times)))
    clock = Clock(Scripted([1, 3]), 2)
    plan = make_plan(FAST)
    state = clock.initial_carry(2)
    embeddings = clock.encode(plan.trial.puzzles.inputs[:2], np.array([0, 1], dtype=np.int32))  # at 0
    output = clock.step(*state, embeddings)  # 1 to 2
    clock.observe(np.array([0, 0]), np.array([0, 1]), output)  # at 3
    output = clock.step(output.z_H[1:], output.z_L[1:], embeddings[1:])  # 4 to 5
    clock.observe(np.array([1]), np.array([1]), output)  # at 6
    assert clock.latency_seconds == (3 + 6) / 2
    assert clock.segment_seconds == 1


def test_a_turn_is_warmed_up_and_its_first_call_is_the_processs() -> None:
    plan = make_plan(FAST)
    scripted = Scripted(list(HALTS))
    job = SubjectJob(lambda _: scripted, plan.trial.puzzles, Policy("fixed", 4), 2, 1)
    session = SubjectSession(job, scripted)
    turns = [session.turn(silent) for _ in range(2)]
    assert scripted.batches == 2 * [2] * (2 + 3 * 4)
    assert turns[0].first_call_seconds == turns[1].first_call_seconds
