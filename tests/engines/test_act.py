"""How sure an answer is, and when a puzzle stops."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from engines.act import Policy, certainty, confidence, finite


def test_confidence_is_the_mean_of_the_largest_softmax_probabilities():
    logits = np.log(np.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]], dtype=np.float32))
    assert confidence(logits) == pytest.approx([0.65])


@given(
    nps.arrays(
        np.float32, st.tuples(*[st.integers(1, 4)] * 2, st.integers(2, 6)), elements=st.floats(-50, 50, width=32)
    )
)
def test_certainty_is_what_scipy_says_of_the_softmax(logits):
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=-1)
    sure, entropy = certainty(logits)
    np.testing.assert_allclose(sure, probabilities.max(axis=-1).mean(axis=-1), rtol=1e-4)
    np.testing.assert_allclose(entropy, scipy.stats.entropy(probabilities, axis=-1).mean(axis=-1), rtol=1e-3, atol=1e-4)


def test_each_policy_has_its_own_reason_to_stop():
    assert not Policy("fixed", 8).halts(1.0, 0.0, 1.0)
    assert Policy("adaptive", 8).halts(0.2, 0.1, 0.0)
    assert not Policy("adaptive", 8).halts(0.1, 0.1, 1.0)
    assert Policy("confidence", 8, 0.9).halts(0.0, 1.0, 0.91)
    assert not Policy("confidence", 8, 0.9).halts(1.0, 0.0, 0.9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_is_finite_only_if_all_its_heads_are(bad):
    logits, q_halt, q_continue = np.zeros((4, 2, 3)), np.zeros(4), np.zeros(4)
    logits[1, 1, 2] = q_halt[2] = q_continue[3] = bad
    assert finite(logits, q_halt, q_continue).tolist() == [True, False, False, False]
