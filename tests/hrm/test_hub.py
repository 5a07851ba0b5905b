"""hf:// checkpoints, downloaded from a small server that speaks the Hub's protocol.

Each case runs in a process of its own, as a user would: huggingface_hub reads its environment when it is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from hrm.checkpoint import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

REPO = "sapientinc/HRM-checkpoint-sudoku"
COMMIT = "1234567890abcdef1234567890abcdef12345678"
LOCATE = """
import json, sys
from hrm.checkpoint import locate
from hrm.errors import HrmTrtError
try:
    found = locate(sys.argv[1])
except HrmTrtError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
print(json.dumps([str(found.weights), found.config and str(found.config), found.revision, found.name, found.digest()]))
"""
WITHOUT_PACKAGE = "import sys; sys.modules['huggingface_hub'] = None\n" + LOCATE


@dataclass
class Hub:
    """One repository with one commit, on branch ``main``."""

    files: dict[str, bytes]
    tampered: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of a file's own bytes."""
    cut: int | None = None
    """After how many bytes of the checkpoint the connection breaks."""
    fetched: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a request."""
        if path.startswith(f"/api/models/{REPO}/"):
            return self._api(*path.removeprefix(f"/api/models/{REPO}/").split("/")[:2])
        if path.startswith(f"/{REPO}/resolve/{COMMIT}/"):
            return self._file(path.rpartition("/")[2])
        return 404, {"X-Error-Code": "RepoNotFound"}, b""

    def _api(self, question: str, revision: str) -> tuple[int, dict[str, str], bytes]:
        if revision not in ("main", COMMIT):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        if question == "revision":
            return 200, {}, json.dumps({"id": REPO, "sha": COMMIT}).encode()
        return 200, {}, json.dumps([self._entry(name, content) for name, content in self.files.items()]).encode()

    def _entry(self, name: str, content: bytes) -> dict[str, Any]:
        lfs = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        entry = {"type": "file", "path": name, "size": len(content), "oid": etag(name, content)[:40]}
        return entry | ({} if name.endswith(".yaml") else {"lfs": lfs})

    def _file(self, name: str) -> tuple[int, dict[str, str], bytes]:
        self.fetched.append(name)
        content = self.files[name]
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag(name, content)}"'}, self.tampered.get(name, content)


def etag(name: str, content: bytes) -> str:
    """Small text files are named by their Git hash, large files by their SHA-256."""
    if name.endswith(".yaml"):
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.sha256(content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        status, headers, body = self.hub.answer(urlsplit(self.path).path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: self.hub.cut] if self.path.endswith("/checkpoint") else body)

    do_HEAD = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def hub(sample_dir: Path) -> Hub:
    names = {"all_config.yaml": "all_config.yaml", "checkpoint": "step_3750"}
    return Hub({name: (sample_dir / source).read_bytes() for name, source in names.items()} | {"README.md": b"hello"})


@pytest.fixture
def environment(hub: Hub, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables that point huggingface_hub to the server and to an empty cache."""
    handler = type("HubHandler", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        given = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        yield given | {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "cache")}
        server.shutdown()


def run(environment: dict[str, str], address: str, code: str = LOCATE) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, address], env=environment, capture_output=True, text=True)


def found(environment: dict[str, str], address: str) -> list[Any]:
    done = run(environment, address)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def refused(environment: dict[str, str], address: str) -> str:
    done = run(environment, address)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert address in done.stderr
    return done.stderr


@pytest.mark.parametrize("revision", ["", "@main", f"@{COMMIT}"])
def test_a_checkpoint_is_downloaded_and_its_commit_recorded(
    environment: dict[str, str], hub: Hub, sample_dir: Path, revision: str
) -> None:
    weights, config, commit, name, digest = found(environment, f"hf://{REPO}{revision}")
    assert weights.endswith(f"{COMMIT}/checkpoint")
    assert config.endswith(f"{COMMIT}/all_config.yaml")
    assert (commit, name) == (COMMIT, f"{REPO}@1234567890ab")
    assert digest == locate(sample_dir).digest()
    assert set(hub.fetched) == {"all_config.yaml", "checkpoint"}


@pytest.mark.parametrize("name", ["step_3750", "model.safetensors"])
def test_other_names_of_weights_are_found(environment: dict[str, str], hub: Hub, name: str) -> None:
    hub.files[name] = hub.files.pop("checkpoint")
    assert found(environment, f"hf://{REPO}")[0].endswith(f"/{name}")


def test_a_cached_checkpoint_is_not_fetched_again(environment: dict[str, str], hub: Hub) -> None:
    first = found(environment, f"hf://{REPO}")
    hub.fetched.clear()
    assert found(environment, f"hf://{REPO}") == first
    assert hub.fetched == []


def test_bytes_that_were_changed_on_the_way_are_refused(environment: dict[str, str], hub: Hub) -> None:
    content = bytearray(hub.files["checkpoint"])
    content[-100_000] ^= 1
    hub.tampered["checkpoint"] = bytes(content)
    message = refused(environment, f"hf://{REPO}")
    assert "not the file that the Hub promised" in message
    assert hashlib.sha256(hub.files["checkpoint"]).hexdigest()[:12] in message
    # The hint's command lets the next try succeed.
    command = message.rpartition("next: ")[2].partition(" and run")[0]
    hub.tampered.clear()
    assert "not the file" in refused(environment, f"hf://{REPO}")
    subprocess.run(command.split(), check=True)
    assert found(environment, f"hf://{REPO}")[2] == COMMIT


def test_a_connection_that_breaks_is_named(environment: dict[str, str], hub: Hub) -> None:
    hub.cut = 500
    assert "cannot get" in refused(environment, f"hf://{REPO}")
    hub.cut = None
    assert found(environment, f"hf://{REPO}")[2] == COMMIT


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("hf://sapientinc/nothing", "there is no repository sapientinc/nothing"),
        (f"hf://{REPO}@v9", f"{REPO} has no revision v9"),
        ("hf://a/b/c", "'a/b/c' cannot be a repository's name"),
        ("hf://", "'' cannot be a repository's name"),
    ],
)
def test_what_is_not_there_is_named(environment: dict[str, str], address: str, why: str) -> None:
    assert why in refused(environment, address)


def test_a_repository_without_weights_is_refused(environment: dict[str, str], hub: Hub) -> None:
    del hub.files["checkpoint"]
    assert "it holds neither step_<N>" in refused(environment, f"hf://{REPO}")


def test_a_repository_with_nothing_of_ours_is_refused(environment: dict[str, str], hub: Hub) -> None:
    hub.files = {"README.md": b"hello"}
    assert "the repository has none of all_config.yaml" in refused(environment, f"hf://{REPO}")


def test_offline_a_cached_checkpoint_is_found(environment: dict[str, str], hub: Hub) -> None:
    online = found(environment, f"hf://{REPO}")
    hub.fetched.clear()
    assert found(environment | {"HF_HUB_OFFLINE": "1"}, f"hf://{REPO}") == online
    assert hub.fetched == []


def test_offline_a_cached_checkpoint_is_still_verified(environment: dict[str, str]) -> None:
    weights = found(environment, f"hf://{REPO}")[0]
    Path(weights).write_bytes(b"changed")
    assert "promised" in refused(environment | {"HF_HUB_OFFLINE": "1"}, f"hf://{REPO}")


@pytest.mark.parametrize("change", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_what_is_not_cached_is_refused_without_a_connection(
    environment: dict[str, str], change: dict[str, str]
) -> None:
    message = refused(environment | change, f"hf://{REPO}")
    assert "not in its cache" in message
    assert "HF_HUB_OFFLINE" in message


def test_without_the_package_the_error_says_how_to_get_it(environment: dict[str, str]) -> None:
    done = run(environment, f"hf://{REPO}", WITHOUT_PACKAGE)
    assert done.returncode == 3
    assert "pip install 'hrm-trt[hub]'" in done.stderr
