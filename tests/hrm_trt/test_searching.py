"""The precision `auto` on the sample's checkpoint: searched once, and told in full."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from export.quantise.sites import uniform
from hrm.checkpoint import locate
from hrm.config import HRMConfig
from hrm.data.dataset import read_split
from hrm.errors import DatasetError
from hrm_trt.pipeline import quantising, stages
from hrm_trt.pipeline.events import Finished, Progressed
from hrm_trt.pipeline.measuring import Material, Measuring
from hrm_trt.pipeline.preparing import prepare
from hrm_trt.pipeline.recipe import make_recipe
from hrm_trt.pipeline.searching import RECORD, search
from hrm_trt.pipeline.sensitivity import explore
from hrm_trt.pipeline.store import Store
from hrm_trt.pipeline.workdir import Workdir
from validation.sensitivity import SearchRecord

SAMPLE = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
PUZZLES = 50
FEW = 3


def carve(split: Path, source: Path, rows: range) -> None:
    """A split of some of another's puzzles, each a group of its own."""
    split.mkdir(parents=True)
    described = json.loads((source / "dataset.json").read_text())
    (split / "dataset.json").write_text(json.dumps({**described, "total_groups": len(rows)}))
    for name in ("inputs", "labels"):
        np.save(split / f"all__{name}.npy", np.load(source / f"all__{name}.npy")[rows.start : rows.stop])
    np.save(split / "all__puzzle_identifiers.npy", np.zeros(len(rows), dtype=np.int32))
    for name in ("puzzle_indices", "group_indices"):
        np.save(split / f"all__{name}.npy", np.arange(len(rows) + 1, dtype=np.int32))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The sample's data set with puzzles to calibrate and to search on, taken from the training puzzles."""
    place = tmp_path_factory.mktemp("data") / "dataset"
    train = SAMPLE / "dataset/train"
    carve(place / "calibration", train, range(32))
    carve(place / "search", train, range(32, 132))
    shutil.copytree(SAMPLE / "dataset/test", place / "test")
    return place


def settings(dataset, **quantise):
    return {
        "checkpoint": str(SAMPLE),
        "dataset": str(dataset),
        "targets": ["sm_120"],
        "precisions": ["auto"],
        "execution": {"threads": 1},
        "quantise": {"search": {"limit": PUZZLES, "evaluations": FEW}, **quantise},
    }


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return Workdir(tmp_path_factory.mktemp("searched"))


@pytest.fixture(scope="module")
def searched(dataset, workdir):
    """What exploring the sample came to, and the events on the way."""
    events = []
    found = explore(make_recipe(settings(dataset)), workdir, emit=events.append)
    return found, events


def options(dataset, workdir):
    return (
        "sensitivity", "--checkpoint", SAMPLE, "--dataset", dataset, "--limit", PUZZLES, "--evaluations", FEW,
        "--threads", 1, "--workdir", workdir.root,
    )  # fmt: skip


def test_every_linear_of_the_executor_is_measured_alone_and_assigned(searched):
    found, _ = searched
    sites = list(uniform(found.config, ["executor"], "nvfp4"))
    assert [each.site for each in found.record.alone] == sites
    assert list(found.record.chosen) == sites
    assert all(0 < each.drift < 0.1 for each in found.record.alone)
    assert 0.5 < sum(each.work for each in found.record.alone) < 1
    assert found.record.n == PUZZLES
    assert found.record.best.accepted


def test_the_record_and_the_picture_are_files_of_the_artefact(searched):
    found, _ = searched
    assert SearchRecord.model_validate_json((found.artefact.path / RECORD).read_bytes()) == found.record
    assert found.picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(found.artefact.manifest.files) == [RECORD, found.picture.name]


def test_progress_is_told_as_puzzles_of_the_longest_search(searched):
    found, events = searched
    told = [event for event in events if isinstance(event, Progressed) and event.stage == "measure"]
    most = 1 + len(found.record.alone) + FEW
    assert {event.total for event in told} == {most * PUZZLES}
    measured = len(found.record.alone) + len(found.record.attempts)  # the baseline is among the attempts
    assert [event.done for event in told] == [PUZZLES * count for count in range(1, measured + 1)]
    subjects = [event.subject for event in events if isinstance(event, Finished) and event.stage == "measure"]
    assert subjects[:2] == ["everything in FP16", "L_level.layers.0.self_attn.qkv_proj in nvfp4"]


def test_a_longer_search_measures_nothing_again(searched, dataset, workdir):
    found, _ = searched
    events = []
    more = {"limit": PUZZLES, "evaluations": FEW + 1}
    again = explore(make_recipe(settings(dataset, search=more)), workdir, emit=events.append)
    cached = [event.cached for event in events if isinstance(event, Finished) and event.stage == "measure"]
    known = len(found.record.alone) + len(found.record.attempts)
    assert cached[:known] == [True] * known
    assert again.record.attempts[: len(found.record.attempts)] == found.record.attempts


def test_a_build_finds_everything_done(searched, dataset, workdir):
    found, _ = searched
    events = []
    recipe = make_recipe(settings(dataset))
    store = Store(workdir.root, events.append)
    loaded = stages.load(store, locate(str(SAMPLE)), dataset)
    prepared = prepare(store, recipe, loaded, recipe.pairs()[0], lambda stage: True)
    finished = {event.stage: event.cached for event in events if isinstance(event, Finished)}
    assert finished == dict.fromkeys(("load", "export", "calibrate", "search", "quantise"), True)
    assert prepared.assignment == found.record.chosen


def test_the_command_prints_one_document(searched, dataset, workdir, cli):
    found, _ = searched
    document = cli(*options(dataset, workdir), "--json").document
    picture = Path(document.pop("picture"))
    assert picture == found.picture.resolve()
    assert document.pop("target") == "sm_120"
    assert document.pop("work") == found.record.best.work
    assert SearchRecord.model_validate(document) == found.record


def test_the_command_shows_tables_and_puts_the_picture_where_it_is_told(searched, dataset, workdir, cli, tmp_path):
    found, _ = searched
    outcome = cli(*options(dataset, workdir), "--output", tmp_path / "picture.png")
    assert outcome.code == 0, outcome.err
    assert f"{PUZZLES} puzzles to search on cannot tell a loss of 1.00 points from chance" in " ".join(
        outcome.out.split()
    )
    for words in ("alone in NVFP4", "Tried, in this order", "attention in", "MLP out", "chosen", "picture.png"):
        assert words in outcome.out
    assert outcome.out.count("the baseline") == 1
    assert (tmp_path / "picture.png").read_bytes() == found.picture.read_bytes()


def test_without_puzzles_to_search_on_there_is_no_work(cli, tmp_path):
    line = ("sensitivity", "--checkpoint", SAMPLE, "--workdir", tmp_path / "work")
    cli(*line, "--dataset", SAMPLE / "dataset").assert_refused(2, "has no search split", "hrm-trt data")
    cli(*line).assert_refused(2, "no puzzles to search on", "--dataset")
    assert not (tmp_path / "work").exists()


def test_a_machine_without_low_precision_has_nothing_to_search(dataset, cli, tmp_path):
    line = ("sensitivity", "--checkpoint", SAMPLE, "--dataset", dataset, "--workdir", tmp_path / "work")
    cli(*line, "--target", "cpu").assert_refused(2, "nothing to search for cpu", "sm_120")


def test_the_gates_own_puzzles_are_never_searched_on(dataset, tmp_path):
    recipe = make_recipe(settings(dataset, search={"split": "test"}))
    with pytest.raises(DatasetError, match="cannot be searched on"):
        explore(recipe, Workdir(tmp_path))
    assert not any(tmp_path.iterdir())


def test_puzzles_that_the_gate_has_too_are_refused(searched, dataset, workdir, tmp_path):
    copied = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    carve(copied / "again", dataset / "test", range(3))
    recipe = make_recipe(settings(copied, search={"split": "again"}))
    store = Store(workdir.root)
    loaded, graphs, calibration = prepared(store, dataset)
    with pytest.raises(DatasetError, match="3 of the 3 puzzles to search on are also in the test split"):
        search(store, recipe, loaded, recipe.pairs()[0], graphs, calibration)


def prepared(store, dataset):
    """The artefacts that a search stands on, from the store."""
    recipe = make_recipe(settings(dataset))
    loaded = stages.load(store, locate(str(SAMPLE)), dataset)
    graphs = stages.export(store, loaded, "fp16")
    calibration = quantising.calibrate(
        store, loaded, dataset, recipe.calibration, "max", recipe.quantised_modules("auto"), ("test", "search")
    )
    return loaded, graphs, calibration


def test_an_assignment_is_measured_against_fp16(searched, dataset, tmp_path, workdir):
    loaded, graphs, calibration = prepared(Store(workdir.root), dataset)
    config = HRMConfig.from_dict(loaded.value["architecture"])
    material = Material(
        graphs=graphs,
        calibration=calibration,
        architecture=loaded.value["architecture"],
        puzzles=read_split(dataset, "search", 20),
        origin={},
        options=make_recipe(settings(dataset)).execution,
    )
    measure = Measuring(Store(tmp_path), material, most=3)
    fp16, fp8, nvfp4 = (measure(uniform(config, ["executor"], name)) for name in ("fp16", "fp8", "nvfp4"))
    assert fp16 is measure.baseline
    assert 0 == fp16.drift < fp8.drift < nvfp4.drift < 0.1
    assert fp8.finite
    assert nvfp4.finite
    assert not list(tmp_path.rglob("*.onnx"))
