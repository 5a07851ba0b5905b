from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundles import TINY

from export.contract import TensorSpec, signature
from triton_models.config import (
    DATA_TYPES,
    PLATFORMS,
    ModelDescription,
    Tensor,
    config_text,
    parse_config,
    tensor,
    tensor_of,
)

_names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=12)
_sizes = st.one_of(st.integers(1, 4096), st.sampled_from(["tokens", "sequence - 1", ""]))
_specs = st.builds(
    TensorSpec,
    _names,
    st.sampled_from(sorted(DATA_TYPES)),
    st.lists(_sizes, max_size=3).map(lambda sizes: ("batch", *sizes)),
)
_specs_of_one_side = st.lists(_specs, max_size=4).map(tuple)


def described(name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]) -> ModelDescription:
    return ModelDescription(
        name=name,
        platform=PLATFORMS["onnxruntime"],
        max_batch=8,
        inputs=tuple(map(tensor, inputs)),
        outputs=tuple(map(tensor, outputs)),
        versions=(2, 3),
        filename="model.onnx",
    )


def test_the_encoder_is_described_in_full() -> None:
    inputs, outputs = signature(TINY, "fp32", "encoder")
    assert config_text(described("tiny_encoder", inputs, outputs)) == (
        'name: "tiny_encoder"\n'
        'platform: "onnxruntime_onnx"\n'
        "version_policy {\n  specific {\n    versions: 2\n    versions: 3\n  }\n}\n"
        "max_batch_size: 8\n"
        'input {\n  name: "inputs"\n  data_type: TYPE_INT32\n  dims: -1\n}\n'
        'input {\n  name: "puzzle_identifiers"\n  data_type: TYPE_INT32\n  dims: 1\n  reshape {\n  }\n}\n'
        'output {\n  name: "input_embeddings"\n  data_type: TYPE_FP32\n  dims: -1\n  dims: 4\n}\n'
        "instance_group {\n  count: 1\n  kind: KIND_CPU\n}\n"
        'default_model_filename: "model.onnx"\n'
    )


def test_states_are_half_precision_and_heads_are_not_where_the_graph_says_so() -> None:
    inputs, outputs = signature(TINY, "fp16", "segment")
    config = parse_config(config_text(described("tiny_segment", inputs, outputs)))
    assert {tensor_of(each).data_type for each in config.input} == {"TYPE_FP16"}
    assert [tensor_of(each) for each in config.output] == [
        Tensor("z_H_out", "TYPE_FP16", (-1, 4), scalar=False),
        Tensor("z_L_out", "TYPE_FP16", (-1, 4), scalar=False),
        Tensor("logits", "TYPE_FP32", (-1, 5), scalar=False),
        Tensor("q_halt", "TYPE_FP32", (1,), scalar=True),
        Tensor("q_continue", "TYPE_FP32", (1,), scalar=True),
    ]


@given(_names, _specs_of_one_side, _specs_of_one_side)
def test_every_description_comes_back_from_its_text(
    name: str, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
) -> None:
    model = described(name, inputs, outputs)
    config = parse_config(config_text(model))
    assert (config.name, config.max_batch_size) == (name, 8)
    assert tuple(config.version_policy.specific.versions) == (2, 3)
    assert tuple(map(tensor_of, config.input)) == model.inputs
    assert tuple(map(tensor_of, config.output)) == model.outputs
    (group,) = config.instance_group
    assert group.kind == group.KIND_CPU


def test_text_that_is_no_configuration_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"3:1 .*no_such_field"):
        parse_config('name: "x"\nmax_batch_size: 1\nno_such_field: 2\n')
