"""What becomes of a request's tensors: the right puzzles, or an error that names what is wrong. No Triton here."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_clients import SETTINGS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engines.act import Policy
from triton_models.solver.options import LEVELS, Options, read_options
from triton_models.solver.requests import INPUTS, rows_of
from triton_models.solver.settings import read_settings
from triton_models.solver.work import Work

OWNER = Work(None, "", 0.0)  # type: ignore[arg-type]  (never answered)


def column(values: st.SearchStrategy, rows: int, dtype: str = "int32"):
    return st.lists(values, min_size=rows, max_size=rows).map(lambda found: np.array(found, dtype=dtype)[:, None])


@st.composite
def good_requests(draw):
    rows = draw(st.integers(1, 4))
    options = {
        "puzzle_identifiers": column(st.integers(0, 1), rows),
        "max_depth": column(st.integers(1, 4), rows),
    }
    sent = {name: draw(strategy) for name, strategy in options.items() if draw(st.booleans())}
    return {"inputs": draw(arrays.arrays(np.int32, (rows, 3), elements=st.integers(0, 4))), **sent}


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
any_array = st.one_of(
    arrays.arrays(np.int32, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    arrays.arrays(np.int32, st.tuples(st.integers(0, 4), st.sampled_from([1, 3])), elements=st.integers(-1, 5)),
    arrays.arrays(st.sampled_from(["int64", "float32", "bool"]), st.tuples(st.integers(1, 4), st.just(3))),
)


@given(good_requests(), st.sampled_from([None, *SETTINGS.policies]))
def test_good_requests_become_the_puzzles_that_they_hold(request, policy):
    rows = rows_of(request, Options(policy), SETTINGS, OWNER)
    policy = policy or "adaptive"
    threshold = 0.9 if policy == "confidence" else 0.95
    assert len(rows) == len(request["inputs"])
    for index, row in enumerate(rows):
        asked = {name: values[index, 0] for name, values in request.items() if name != "inputs"}
        assert row.inputs.tolist() == request["inputs"][index].tolist()
        assert row.puzzle_identifier == asked.get("puzzle_identifiers", 0)
        assert row.policy == Policy(policy, asked.get("max_depth", 4), threshold)
        assert (row.owner, row.depth) == (OWNER, 0)


@given(good_requests(), st.sampled_from(sorted(INPUTS)), any_array)
def test_whatever_comes_is_refused_by_name_or_is_within_bounds(request, name, values):
    request[name] = values
    rows, reason = understand(request)
    if rows is None:
        # One input may be blamed for another: two rows of it do not go with three of the other.
        assert any(reason.startswith(each) for each in request)
        assert len(reason) < 300
        return
    assert len(rows) == len(request["inputs"]) > 0
    for row in rows:
        assert (row.inputs.dtype, row.inputs.shape) == (np.int32, (3,))
        assert set(row.inputs.tolist()) <= set(range(5))
        assert row.puzzle_identifier in (0, 1)
        assert 1 <= row.policy.max_depth <= 4
        assert row.policy.name in SETTINGS.policies


def understand(request):
    """Puzzles, or the reason why not."""
    try:
        return rows_of(request, Options(), SETTINGS, OWNER), ""
    except ValueError as error:
        return None, str(error)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inputs": np.zeros((0, 3), np.int32)}, "inputs holds no puzzle"),
        ({"inputs": np.array([[1, 5, 1]], np.int32)}, "inputs has 5; values must be from 0 to 4"),
        ({"inputs": np.array([[1, -1, 1]], np.int32)}, "inputs has -1; values must be from 0 to 4"),
        ({"inputs": np.ones((1, 4), np.int32)}, "inputs is int32 [1, 4]; it must be int32 [1, 3]"),
        ({"inputs": np.ones((1, 3), np.int64)}, "inputs is int64 [1, 3]; it must be int32 [1, 3]"),
        ({"inputs": np.ones((), np.int32)}, "inputs is int32 []; it must be int32 [1, 3]"),
        ({"puzzle_identifiers": np.array([[2]], np.int32)}, "puzzle_identifiers has 2; values must be from 0 to 1"),
        ({"max_depth": np.array([[0]], np.int32)}, "max_depth is 0; it must be from 1 to 4"),
        ({"max_depth": np.array([[5]], np.int32)}, "max_depth is 5; it must be from 1 to 4"),
        (
            {"max_depth": np.array([[1], [1]], np.int32)},
            "max_depth is int32 [2, 1]; it must be int32 [1, 1]",
        ),
    ],
)
def test_the_reason_says_what_is_wrong_and_what_is_right(wrong, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        rows_of({"inputs": np.ones((1, 3), np.int32), **wrong}, Options(), SETTINGS, OWNER)
    assert str(caught.value) == message


def test_no_inputs_are_no_puzzle():
    with pytest.raises(ValueError, match="inputs holds no puzzle"):
        rows_of({"max_depth": np.ones((1, 1), np.int32)}, Options(), SETTINGS, OWNER)


@pytest.mark.parametrize("policy", ["until-lunch", "a" * 10**6, "\ufffd", "fixed\0", ""])
def test_a_policy_that_was_not_gated_is_refused_however_long_its_name(policy):
    request = {"inputs": np.ones((1, 3), np.int32)}
    with pytest.raises(
        ValueError, match="was not gated for this model; there is fixed, adaptive, confidence"
    ) as caught:
        rows_of(request, read_options(json.dumps({"policy": policy})), SETTINGS, OWNER)
    assert len(str(caught.value)) < 200  # longer ones do not fit in gRPC's trailers


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("", Options(None, 2)),
        ("{}", Options(None, 2)),
        ('{"policy": "fixed"}', Options("fixed", 2)),
        ('{"queue_priority": 1, "x": [1.5], "priority": 3}', Options(None, 1)),
        ('{"queue_priority": 3, "policy": "confidence"}', Options("confidence", 3)),
    ],
)
def test_what_a_request_wants_is_read_from_its_parameters(parameters, found):
    assert read_options(parameters) == found


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ('{"queue_priority": 0}', "queue_priority is 0; it must be 1, 2, 3"),
        ('{"queue_priority": 4}', "queue_priority is 4; it must be 1, 2, 3"),
        ('{"queue_priority": 1.0}', "queue_priority is 1.0; it must be 1, 2, 3"),
        ('{"queue_priority": true}', "queue_priority is True; it must be 1, 2, 3"),
        ('{"queue_priority": "1"}', "queue_priority is '1'; it must be 1, 2, 3"),
        ('{"queue_priority": null}', "queue_priority is None; it must be 1, 2, 3"),
        ('{"queue_priority": NaN}', "queue_priority is nan; it must be 1, 2, 3"),
        ('{"policy": 5}', "policy is 5; it must be a string"),
        ('{"policy": false}', "policy is False; it must be a string"),
        ('{"policy": ["fixed"]}', "policy is ['fixed']; it must be a string"),
    ],
)
def test_a_parameter_without_meaning_is_named(parameters, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        read_options(parameters)
    assert str(caught.value) == message


@given(st.dictionaries(st.sampled_from(["policy", "queue_priority", "x"]), json_values))
def test_whatever_the_parameters_are_they_are_refused_or_understood(values):
    options, reason = choose(values)
    if options is None:
        assert reason.startswith(("policy is ", "queue_priority is "))
        assert len(reason) < 200
        return
    assert options.level in LEVELS
    assert options.policy is None or values["policy"].startswith(options.policy)


def choose(values):
    """Options, or the reason why not."""
    try:
        return read_options(json.dumps(values)), ""
    except ValueError as error:
        return None, str(error)


def test_settings_survive_the_way_through_a_file(tmp_path):
    path = tmp_path / "settings.json"
    values = {**vars(SETTINGS), "graph_batches": [1, 2, 4]}
    path.write_text(json.dumps(values))
    assert vars(read_settings(path)) == {**values, "graph_batches": (1, 2, 4)}


def test_settings_of_another_format_are_refused(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({**vars(SETTINGS), "format_version": 2}))
    with pytest.raises(ValueError, match=r"settings\.json has format 2; this orchestrator reads 1"):
        read_settings(path)
