import onnx
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from export.contract import signature
from export.metadata import read_metadata
from export.models import write_graph
from hrm.config import HRMConfig
from hrm.errors import BundleError


@pytest.fixture
def written(fp16_graphs, tmp_path):
    path = tmp_path / "segment.onnx"
    write_graph(fp16_graphs["segment"], path)
    return path


def test_file_says_what_it_is(written, trained):
    metadata = read_metadata(written)
    assert (metadata.module, metadata.variant) == ("segment", "fp16")
    assert (metadata.inputs, metadata.outputs) == signature(trained.config, "fp16", "segment")
    assert metadata.attention == "ONNX Attention operator"
    assert metadata.source_digest == tiny.DIGEST
    assert HRMConfig.from_dict(metadata.architecture) == trained.config


def test_onnx_sees_the_producer(written):
    model = onnx.load(written)
    assert (model.producer_name, model.producer_version) == ("hrm-trt", "1")
    assert [entry.key for entry in model.metadata_props] == ["hrm_trt"]


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(BundleError, match="is not a graph of hrm-trt") as caught:
        read_metadata(tmp_path / "nowhere.onnx")
    assert caught.value.why == "No such file or directory"


def test_somebody_elses_graph_is_refused(tmp_path):
    onnx.save(helper.make_model(helper.make_graph([], "empty", [], [])), tmp_path / "other.onnx")
    with pytest.raises(BundleError, match="is not a graph of hrm-trt"):
        read_metadata(tmp_path / "other.onnx")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_truncated_file_is_refused(written, kept):
    data = written.read_bytes()
    written.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(BundleError):
        read_metadata(written)


@given(data=st.binary(max_size=200))
def test_any_other_bytes_are_refused(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    with pytest.raises(BundleError):
        read_metadata(path)
