"""Whole runs of puzzles, and all that the heads said on the way."""

import numpy as np

from engines.solving import solve


def answers(stepper, puzzles, policy, batch=7):
    """What solving gives, and of every segment its rows' depths, their puzzles and the heads."""
    said = []

    def keep(segments, rows, output):
        said.append([segments, rows, output.logits.copy(), output.q_halt.copy(), output.q_continue.copy()])

    found = solve(stepper, puzzles.inputs, puzzles.puzzle_identifiers, policy, batch=batch, observe=keep)
    return found, said


def assert_same_bits(found, wanted):
    """Both of ``answers``."""
    (ours, said), (theirs, told) = found, wanted
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)
    np.testing.assert_array_equal(ours.depth, theirs.depth)
    assert len(said) == len(told)
    for one, other in zip(said, told, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
