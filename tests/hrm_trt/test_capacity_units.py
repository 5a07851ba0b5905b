from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrm.errors import UsageError
from hrm_trt.capacity.units import (
    PER,
    SECONDS,
    ceiling,
    format_duration,
    format_rate,
    parse_duration,
    parse_rate,
)

numbers = st.one_of(st.integers(1, 10**9).map(str), st.decimals("0.001", 10**6, places=3).map(str))
spaces = st.sampled_from(["", " "])
lengths = st.floats(1e-6, 1e5)


@settings(deadline=None)
@given(numbers, st.sampled_from(sorted(PER)), spaces)
def test_a_rate_is_a_number_per_a_time(number, unit, space):
    assert parse_rate("--rate", f"{number}{space}/{space}{unit}") == pytest.approx(float(number) / PER[unit])


@settings(deadline=None)
@given(numbers, st.sampled_from(sorted(SECONDS)), spaces)
def test_a_duration_is_a_number_and_a_unit(number, unit, space):
    assert parse_duration("--p99", f"{number}{space}{unit}") == pytest.approx(float(number) * SECONDS[unit])


@settings(deadline=None)
@given(lengths)
def test_a_duration_that_is_written_can_be_read(seconds):
    assert parse_duration("--p99", format_duration(seconds)) == pytest.approx(seconds, rel=0.006)


@settings(deadline=None)
@given(st.floats(1e-3, 1e6))
def test_a_rate_that_is_written_can_be_read(rate):
    assert parse_rate("--rate", format_rate(rate).replace(",", "")) == pytest.approx(rate, rel=0.006)


@settings(deadline=None)
@given(lengths)
def test_a_ceiling_is_no_shorter_and_hardly_longer(seconds):
    assert seconds * (1 - 1e-9) <= parse_duration("--p99", ceiling(seconds)) <= seconds * 1.11


def test_what_people_see():
    assert [format_duration(seconds) for seconds in (0.0351, 0.2, 1.5, 61.2, 4e-5)] == [
        "35.1ms",
        "200ms",
        "1.50s",
        "61.2s",
        "40.0us",
    ]
    assert [format_rate(rate) for rate in (50000 / 3600, 14, 0.1, 1234)] == ["13.9/s", "14.0/s", "6.00/min", "1,234/s"]
    assert [ceiling(seconds) for seconds in (0.0351, 0.2, 1.501)] == ["36ms", "200ms", "1.6s"]


@pytest.mark.parametrize(
    "given", ["", "14", "14/", "/s", "14/week", "-3/s", "1e3/s", "nan/s", "1,000/s", "14/s/s", "٣/s"]
)
def test_what_is_no_rate_is_refused_with_an_example(given):
    with pytest.raises(UsageError) as refused:
        parse_rate("--rate", given)
    assert repr(given) in refused.value.what
    assert "50000/h" in refused.value.hint


@pytest.mark.parametrize("given", ["", "200", "ms", "200 m", "-1s", "inf s", "1.5.2s", "1s 200ms"])
def test_what_is_no_duration_is_refused_with_an_example(given):
    with pytest.raises(UsageError) as refused:
        parse_duration("--p99", given)
    assert "200ms" in refused.value.hint


def test_nothing_and_everything_are_refused():
    with pytest.raises(UsageError, match="nothing"):
        parse_rate("--rate", "0/h")
    with pytest.raises(UsageError, match="nothing"):
        parse_duration("--p99", "0.0ms")
    with pytest.raises(UsageError, match="beyond"):
        parse_rate("--rate", f"{'9' * 400}/s")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_rate_or_refused(text):
    with contextlib.suppress(UsageError):
        assert parse_rate("--rate", text) > 0
