import shlex

import numpy as np

from validation.flips import flips, replay_command


def test_a_flip_holds_the_puzzle_and_both_answers(puzzles, baseline, trial):
    (lost, *_) = flips(trial.verdict.lost, puzzles, baseline.answers, trial.evaluation.answers)
    assert lost.example == trial.verdict.lost[0]
    np.testing.assert_array_equal(lost.baseline, lost.labels)
    assert (lost.engine != lost.labels).any()
    np.testing.assert_array_equal(lost.inputs, puzzles.inputs[lost.example])


def test_a_replay_command_survives_a_shell():
    assert replay_command("demo", 17, "fixed") == "hrm-trt solve --model demo --policy fixed --example 17"
    assert shlex.split(replay_command("my models/a & b", 3, "fixed"))[3] == "my models/a & b"
