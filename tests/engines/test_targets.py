"""What can be built, and the reason where it can't."""

from typing import get_args

import pytest

from engines.targets import PRECISIONS, TARGETS, RuntimeName, formats, refusal


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_default_that_its_own_runtime_builds(target):
    kind = TARGETS[target]
    assert refusal(target, kind.default, kind.runtimes[0]) is None


def test_hopper_has_no_fp4():
    assert "FP4" in str(refusal("sm_90", "nvfp4"))
    assert (formats("sm_90"), formats("sm_120"), formats("cpu")) == (("fp8",), ("nvfp4", "fp8"), ())


@pytest.mark.parametrize("target", TARGETS)
def test_a_runtime_of_another_target_is_refused_by_name(target):
    for runtime in get_args(RuntimeName):
        reason = refusal(target, TARGETS[target].default, runtime)
        assert (reason is None) == (runtime in TARGETS[target].runtimes)
        assert reason is None or runtime in reason


def test_torch_tensorrt_takes_no_quantised_graph():
    assert "FP16" in str(refusal("sm_90", "fp8", "torch-tensorrt"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_has_no_graph_has_a_reason(target, precision):
    assert (precision in TARGETS[target].variants) == (refusal(target, precision) is None)
