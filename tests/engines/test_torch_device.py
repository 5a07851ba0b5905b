"""PyTorch with its carry in tensors: the arithmetic of ``TorchArrays``, and the same answers as with numpy arrays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from trt_graphs import CONFIG
from whole_runs import answers, assert_same_bits

from engines.act import Policy
from engines.slots import HostArrays
from engines.torch_arrays import TorchArrays
from engines.torch_runtime import TensorEngine, TorchEngine, on_device, tensor_stepper, torch_stepper
from hrm.checkpoint import locate
from hrm.checkpoint.loading import load, network
from hrm.data.dataset import read_split
from hrm.errors import EngineError, MissingError
from hrm.network import random_network

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
PUZZLES = 24


@pytest.fixture(scope="module")
def puzzles():
    return read_split(SAMPLE / "dataset", "test", PUZZLES)


@pytest.fixture(scope="module")
def checkpoint():
    return load(locate(SAMPLE))


class TestArrays:
    @given(
        arrays_of.arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 3)), elements=st.integers(-9, 9)),
        st.data(),
    )
    def test_rows_are_handled_as_numpy_handles_them(self, values, data):
        rows = np.array(data.draw(st.lists(st.integers(0, len(values) - 1), min_size=1, max_size=8)))
        ours, theirs = TorchArrays(), HostArrays()
        tensor = torch.from_numpy(values)
        np.testing.assert_array_equal(ours.host(ours.take(tensor, rows)), theirs.take(values, rows))
        for parts in ([tensor], [tensor, values], [values, tensor, tensor]):
            np.testing.assert_array_equal(ours.host(ours.join(parts)), theirs.join([values] * len(parts)))

    @given(st.sets(st.integers(0, 4), min_size=1))
    def test_rows_are_written_in_place(self, rows):
        where = np.array(sorted(rows))
        new = np.full((len(where), 2), 7, np.float32)
        ours, theirs = TorchArrays(), HostArrays()
        values, tensor = np.zeros((5, 2), np.float32), torch.zeros(5, 2)
        assert theirs.put(values, where, new) is values
        assert ours.put(tensor, where, new) is tensor
        np.testing.assert_array_equal(ours.host(tensor), values)
        assert values.sum(axis=1).nonzero()[0].tolist() == where.tolist()

    def test_what_cannot_be_written_to_is_copied(self):
        values = np.broadcast_to(np.float32(1), (3, 2))
        assert HostArrays().put(values, np.array([1]), np.zeros((1, 2))).tolist() == [[1, 1], [0, 0], [1, 1]]
        assert (values == 1).all()

    def test_on_a_cpu_nothing_is_copied_that_need_not_be(self):
        arrays, values = TorchArrays(), np.zeros((3, 2), np.float32)
        tensor = arrays.tensor(values)
        assert np.shares_memory(arrays.host(tensor), values)
        assert arrays.join([tensor]) is tensor
        assert arrays.host(values) is values

    def test_what_numpy_has_no_type_for_becomes_wider(self):
        values = torch.tensor([1.5, -3.0], dtype=torch.bfloat16)
        found = TorchArrays().host(values)
        assert (found.dtype, found.tolist()) == (np.float32, [1.5, -3.0])


@pytest.mark.parametrize("policy", ["fixed", "adaptive", "confidence"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_carry_in_tensors_gives_the_very_same_bits(checkpoint, puzzles, policy, dtype):
    model = network(checkpoint, dtype)
    wanted = answers(torch_stepper(model), puzzles, Policy(policy, 4))
    found = answers(tensor_stepper(model), puzzles, Policy(policy, 4))
    assert_same_bits(found, wanted)


def test_a_carry_is_never_the_networks_own_memory():
    one_token = replace(CONFIG, seq_len=1, puzzle_emb_ndim=0)
    model = random_network(one_token, 0)
    z_H, z_L = tensor_stepper(model).initial_carry(1)
    assert z_H.data_ptr() != model.H_init.data_ptr()
    assert z_L.data_ptr() != model.L_init.data_ptr()


def test_the_carry_never_comes_to_the_host(checkpoint, puzzles, monkeypatch):
    stepper, brought = tensor_stepper(network(checkpoint)), []
    host = TorchArrays.host

    def bring(self, array):
        brought.append(tuple(array.shape))
        return host(self, array)

    monkeypatch.setattr(TorchArrays, "host", bring)
    answers(stepper, puzzles, Policy("adaptive", 4))
    config = checkpoint.config
    assert {shape[1:] for shape in brought} == {(), (config.seq_len, config.vocab_size)}  # the heads alone


def test_states_have_the_networks_type_and_heads_are_float32():
    model = random_network(CONFIG, 0, torch.bfloat16)
    engine = TensorEngine(model, "segment")
    shape = (2, CONFIG.tokens, CONFIG.hidden_size)
    values = engine.run({spec.name: np.zeros(shape, np.float32) for spec in engine.inputs})
    assert {name: str(value.dtype) for name, value in values.items()} == {
        spec.name: f"torch.{spec.dtype}" for spec in engine.outputs
    }
    assert {spec.dtype for spec in engine.inputs} == {"bfloat16"}
    assert {spec.dtype for spec in engine.outputs} == {"bfloat16", "float32"}


def test_with_arrays_everything_is_float32():
    engine = TorchEngine(random_network(CONFIG, 0, torch.bfloat16), "segment")
    shape = (2, CONFIG.tokens, CONFIG.hidden_size)
    values = engine.run({spec.name: np.zeros(shape, np.float32) for spec in engine.inputs})
    assert {str(value.dtype) for value in values.values()} == {spec.dtype for spec in engine.outputs} == {"float32"}


def test_wrong_shapes_are_named():
    engine = TensorEngine(random_network(CONFIG, 0), "planner")
    with pytest.raises(EngineError, match=r"the planner from .*torch\.float32\[1, 5\]"):
        engine.run({"z_H": np.zeros((1, 5), np.float32), "z_L": np.zeros((1, 5), np.float32)})


def test_a_network_that_lies_there_is_not_copied():
    model = random_network(CONFIG, 0)
    assert on_device(model, "cpu") is model


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingError, match="cannot compute on CUDA here"):
        tensor_stepper(random_network(CONFIG, 0), "cuda")
