"""What can be built, and the reason where it can't."""

import pytest

from engines.targets import PRECISIONS, TARGETS, refusal


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_default_that_can_at_least_be_exported(target):
    assert refusal(target, TARGETS[target].default, graphs_only=True) is None


def test_hopper_has_no_fp4():
    assert "FP4" in str(refusal("sm_90", "nvfp4", graphs_only=True))


def test_gpu_engines_are_refused_and_their_graphs_are_not():
    assert refusal("sm_120", "fp16", graphs_only=True) is None
    assert "TensorRT" in str(refusal("sm_120", "fp16"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_has_no_graph_has_a_reason(target, precision):
    assert (precision in TARGETS[target].variants) == (refusal(target, precision, graphs_only=True) is None)
