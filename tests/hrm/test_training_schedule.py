from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.training.schedule import learning_rate


def test_it_warms_up_and_then_follows_half_a_cosine() -> None:
    rates = [learning_rate(1.0, step, total=110, warmup=10, min_ratio=0.2) for step in (1, 5, 10, 60, 110)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 0.6, 0.2])


@given(st.integers(1, 500), st.integers(0, 600), st.floats(0, 1))
def test_it_never_leaves_its_bounds(total: int, warmup: int, min_ratio: float) -> None:
    rates = [learning_rate(3.0, step, total, warmup, min_ratio) for step in range(1, total + 1)]
    assert all(0 < rate <= 3.0 + 1e-12 for rate in rates[: warmup - 1])
    after = rates[max(0, warmup - 1) :]
    assert all(3.0 * min_ratio - 1e-12 <= rate <= 3.0 + 1e-12 for rate in after)
    assert after == sorted(after, reverse=True)


def test_a_ratio_of_one_keeps_the_rate() -> None:
    assert {learning_rate(2.0, step, 50, 0, 1.0) for step in range(1, 51)} == {2.0}
