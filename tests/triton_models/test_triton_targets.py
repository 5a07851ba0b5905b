"""One set for several GPUs: which plan is for which, CUDA graphs, and which TensorRT loads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from plan_bundles import TENSORRT, as_plans
from tiny_bundles import tiny_bundle

from engines.targets import TARGETS
from engines.tensorrt.options import BuilderOptions
from hrm.errors import BundleError, GateError, RepositoryError
from hrm_trt.cli import edge
from triton_models.config import parse_config
from triton_models.preflight import preflight
from triton_models.publish import publish
from triton_models.repository import list_published, open_published

if TYPE_CHECKING:
    from pathlib import Path

GPUS = ("sm_90", "sm_120")


@pytest.fixture
def cpu(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "cpu", opt_batch=6, max_batch=8)


@pytest.fixture
def plans(tmp_path: Path, cpu: Path) -> list[Path]:
    """The same engines for two GPUs."""
    return [as_plans(cpu, tmp_path / target, target) for target in GPUS]


@pytest.fixture
def place(tmp_path: Path, plans: list[Path]) -> Path:
    publish(plans, tmp_path / "place", "tiny", keep=2)
    return tmp_path / "place"


def config_of(place: Path, model: str) -> Any:
    return parse_config((place / model / "config.pbtxt").read_text())


def test_compute_capabilities_are_written_as_triton_wants_them() -> None:
    found = {target: kind.compute_capability for target, kind in TARGETS.items()}
    assert found == {"cpu": None, "sm_90": "9.0", "sm_100": "10.0", "sm_120": "12.0"}


def test_one_model_has_a_plan_for_each_gpu_with_its_sidecar(place: Path, plans: list[Path]) -> None:
    for module in ("encoder", "segment"):
        config = config_of(place, f"tiny_{module}")
        assert config.platform == "tensorrt_plan"
        assert dict(config.cc_model_filenames) == {"9.0": "model_sm_90.plan", "12.0": "model_sm_120.plan"}
        assert config.default_model_filename == "model_sm_90.plan"
        assert not config.instance_group
        for target, bundle in zip(GPUS, plans, strict=True):
            published = place / f"tiny_{module}/1/model_{target}.plan"
            assert published.read_bytes() == (bundle / f"{module}.plan").read_bytes()
            sidecar = published.with_name(f"{published.name}.json")
            assert sidecar.read_bytes() == (bundle / f"{module}.plan.json").read_bytes()
    assert not config_of(place, "tiny").instance_group
    assert preflight(place) == ()


def test_the_manifest_says_which_tensorrt_each_plan_needs(place: Path) -> None:
    (version,) = list_published(place)
    segment = version.model("tiny_segment")
    assert segment is not None
    assert [(engine.target, engine.file, engine.tensorrt) for engine in segment.engines] == [
        ("sm_90", "model_sm_90.plan", TENSORRT),
        ("sm_120", "model_sm_120.plan", TENSORRT),
    ]
    assert open_published(place / "tiny")[1].target == "sm_90"


def test_every_batch_that_the_solver_sends_has_a_graph_of_its_own_and_a_warm_up(place: Path) -> None:
    assert json.loads((place / "tiny/1/settings.json").read_text())["graph_batches"] == [1, 2, 4, 6]
    config = config_of(place, "tiny_encoder")
    assert config.optimization.cuda.graphs
    assert config.optimization.input_pinned_memory.enable
    assert config.optimization.output_pinned_memory.enable
    assert [spec.batch_size for spec in config.optimization.cuda.graph_spec] == [1, 2, 4, 6]
    for spec in config.optimization.cuda.graph_spec:
        assert {name: list(shape.dim) for name, shape in spec.input.items()} == {
            "inputs": [3],
            "puzzle_identifiers": [],
        }
        assert not spec.HasField("graph_lower_bound")
    assert [sample.batch_size for sample in config.model_warmup] == [1, 2, 4, 6]
    for sample in config.model_warmup:
        assert {name: list(each.dims) for name, each in sample.inputs.items()} == {
            "inputs": [3],
            "puzzle_identifiers": [1],
        }
        assert all(each.zero_data for each in sample.inputs.values())
    (states,) = {
        tuple(shape.dim)
        for spec in config_of(place, "tiny_segment").optimization.cuda.graph_spec
        for shape in spec.input.values()
    }
    assert states == (4, 4)


def test_a_cpu_has_no_graphs_and_no_warm_up(tmp_path: Path, cpu: Path) -> None:
    publish([cpu], tmp_path / "place", "tiny", keep=1)
    config = config_of(tmp_path / "place", "tiny_segment")
    assert not config.HasField("optimization")
    assert not config.model_warmup
    assert not config.cc_model_filenames


def test_only_an_encoder_on_a_cpu_has_its_threads_told(place: Path, tmp_path: Path, cpu: Path) -> None:
    publish([cpu], tmp_path / "other", "tiny", keep=2)
    assert config_of(tmp_path / "other", "tiny_encoder").parameters["intra_op_thread_count"].string_value == "1"
    assert not config_of(tmp_path / "other", "tiny_segment").parameters
    assert not config_of(place, "tiny_encoder").parameters


def test_versions_with_other_slots_share_their_engines_graphs(place: Path, plans: list[Path]) -> None:
    assert publish(plans, place, "tiny", keep=2, slots=3).version == 2
    batches = [spec.batch_size for spec in config_of(place, "tiny_segment").optimization.cuda.graph_spec]
    assert batches == [1, 2, 3, 4, 6]
    assert preflight(place) == ()


def test_a_plan_for_newer_gpus_too_is_the_default(tmp_path: Path, cpu: Path) -> None:
    portable = BuilderOptions(hardware_compatible=True)
    bundles = [
        as_plans(cpu, tmp_path / "sm_90", "sm_90"),
        as_plans(cpu, tmp_path / "sm_100", "sm_100", options=portable),
    ]
    publish(bundles, tmp_path / "place", "tiny", keep=1)
    assert config_of(tmp_path / "place", "tiny_segment").default_model_filename == "model_sm_100.plan"


def test_versions_for_other_gpus_are_not_mixed(place: Path, plans: list[Path]) -> None:
    with pytest.raises(RepositoryError, match="cannot be served side by side") as caught:
        publish(plans[:1], place, "tiny", keep=2)
    assert "targets" in caught.value.why


def test_each_gpu_needs_the_same_topologies(tmp_path: Path, plans: list[Path]) -> None:
    other = tiny_bundle(tmp_path / "two-engine", "planner-executor", opt_batch=6, max_batch=8)
    lonely = as_plans(other, tmp_path / "lonely", "sm_90")
    with pytest.raises(BundleError, match="cannot be published under one name") as caught:
        publish([*plans, lonely], tmp_path / "place", "tiny", keep=1)
    assert "each target needs the same topologies" in caught.value.why


@pytest.mark.parametrize("change", [{"seed": 1}, {"max_batch": 16}, {"precision": "fp16"}])
def test_gpus_do_not_share_a_set_unless_their_bundles_are_alike(
    tmp_path: Path, plans: list[Path], change: dict[str, Any]
) -> None:
    other = tiny_bundle(tmp_path / "other", **{"opt_batch": 6, "max_batch": 8, **change})
    with pytest.raises(BundleError, match="cannot be published under one name"):
        publish([plans[0], as_plans(other, tmp_path / "plans", "sm_120")], tmp_path / "place", "tiny", keep=1)


def test_another_checkpoint_with_the_same_carry_is_another_set(tmp_path: Path, plans: list[Path]) -> None:
    origin = {"checkpoint": {"name": "tiny", "sha256": "1" * 64}}
    other = tiny_bundle(tmp_path / "other", opt_batch=6, max_batch=8, origin=origin)
    with pytest.raises(BundleError, match="must share checkpoint"):
        publish([plans[0], as_plans(other, tmp_path / "plans", "sm_120")], tmp_path / "place", "tiny", keep=1)


def test_a_cpu_and_a_gpu_do_not_share_a_set(tmp_path: Path, cpu: Path, plans: list[Path]) -> None:
    with pytest.raises(BundleError, match="cannot be published under one name"):
        publish([cpu, plans[0]], tmp_path / "place", "tiny", keep=1)


def test_every_gpus_bundle_has_to_pass(tmp_path: Path, plans: list[Path]) -> None:
    failed = tiny_bundle(tmp_path / "failed", opt_batch=6, max_batch=8, verdicts={"fixed": "fail"})
    with pytest.raises(GateError, match="may not be published"):
        publish([plans[0], as_plans(failed, tmp_path / "plans", "sm_120")], tmp_path / "place", "tiny", keep=1)


def test_plans_load_in_the_tensorrt_that_built_them(place: Path) -> None:
    for tensorrt in (TENSORRT, "11.1"):
        assert preflight(place, tensorrt) == ()


def test_a_plan_that_cannot_load_is_named_with_both_versions_and_its_image(place: Path) -> None:
    problems = preflight(place, "10.13")
    assert {problem.model for problem in problems} == {"tiny_encoder", "tiny_segment"}
    what = "version 1: model_sm_90.plan was built by TensorRT 11.1.0.106; the server has 10.13"
    assert problems[0].what == what
    assert "tritonserver:26.07-py3" in problems[0].hint
    assert len(problems) == 4


def test_an_image_that_is_not_known_is_not_made_up(tmp_path: Path, cpu: Path) -> None:
    publish([as_plans(cpu, tmp_path / "plans", "sm_90", tensorrt="9.9.9.9")], tmp_path / "place", "tiny", keep=1)
    assert "an image with TensorRT 9.9.9.9" in preflight(tmp_path / "place", "11.1.0.106")[0].hint


@pytest.mark.parametrize(
    ("line", "code", "tensorrt"),
    [
        (("--image", "tritonserver:26.07-py3"), 0, "11.1.0.106"),
        (("--image", "tritonserver:25.10-py3"), 2, "10.13"),
        (("--tensorrt", "11.1.0.106"), 0, "11.1.0.106"),
        ((), 0, None),
    ],
)
def test_the_command_line_takes_an_image_or_a_version(
    place: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], code: int, tensorrt: str | None
) -> None:
    assert edge.run(["preflight", str(place), *line, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["tensorrt"] == tensorrt
    assert len(document["problems"]) == (4 if code else 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--image", "tritonserver:19.01-py3"), "not known which TensorRT tritonserver:19.01-py3 carries"),
        (("--tensorrt", "newest"), "'newest' is no version of TensorRT"),
        (("--tensorrt", "11.1", "--image", "26.07-py3"), "--tensorrt and --image cannot both be given"),
    ],
)
def test_what_cannot_be_held_against_plans_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], message: str
) -> None:
    assert edge.run(["preflight", str(place), *line]) == 2
    assert message in capsys.readouterr().err


def test_a_repository_without_plans_asks_for_no_tensorrt(
    tmp_path: Path, cpu: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish([cpu], tmp_path / "place", "tiny", keep=1)
    assert edge.run(["preflight", str(tmp_path / "place"), "--image", "tritonserver:19.01-py3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tensorrt"] is None


@pytest.mark.parametrize(
    ("tensorrt", "loads"), [("11.2.1", True), ("11.1", True), ("11.0.0.114", False), ("10.16", False), ("12.0", False)]
)
def test_a_version_compatible_plan_loads_in_newer_releases_of_its_major_version(
    tmp_path: Path, cpu: Path, tensorrt: str, loads: bool
) -> None:
    options = BuilderOptions(version_compatible=True)
    publish([as_plans(cpu, tmp_path / "plans", "sm_90", options=options)], tmp_path / "place", "tiny", keep=1)
    assert (preflight(tmp_path / "place", tensorrt) == ()) is loads


def test_versions_that_are_not_served_need_not_load(place: Path, tmp_path: Path, cpu: Path) -> None:
    newer = [as_plans(cpu, tmp_path / f"newer-{target}", target, tensorrt="11.2.1.5") for target in GPUS]
    publish(newer, place, "tiny", keep=2)
    assert len(preflight(place, "11.2.1")) == 4
    publish(newer, place, "tiny", keep=1)
    assert preflight(place, "11.2.1") == ()


def test_a_plan_that_a_configuration_names_for_another_gpu_is_found(place: Path) -> None:
    path = place / "tiny_segment/config.pbtxt"
    path.write_text(path.read_text().replace('value: "model_sm_120.plan"', 'value: "model_sm_90.plan"'))
    (problem,) = preflight(place)
    assert "cc_model_filenames is" in problem.what


def test_a_missing_plan_is_found(place: Path) -> None:
    (place / "tiny_segment/1/model_sm_120.plan").unlink()
    assert [problem.what for problem in preflight(place)] == ["version 1: there is no model_sm_120.plan"]
