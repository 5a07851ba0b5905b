"""The directories that engines of low precision are built from, and judged by on a CPU."""

import copy

import numpy as np
import onnx
import pytest
import quantised
import tiny
import torch

from export.contract import CARRY, PUZZLE_TABLE
from export.metadata import read_metadata
from export.models import write_graph
from export.quantise.asked import asked
from export.quantise.calibration import SiteAmax
from export.quantise.sites import sites, uniform
from export.quantise.stage import write_quantised, write_twin
from export.quantise.twin import simulate
from hrm.errors import BundleError, CalibrationError, ExportError, UnwritableError

MODULES = ["encoder", "executor", "planner", "segment"]
FILES = {*(f"{module}.onnx" for module in MODULES), CARRY}


def silent(part):
    pass


@pytest.fixture(scope="module")
def source(trained, fp16_graphs, tmp_path_factory):
    """As the export stage leaves it."""
    directory = tmp_path_factory.mktemp("fp16")
    for module, model in fp16_graphs.items():
        write_graph(model, directory / f"{module}.onnx")
    np.savez(directory / CARRY, z_H=trained.H_init.numpy(), z_L=trained.L_init.numpy())
    return directory


@pytest.fixture(scope="module")
def calibrated(trained):
    return quantised.calibration(trained)


@pytest.mark.parametrize(
    ("modules", "precision", "counts"),
    [
        (["executor"], "fp8", {"executor": 8, "planner": 0, "segment": 32}),
        (["executor"], "nvfp4", {"executor": 8, "planner": 0, "segment": 32}),
        (["planner"], "nvfp4", {"executor": 0, "planner": 8, "segment": 16}),
        (["executor", "planner"], "fp8", {"executor": 8, "planner": 8, "segment": 48}),
        (["executor"], "fp16", {"executor": 0, "planner": 0, "segment": 0}),
    ],
)
def test_every_graph_says_what_it_computes_in(source, trained, calibrated, modules, precision, counts, tmp_path):
    told = []
    assignment = uniform(trained.config, modules, precision)
    described = write_quantised(tmp_path, source, assignment, calibrated, progress=told.append)
    assert told == ["executor", "planner", "segment"]
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for module in MODULES:
        path, found = tmp_path / f"{module}.onnx", described[module]
        assert found["bytes"] == path.stat().st_size
        assert sum(found.get(low, 0) for low in ("fp8", "nvfp4")) == counts.get(module, 0)
        if counts.get(module):
            assert found[precision] == counts[module]
            assert found["bytes"] < (source / path.name).stat().st_size
            assert set(read_metadata(path).quantised.values()) == {precision}
        else:
            assert read_metadata(path).quantised == {}
    assert (tmp_path / CARRY).read_bytes() == (source / CARRY).read_bytes()
    assert (tmp_path / "encoder.onnx").read_bytes() == (source / "encoder.onnx").read_bytes()


def test_a_graph_that_lost_all_its_quantisation_still_says_what_was_asked(source, trained, calibrated, tmp_path):
    assignment = uniform(trained.config, ["executor"], "fp8")
    write_quantised(tmp_path, source, assignment, calibrated, progress=silent)
    path = tmp_path / "segment.onnx"
    lost = onnx.load(source / path.name)
    del lost.metadata_props[:]
    lost.metadata_props.extend(onnx.load(path).metadata_props)
    write_graph(lost, path)
    assert {product.precision for product in asked(onnx.load(path).graph)} == {"fp16"}
    assert read_metadata(path).quantised == assignment


def test_twins_have_the_same_names_and_run(source, trained, calibrated, tmp_path):
    (shipped := tmp_path / "shipped").mkdir()
    (twins := tmp_path / "twins").mkdir()
    first, *_, last = sites(trained.config, "executor")
    write_quantised(shipped, source, {first: "nvfp4", last: "fp8"}, calibrated, progress=silent)
    told = []
    records = write_twin(twins, shipped, progress=told.append)
    assert told == list(records) == ["executor", "planner", "segment"]
    assert [records[module]["activations"] for module in records] == [1, 0, 4]
    assert {path.name for path in twins.iterdir()} == FILES
    assert read_metadata(twins / "segment.onnx") == read_metadata(shipped / "segment.onnx")
    feeds = {name: np.ones((2, 9, 96), np.float16) for name in ("z_H", "z_L", "input_embeddings")}
    outputs = tiny.run(tiny.session(onnx.load(twins / "segment.onnx")), **feeds)
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_a_puzzle_table_beside_the_graphs_goes_along(source, calibrated, tmp_path):
    (beside := tmp_path / "beside").mkdir()
    for path in source.iterdir():
        (beside / path.name).write_bytes(path.read_bytes())
    np.save(beside / PUZZLE_TABLE, np.ones((3, 4), np.float16))
    (written := tmp_path / "written").mkdir()
    write_quantised(written, beside, {}, calibrated, progress=silent)
    assert (written / PUZZLE_TABLE).read_bytes() == (beside / PUZZLE_TABLE).read_bytes()


def test_what_the_network_does_not_have_is_refused(source, calibrated, tmp_path):
    for site in ("lm_head", "L_level.layers.7.mlp.down_proj", "H_level.layers.7.mlp.down_proj"):
        with pytest.raises(ExportError, match=site):
            write_quantised(tmp_path, source, {site: "fp8"}, calibrated, progress=silent)
    assert not list(tmp_path.iterdir())


def test_a_ruined_calibration_writes_nothing(source, calibrated, trained, tmp_path):
    site = sites(trained.config, "executor")[0]
    ruined = calibrated.model_copy(
        update={"sites": calibrated.sites | {site: calibrated.sites[site].model_copy(update={"input": float("nan")})}}
    )
    with pytest.raises(CalibrationError, match="calibration"):
        write_quantised(tmp_path, source, {site: "fp8"}, ruined, progress=silent)
    assert not list(tmp_path.iterdir())


def test_a_source_that_is_none_is_named(calibrated, tmp_path):
    with pytest.raises(BundleError, match="executor"):
        write_quantised(tmp_path, tmp_path, {}, calibrated, progress=silent)
    with pytest.raises(BundleError, match="executor"):
        write_twin(tmp_path, tmp_path, progress=silent)


def test_a_place_that_is_none_is_named(source, calibrated, tmp_path):
    (file := tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError):
        write_quantised(file, source, {}, calibrated, progress=silent)


@torch.no_grad()
def trajectory(network):
    """Inputs of one executor call [4, T, D], rounded to float16, as the network itself comes to them."""
    config, generator = network.config, torch.Generator().manual_seed(0)
    tokens = torch.randint(config.vocab_size, (4, config.seq_len), generator=generator, dtype=torch.int32)
    embeddings = network.encode(tokens, torch.zeros(4, dtype=torch.int32))
    carry, _ = network.segment(network.initial_carry(4), embeddings)
    return {"z_L": carry.z_L.half(), "z_H": carry.z_H.half(), "input_embeddings": embeddings.half()}


@torch.no_grad()
def execute(network, feeds, rounded=None):
    """One executor call in float32; ``rounded(name, values)`` sees what each linear is given, and may change it."""
    handles = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda module, arguments, name=name: (rounded(name, arguments[0]),) if rounded else None
        )
        for name in sites(network.config, "executor")
    ]
    output = network.execute(*(feeds[name].float() for name in ("z_L", "z_H", "input_embeddings")))
    for handle in handles:
        handle.remove()
    return output.numpy()


def largest_inputs(network, feeds):
    found = {}
    execute(network, feeds, lambda name, values: found.setdefault(name, values) if name not in found else values)
    return {name: values.abs().max().item() for name, values in found.items()}


def exact(amax):
    """The nearest maximum whose FP8 scale float16 holds."""
    return float(np.float16(amax / 448)) * 448


@pytest.mark.parametrize("precision", ["fp8", "nvfp4"])
def test_a_quantised_graph_loses_what_modelopt_says_it_loses(trained, fp16_graphs, calibrated, precision):
    """ONNX Runtime against PyTorch whose linears round both operands by ModelOpt, with the same maxima."""
    feeds, round_ = trajectory(trained), quantised.MODELOPT[precision]
    largest = largest_inputs(trained, feeds)
    amax = {name: SiteAmax(input=exact(largest[name]), weight=exact(calibrated.sites[name].weight)) for name in largest}
    network = copy.deepcopy(trained)
    for name, found in amax.items():
        weight = network.get_submodule(name).weight
        weight.data = torch.from_numpy(round_(weight.detach().half().float().numpy(), found.weight))

    def rounded(name, values):
        return torch.from_numpy(round_(values.numpy(), amax[name].input))

    fake = execute(network, feeds, rounded)
    model = quantised.quantised(
        fp16_graphs["executor"], uniform(trained.config, ["executor"], precision), quantised.of(amax)
    )
    session = tiny.session(simulate(model)[0])
    graph = tiny.run(session, **{name: value.numpy() for name, value in feeds.items()})["z_L_out"].astype(np.float32)
    unrounded = execute(trained, feeds)
    loss, wanted = (np.linalg.norm(found - unrounded) for found in (graph, fake))
    assert loss == pytest.approx(wanted, rel=0.1)
    assert np.linalg.norm(graph - fake) < 0.7 * wanted  # a number that is rounded the other way moves all after it
