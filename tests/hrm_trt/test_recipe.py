"""Recipes: what is filled in, and what each mistake is told."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrm.errors import RecipeError
from hrm_trt.pipeline.recipe import Recipe, make_recipe, read_recipe


def problem(**settings) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        make_recipe({"checkpoint": "c", "dataset": "d", **settings})
    return caught.value


def test_defaults_are_the_designs():
    recipe = make_recipe({"checkpoint": "c"})
    assert recipe.pairs() == (("cpu", "fp32", "onnxruntime"),)
    assert recipe.gate.policies == ("fixed", "adaptive")
    assert (recipe.gate.tolerance, recipe.gate.unit, recipe.gate.confidence) == (0.01, "points", 0.95)


def test_every_target_and_precision_is_a_pair():
    recipe = make_recipe({"checkpoint": "c", "targets": ["cpu", "sm_120"]})
    assert recipe.pairs() == (("cpu", "fp32", "onnxruntime"), ("sm_120", "fp16", "tensorrt-rtx"))
    recipe = make_recipe({"checkpoint": "c", "targets": ["cpu"], "precisions": ["fp32", "fp16"]})
    assert [pair.precision for pair in recipe.pairs()] == ["fp32", "fp16"]
    recipe = make_recipe({"checkpoint": "c", "targets": ["sm_120"], "runtime": "tensorrt"})
    assert recipe.pairs() == (("sm_120", "fp16", "tensorrt"),)


def test_integers_are_calibrated_and_placed_in_their_own_way_unless_told_otherwise():
    recipe = make_recipe({"checkpoint": "c"})
    assert [recipe.calibration_method(precision) for precision in ("int8", "fp8")] == ["percentile", "max"]
    assert recipe.quantised_modules("int8") == ("executor", "planner")
    told = make_recipe({"checkpoint": "c", "calibration": {"method": "max"}, "quantise": {"modules": ["executor"]}})
    assert told.calibration_method("int8") == "max"
    assert told.quantised_modules("int8") == ("executor",)


def test_fixed_is_always_gated_first():
    assert make_recipe({"checkpoint": "c", "gate": {"policies": ["adaptive"]}}).gate.policies == ("fixed", "adaptive")


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"chekpoint": "x"}, "checkpoint"),
        ({"gate": {"tolerence": 0.1}}, "tolerance"),
        ({"targets": ["sm_12"]}, "sm_120"),
        ({"targets": ["h100"]}, "cpu, sm_90, sm_100, sm_120"),
        ({"precisions": ["fp4"]}, "nvfp4"),
        ({"precisions": ["nvpf4"]}, "nvfp4"),
        ({"gate": {"policies": ["adaptative"]}}, "adaptive"),
    ],
)
def test_unknown_words_get_the_nearest_known_one(settings, hint):
    assert hint in problem(**settings).hint


@pytest.mark.parametrize(
    "settings",
    [
        {"gate": {"tolerance": 0}},
        {"gate": {"tolerance": 1.5}},
        {"gate": {"limit": 0}},
        {"execution": {"threads": "many"}},
        {"name": "../up"},
        {"format_version": 2},
        {"publish": {"repository": "r", "keep": 0}},
        {"profile": {"batch": {"min": 8, "opt": 4, "max": 2}}},
        {"profile": {"batch": {"min": 0, "opt": 4, "max": 8}}},
    ],
)
def test_values_out_of_range_are_refused(settings):
    assert problem(**settings).why


def test_a_method_that_looks_for_other_steps_is_refused():
    found = problem(precisions=["int8"], calibration={"method": "mse"})
    assert found.what == "the recipe contradicts itself"
    assert "take percentile" in found.why
    assert make_recipe({"checkpoint": "c", "precisions": ["fp8"], "calibration": {"method": "mse"}})


def test_paths_are_relative_to_the_recipe(tmp_path):
    (tmp_path / "r.yaml").write_text("checkpoint: run\ndataset: data\npublish: {repository: models}\n")
    settings = read_recipe(tmp_path / "r.yaml")
    assert settings["checkpoint"] == str(tmp_path / "run")
    assert settings["dataset"] == str(tmp_path / "data")
    assert settings["publish"]["repository"] == str(tmp_path / "models")
    (tmp_path / "r.yaml").write_text("checkpoint: hf://org/model@main\n")
    assert read_recipe(tmp_path / "r.yaml")["checkpoint"] == "hf://org/model@main"


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "a: [", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError):
        read_recipe(tmp_path / "r.yaml")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="cannot read"):
        read_recipe(tmp_path / "none.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(sorted(Recipe.model_fields)),
)
def test_any_value_is_taken_or_refused(value, key):
    with contextlib.suppress(RecipeError):  # anything else is a bug
        assert isinstance(make_recipe({"checkpoint": "c", key: value}), Recipe)
