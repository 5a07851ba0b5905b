"""What becomes of a request's tensors: the right puzzles, or an error that names what is wrong. No Triton here."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engines.act import Policy
from triton_models.solver.requests import INPUTS, rows_of
from triton_models.solver.settings import Settings, read_settings
from triton_models.solver.work import Work

SETTINGS = Settings(
    name="tiny",
    version=3,
    topology="segment",
    models={"encoder": "tiny_encoder", "segment": "tiny_segment"},
    sequence=3,
    tokens=4,
    hidden_size=4,
    vocab_size=5,
    identifiers=2,
    H_cycles=1,
    L_cycles=1,
    max_depth=4,
    policies={"fixed": None, "adaptive": None, "confidence": 0.9},
    default_policy="adaptive",
    puzzle_input="puzzle_identifiers",
    carry="carry.npz",
    puzzle_table=None,
)
OWNER = Work(None, "", 0.0)  # type: ignore[arg-type]  (never answered)


def column(values: st.SearchStrategy, rows: int, dtype: str = "int32"):
    return st.lists(values, min_size=rows, max_size=rows).map(lambda found: np.array(found, dtype=dtype)[:, None])


@st.composite
def good_requests(draw):
    rows = draw(st.integers(1, 4))
    options = {
        "puzzle_identifiers": column(st.integers(0, 1), rows),
        "max_depth": column(st.integers(1, 4), rows),
        "policy": column(st.sampled_from([b"fixed", b"adaptive", b"confidence"]), rows, "object"),
    }
    sent = {name: draw(strategy) for name, strategy in options.items() if draw(st.booleans())}
    return {"inputs": draw(arrays.arrays(np.int32, (rows, 3), elements=st.integers(0, 4))), **sent}


any_array = st.one_of(
    arrays.arrays(np.int32, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    arrays.arrays(np.int32, st.tuples(st.integers(0, 4), st.sampled_from([1, 3])), elements=st.integers(-1, 5)),
    arrays.arrays(st.sampled_from(["int64", "float32", "bool"]), st.tuples(st.integers(1, 4), st.just(3))),
    column(st.binary(max_size=100), 2, "object"),
)


@given(good_requests())
def test_good_requests_become_the_puzzles_that_they_hold(request):
    rows = rows_of(request, SETTINGS, OWNER)
    assert len(rows) == len(request["inputs"])
    for index, row in enumerate(rows):
        asked = {name: values[index, 0] for name, values in request.items() if name != "inputs"}
        policy = asked.get("policy", b"adaptive").decode()
        threshold = 0.9 if policy == "confidence" else 0.95
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
        return rows_of(request, SETTINGS, OWNER), ""
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
        (
            {"policy": np.array([[b"until-lunch"]], object)},
            "policy 'until-lunch' was not gated for this model; there is fixed, adaptive, confidence",
        ),
        (
            {"policy": np.array([[b"\xff\xfe"]], object)},
            "policy '\ufffd\ufffd' was not gated for this model; there is fixed, adaptive, confidence",
        ),
    ],
)
def test_the_reason_says_what_is_wrong_and_what_is_right(wrong, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the whole message is compared)
        rows_of({"inputs": np.ones((1, 3), np.int32), **wrong}, SETTINGS, OWNER)
    assert str(caught.value) == message


def test_no_inputs_are_no_puzzle():
    with pytest.raises(ValueError, match="inputs holds no puzzle"):
        rows_of({"max_depth": np.ones((1, 1), np.int32)}, SETTINGS, OWNER)


def test_a_policy_as_long_as_a_book_does_not_come_back_whole():
    request = {"inputs": np.ones((1, 3), np.int32), "policy": np.array([[b"a" * 10**6]], object)}
    with pytest.raises(ValueError, match="policy 'aaa") as caught:
        rows_of(request, SETTINGS, OWNER)
    assert len(str(caught.value)) < 200  # longer ones do not fit in gRPC's trailers


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
