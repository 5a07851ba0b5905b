"""Every command that the README tells a reader to type after the demo does what it says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hrm_trt.cli.edge import run
from hrm_trt.pipeline import demo
from hrm_trt.pipeline.recipe import make_recipe, read_recipe
from hrm_trt.pipeline.run import run as build
from hrm_trt.pipeline.workdir import Workdir

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    blocks = re.findall(r"^After `make demo`.*?```sh\n(.*?)```", README, flags=re.DOTALL | re.MULTILINE)
    return blocks[0].strip().splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What `make demo` makes: its work directory, and what it came to."""
    workdir = Workdir(tmp_path_factory.mktemp("made"))
    return workdir, build(make_recipe(demo.settings(workdir)), workdir)


@pytest.mark.slow
def test_the_demo_passes_on_a_checkpoint_that_solves_what_it_has_not_seen(made):
    _, result = made
    assert result.exit_code == 0
    assert {gate.policy for gate in result.gates} == {"fixed", "adaptive"}
    assert all(gate.verdict == "pass" and gate.engine_exact > 0.99 and gate.n == demo.PUZZLES for gate in result.gates)
    (published,) = result.published
    assert published.policies == ("fixed", "adaptive")


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_command_works(command, made, tmp_path, monkeypatch):
    shutil.copytree(made[0].root, tmp_path / ".hrm-trt", symlinks=True)
    (tmp_path / "checkpoints").symlink_to(ROOT / "checkpoints")
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command)
    assert program == "hrm-trt"
    assert run(arguments) == 0


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_recipe_is_one(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(block)
    recipe = make_recipe(read_recipe(tmp_path / "recipe.yaml"))
    assert recipe.checkpoint == str(tmp_path / "path/to/run")
    assert recipe.pairs() == (("cpu", "fp32", "onnxruntime"),)
