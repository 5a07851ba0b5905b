from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hrm_trt.cli.doctor
from hrm_trt import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

BUNDLE = "sudoku-4x4-cpu-fp32"
CHECKPOINT = Path(__file__).parents[2] / "checkpoints/sudoku-4x4"
DATASET = CHECKPOINT / "dataset"
HEAVY = ("torch", "onnx", "onnxruntime", "scipy", "matplotlib", "tritonclient", "huggingface_hub", "safetensors")
COMMANDS = (
    "data", "train", "build", "pack", "unpack", "evaluate", "solve", "sensitivity", "publish", "rollback", "repository",
    "preflight", "probe", "drain", "inspect", "convert", "bench", "capacity", "doctor", "schema",
)  # fmt: skip


IMPORTED = """
import sys
from hrm_trt.cli.edge import run

code = run(sys.argv[1:])
sys.stdout.flush()
print(*sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("line", ["--help", "--version", *(f"{command} --help" for command in COMMANDS)])
def test_help_imports_nothing_heavy(python: Callable[..., Any], line: str) -> None:
    asked = python(IMPORTED, *line.split())
    assert asked.code == 0
    assert not set(asked.err.split()) & {*HEAVY, "numpy", "yaml", "jinja2"}


@pytest.mark.parametrize("line", ["doctor --json", "schema"])
def test_looking_around_imports_nothing_heavy(python: Callable[..., Any], line: str) -> None:
    asked = python(IMPORTED, *line.split())
    assert asked.code == 0
    assert not set(asked.err.split()) & set(HEAVY)


def test_a_build_with_nothing_to_do_imports_nothing_heavy(python: Callable[..., Any], demo: Path) -> None:
    asked = python(IMPORTED, "build", "--workdir", demo, "--json")
    assert asked.code == 0
    assert not set(asked.err.split()) & {"torch", "onnx", "onnxruntime", "scipy", "matplotlib"}


def test_help_is_there_at_once(command: Callable[..., Any]) -> None:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        helped = command("--help")
        seconds.append(time.perf_counter() - began)
        assert all(name in helped.out for name in COMMANDS)
    assert min(seconds) < 1  # 0.3 s on a machine with nothing else to do


def test_it_says_its_version(cli: Callable[..., Any]) -> None:
    assert cli("--version").out == f"{__version__}\n"


def test_every_command_explains_itself(cli: Callable[..., Any]) -> None:
    for name in COMMANDS:
        helped = cli(name, "--help")
        assert (helped.code, helped.err) == (0, "")
        assert f"Usage: hrm-trt {name}" in helped.out


@pytest.fixture
def places(demo: Path, tmp_path: Path) -> dict[str, str]:
    return {"DEMO": str(demo), "CHECKPOINT": str(CHECKPOINT), "DATASET": str(DATASET), "TMP": str(tmp_path)}


DOCUMENTS = {
    "build --workdir DEMO": {"format_version", "checkpoint", "engines", "gates", "published", "bundles", "report"},
    "evaluate --workdir DEMO --limit 8": {"model", "policy", "exact_accuracy", "accuracy", "steps", "count"},
    "evaluate --checkpoint CHECKPOINT --dataset DATASET --limit 4": {"model", "exact_accuracy", "q_halt_accuracy"},
    "solve --workdir DEMO --example 0": {"solution", "solved", "depth", "segments", "confidence"},
    "doctor": {"format_version", "machine", "gpus", "packages", "targets", "runtimes"},
    "inspect --workdir DEMO sudoku-4x4-cpu-fp32": {"format_version", "kind", "engines", "gates"},
    "inspect CHECKPOINT": {"format_version", "kind", "parameters", "tensors"},
    "publish sudoku-4x4-cpu-fp32 --workdir DEMO --repository TMP/models": {"name", "version", "models", "gated"},
    "preflight DEMO/repository": {"repository", "problems"},
    "repository status DEMO/repository": {"repository", "server", "sets"},
    "convert CHECKPOINT TMP/out.safetensors": {"output", "sha256", "architecture"},
}


@pytest.mark.parametrize(("line", "keys"), DOCUMENTS.items())
def test_json_is_one_document_and_nothing_else(
    cli: Callable[..., Any], places: dict[str, str], line: str, keys: set[str]
) -> None:
    for name, place in places.items():
        line = line.replace(name, place)
    asked = cli(*line.split(), "--json")
    assert (asked.code, asked.err) == (0, "")
    assert keys <= set(asked.document)
    assert "NaN" not in asked.out


def test_the_schema_is_one_document(cli: Callable[..., Any]) -> None:
    schema = cli("schema").document
    assert {"checkpoint", "gate", "publish"} <= set(schema["properties"])


def test_an_error_is_one_document_too(cli: Callable[..., Any]) -> None:
    plain, asked = cli("inspect", "nowhere"), cli("inspect", "nowhere", "--json")
    assert (asked.code, asked.err) == (2, plain.err)
    error = json.loads(asked.out)["error"]
    assert error["exit_code"] == 2
    assert [error[part] in plain.err for part in ("what", "why", "hint")] == [True, True, True]


def test_paths_in_json_are_absolute(
    cli: Callable[..., Any], places: dict[str, str], copy_demo: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workdir = copy_demo()
    monkeypatch.chdir(workdir.parent)
    document = cli("build", "--workdir", workdir.name, "--json").document
    paths = [row["path"] for row in document["engines"]] + [*document["bundles"].values(), document["report"]]
    paths += [row["repository"] for row in document["published"]]
    published = cli("publish", BUNDLE, "--workdir", workdir.name, "--repository", "models", "--json").document
    saved = cli("evaluate", "--workdir", workdir.name, "--limit", 2, "--save-outputs", "out.npz", "--json").document
    paths += [published["repository"], saved["outputs"], cli("preflight", "models", "--json").document["repository"]]
    assert [path for path in paths if not Path(path).is_absolute() or not Path(path).exists()] == []


QUIET = ["build --workdir DEMO", "evaluate --workdir DEMO --limit 8", "solve --workdir DEMO --example 0", "doctor"]


def _at(line: str, demo: Path) -> list[str]:
    return line.replace("DEMO", str(demo)).split()


@pytest.mark.parametrize("line", QUIET)
def test_in_a_pipe_there_is_neither_colour_nor_progress(command: Callable[..., Any], demo: Path, line: str) -> None:
    said = command(*_at(line, demo))
    assert said.code == 0
    assert "\x1b" not in said.out + said.err
    assert "\r" not in said.out + said.err
    assert len(said.err.splitlines()) <= 1


@pytest.mark.parametrize("line", [line for line in QUIET if line != "doctor"])
def test_no_color_is_honoured_where_there_would_be_some(command: Callable[..., Any], demo: Path, line: str) -> None:
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    colour = r"\x1b\[([0-9;]*;)?[349][0-9]"
    in_colour = command(*_at(line, demo), **terminal)
    without = command(*_at(line, demo), **terminal, NO_COLOR="1")
    assert re.search(colour, in_colour.out + in_colour.err)
    assert not re.search(colour, without.out + without.err)


@pytest.fixture(params=["", "1"])
def unread(request: pytest.FixtureRequest, start: Callable[..., Any]) -> Callable[..., tuple[int, str]]:
    """Runs a command whose stdout nobody reads, buffered or not; returns its exit code and stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        child = start(*arguments, PYTHONUNBUFFERED=request.param)
        child.stdout.close()
        child.stdout = None
        err = child.communicate()[1]
        return child.returncode, err

    return run


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_a_reader_that_goes_away_is_no_error(unread: Callable[..., Any], demo: Path, json: tuple[str, ...]) -> None:
    assert unread("inspect", BUNDLE, "--workdir", demo, *json) == (0, "")


def test_a_reader_that_goes_away_does_not_change_an_error(cli: Callable[..., Any], unread: Callable[..., Any]) -> None:
    assert unread("inspect", "nowhere", "--json") == (2, cli("inspect", "nowhere").err)


def test_debug_adds_the_stack_trace_to_an_error(cli: Callable[..., Any]) -> None:
    plain, debug = cli("inspect", "nowhere"), cli("inspect", "nowhere", "--debug")
    assert cli("--debug", "inspect", "nowhere").err == debug.err
    assert (plain.code, debug.code) == (2, 2)
    assert "Traceback" not in plain.err
    assert debug.err.startswith("Traceback")
    assert debug.err.endswith(plain.err)
    assert debug.out == ""


def test_a_bug_is_exit_1_and_asks_for_a_report(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*, json: bool) -> None:
        raise RuntimeError("the [bold]unforeseen[/]")

    monkeypatch.setattr(hrm_trt.cli.doctor, "doctor_command", fail)
    cli("doctor").assert_refused(1, "a bug in hrm-trt: RuntimeError: the [bold]unforeseen[/]", "--debug")
    assert "Traceback" in cli("doctor", "--debug").err


def test_what_looks_like_markup_is_shown_as_it_is(cli: Callable[..., Any]) -> None:
    cli("inspect", "[red]odd[/red] [/] name").assert_refused(2, "[red]odd[/red] [/] name")
