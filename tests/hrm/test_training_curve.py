from hrm.data.drawing import to_png
from hrm.training.curve import curve_figure, curve_of

LINES = [
    {"step": 10, "kind": "train", "lm_loss": 2.0, "count": 0.0},
    {"step": 20, "kind": "train", "lm_loss": 1.0, "count": 8.0, "exact_accuracy": 0.25},
    {"step": 20, "kind": "evaluation", "exact_accuracy": 0.5, "adaptive_depth": 3.5},
]


def test_a_curve_leaves_out_what_was_not_measured():
    curve = curve_of(LINES)
    assert curve.loss == ((10, 20), (2.0, 1.0))
    assert curve.training == ((20,), (0.25,))
    assert (curve.unseen, curve.depth) == (((20,), (0.5,)), ((20,), (3.5,)))


def test_a_run_that_has_just_begun_has_a_picture_too():
    assert to_png(curve_figure([])).startswith(b"\x89PNG")
    assert to_png(curve_figure(LINES)).startswith(b"\x89PNG")
