"""Every command that the README tells a reader to type after the demo does what it says."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from hrm_trt.cli.edge import run

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    blocks = re.findall(r"^After `make demo`.*?```sh\n(.*?)```", README, flags=re.DOTALL | re.MULTILINE)
    return blocks[0].strip().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("command", commands())
def test_command_works(command, demo_workdir, demo_result, tmp_path, monkeypatch):
    shutil.copytree(demo_workdir.root, tmp_path / ".hrm-trt", symlinks=True)
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
    from hrm_trt.pipeline.recipe import make_recipe, read_recipe

    (block,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    (tmp_path / "recipe.yaml").write_text(block)
    recipe = make_recipe(read_recipe(tmp_path / "recipe.yaml"))
    assert recipe.checkpoint == str(tmp_path / "path/to/run")
    assert recipe.pairs() == (("cpu", "fp32"),)
