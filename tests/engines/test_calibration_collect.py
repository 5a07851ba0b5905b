"""What calibration measures, against plain PyTorch hooks on the sample."""

import importlib
import itertools
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engines.calibration.collect import calibrate
from export.quantise.calibration import Calibration, check_calibration
from export.quantise.sites import sites
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.errors import CalibrationError, MissingError

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
FIRST = "L_level.layers.0.self_attn.qkv_proj"
"""The executor's first linear."""
PUZZLES = read_split(SAMPLE / "dataset", "train", 20)
BATCH = 8


@pytest.fixture
def sample():
    return network(load(locate(SAMPLE)))


@pytest.fixture(scope="module")
def measured():
    return measure(network(load(locate(SAMPLE))))


def measure(model, **options):
    return calibrate(model, PUZZLES.inputs, PUZZLES.puzzle_identifiers, **{"batch": BATCH, **options})


def seen(model):
    """Every input of every linear by segment, noted by hooks."""
    values: dict = defaultdict(lambda: defaultdict(list))
    place = {"segment": 0}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, x, name=name: values[name][place["segment"]].append(x[0].abs()))
    with torch.inference_mode():
        for start in range(0, len(PUZZLES), BATCH):
            rows = slice(start, start + BATCH)
            tokens, identifiers = (torch.from_numpy(a[rows]) for a in (PUZZLES.inputs, PUZZLES.puzzle_identifiers))
            carry, embeddings = model.initial_carry(len(tokens)), model.encode(tokens, identifiers)
            for place["segment"] in range(model.config.halt_max_steps):
                carry, _ = model.segment(carry, embeddings)
    return values


def test_the_maxima_are_what_the_linears_are_given_in_all_cycles_and_segments(sample, measured):
    values, executor = seen(sample), sites(sample.config, "executor")
    assert tuple(measured.sites) == tuple(measured.segments) == executor
    for name in executor:
        by_segment = [max(float(x.max()) for x in values[name][k]) for k in range(sample.config.halt_max_steps)]
        assert measured.segments[name] == tuple(by_segment)
        assert measured.sites[name].input == max(by_segment)
        assert measured.sites[name].weight == float(sample.get_submodule(name).weight.detach().abs().max())
    calls = sample.config.H_cycles * sample.config.L_cycles * math.ceil(len(PUZZLES) / BATCH)
    assert len(values[FIRST][0]) == calls


def test_the_planner_is_calibrated_when_asked_and_the_heads_never(sample, measured):
    both = measure(sample, modules=("executor", "planner"))
    assert tuple(both.sites) == (*sites(sample.config, "executor"), *sites(sample.config, "planner"))
    assert both.sites[FIRST] == measured.sites[FIRST]


def test_calibrating_again_gives_the_same_numbers(sample, measured):
    assert measure(sample) == measured


def test_the_network_stays_as_it_is(sample):
    before = {name: value.clone() for name, value in sample.state_dict().items()}
    measure(sample, method="mse")
    after = sample.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    linears = [module for module in sample.modules() if isinstance(module, nn.Linear)]
    assert {type(linear) for linear in linears} == {nn.Linear}
    assert not any(linear._forward_pre_hooks for linear in linears)


def test_an_outlier_of_a_late_segment_counts(sample, measured):
    config, late = sample.config, 5
    executor_calls = itertools.count()
    first = late * config.H_cycles * config.L_cycles

    def plant(_, arguments):
        state, *others = arguments
        return (100 * state, *others) if next(executor_calls) == first else None

    sample.L_level.register_forward_pre_hook(plant)
    planted = measure(sample, batch=len(PUZZLES))
    assert planted.sites[FIRST].input == planted.segments[FIRST][late] > 10 * measured.sites[FIRST].input
    assert max(planted.segments[FIRST][:late]) == pytest.approx(max(measured.segments[FIRST][:late]), rel=1e-3)


def test_percentiles_are_those_of_all_values(sample, measured):
    clipped, values = measure(sample, method="percentile"), seen(sample)
    for name, amax in clipped.sites.items():
        every = torch.cat([x.flatten() for segment in values[name].values() for x in segment]).numpy()
        a_bin = measured.segments[name][0] / 1000
        assert amax.input == pytest.approx(np.percentile(every, 99.99), abs=2 * a_bin)
        assert amax.input < measured.sites[name].input
        assert amax.weight == measured.sites[name].weight
    assert clipped.segments == measured.segments


def rounding_error(values, amax):
    scaled = (values * (448 / amax)).clamp(-448, 448).to(torch.float8_e4m3fn)
    return float((scaled.float() * (amax / 448) - values).square().mean())


def test_least_error_clips_where_that_rounds_better(sample, measured):
    clipped, values = measure(sample, method="mse"), seen(sample)
    for name, amax in clipped.sites.items():
        largest = measured.sites[name]
        every = torch.cat([x.flatten() for segment in values[name].values() for x in segment])
        assert 0 < amax.input <= largest.input
        assert rounding_error(every, amax.input) <= 1.01 * rounding_error(every, largest.input)
        weight = sample.get_submodule(name).weight.detach()
        assert 0 < amax.weight <= largest.weight
        assert rounding_error(weight, amax.weight) <= rounding_error(weight, largest.weight)
    assert any(clipped.sites[name].input < measured.sites[name].input for name in clipped.sites)


def test_progress_is_told_after_each_batch_and_modelopt_says_nothing(sample, capfd):
    measure(sample, method="mse", progress=lambda done, total: sys.stdout.write(f"{done} of {total}\n"))
    captured = capfd.readouterr()
    assert captured.out.splitlines() == ["8 of 20", "16 of 20", "20 of 20"]
    assert captured.err == ""


def test_nan_in_a_weight_is_refused(sample):
    with torch.no_grad():
        sample.get_submodule(FIRST).weight[0, 0] = math.nan
    with pytest.raises(CalibrationError, match=FIRST) as refused:
        measure(sample)
    assert "weights hold nan" in refused.value.why


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_hidden_state_that_is_not_finite_is_refused_with_its_segment(sample, value):
    calls = itertools.count()
    per_segment = sample.config.H_cycles * sample.config.L_cycles

    def spoil(_, arguments):
        state, *others = arguments
        return (state * value, *others) if next(calls) == 2 * per_segment else None

    sample.L_level.register_forward_pre_hook(spoil)
    with pytest.raises(CalibrationError, match=FIRST) as refused:
        measure(sample)
    assert "in segment 3" in refused.value.why


def test_a_dead_linear_leaves_a_maximum_that_no_scale_is_made_from(sample):
    with torch.no_grad():
        sample.get_submodule("L_level.layers.1.mlp.gate_up_proj").weight.zero_()
    for method in ("max", "percentile"):
        found = measure(sample, method=method)
        assert found.sites["L_level.layers.1.mlp.down_proj"].input == 0
    stored = Calibration(
        method="max", sites=found.sites, segments=found.segments, checkpoint="", dataset="", split="train",
        puzzles=len(PUZZLES), seed=0, versions=found.versions,
    )  # fmt: skip
    with pytest.raises(CalibrationError, match="gate_up_proj"):
        check_calibration(stored)


def test_without_modelopt_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "engines.calibration.modelopt", raising=False)
    monkeypatch.setitem(sys.modules, "modelopt", None)
    monkeypatch.setitem(sys.modules, "modelopt.torch.quantization", None)
    with pytest.raises(MissingError) as missing:
        importlib.import_module("engines.calibration.modelopt")
    assert "hrm-trt[quantise]" in missing.value.hint
