"""The picture of a search: everything that was measured is in it, and what was chosen stands out."""

import numpy as np
import pytest

from hrm.data.drawing import to_png
from validation.report.sensitivity_chart import sensitivity_figure
from validation.search import search
from validation.sensitivity import Outcome

SHARES = {"a": 0.3, "b": 0.3, "c": 0.2}
LOST = {"a": 0, "b": 2, "c": 9}


def measure(assignment):
    lost = sum(LOST[site] for site, precision in assignment.items() if precision == "nvfp4")
    solved = np.arange(1000) >= lost
    return Outcome(solved, lost / 1000, True)


@pytest.fixture(scope="module")
def record():
    return search(tuple(SHARES), ("nvfp4", "fp8"), SHARES, measure, tolerance=0.01, evaluations=24)


def test_every_measurement_is_a_point(record):
    (axes,) = sensitivity_figure(record).axes
    points = {tuple(np.round(point, 6)) for shown in axes.collections for point in shown.get_offsets()}
    for attempt in record.attempts:
        assert (round(attempt.work.get("nvfp4", 0), 6), round(attempt.exact, 6)) in points
    for each in record.alone:
        assert (round(each.work, 6), round(record.baseline_exact - each.loss, 6)) in points


def test_the_chosen_point_says_what_it_is_made_of(record):
    (axes,) = sensitivity_figure(record).axes
    assert record.chosen == {"a": "nvfp4", "b": "nvfp4", "c": "fp8"}
    assert "60.0% NVFP4\n20.0% FP8" in {text.get_text() for text in axes.texts}
    assert axes.get_xlabel() == "share of the GEMM work in NVFP4"


def test_equal_records_make_equal_pictures(record):
    assert to_png(sensitivity_figure(record)) == to_png(sensitivity_figure(record))


def test_a_search_that_found_nothing_has_a_picture_too():
    def fragile(assignment):
        return Outcome(np.full(1000, set(assignment.values()) == {"fp16"}), 0.5, True)

    found = search(("a",), ("fp8",), {"a": 0.5}, fragile, tolerance=0.01, evaluations=1)
    (axes,) = sensitivity_figure(found).axes
    assert "FP16 only" in {text.get_text() for text in axes.texts}
