"""A bundle's manifest: what it refuses, and what it says of its verdicts."""

import json
import shutil

import pytest

from engines.bundle import MANIFEST, read_manifest, verify_files
from hrm.errors import BundleError


@pytest.fixture
def copy(demo_bundle, tmp_path):
    directory, _ = demo_bundle
    return shutil.copytree(directory, tmp_path / "bundle")


def test_demo_bundle_is_whole_and_passed(demo_bundle):
    directory, manifest = demo_bundle
    verify_files(directory, manifest)
    assert manifest.passed() == ("fixed", "adaptive")


def test_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="no bundle at"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2}'])
def test_manifest_of_another_form_is_refused(copy, text):
    (copy / MANIFEST).write_text(text)
    with pytest.raises(BundleError, match="not a bundle's manifest"):
        read_manifest(copy)


@pytest.mark.parametrize("file", ["segment.onnx", "carry.npz"])
def test_changed_or_missing_file_is_refused(copy, file):
    manifest = read_manifest(copy)
    with (copy / file).open("ab") as stream:
        stream.write(b"!")
    with pytest.raises(BundleError, match=file):
        verify_files(copy, manifest)
    (copy / file).unlink()
    with pytest.raises(BundleError, match="no file"):
        verify_files(copy, manifest)


def test_a_verdict_for_other_bytes_does_not_count(copy):
    document = json.loads((copy / MANIFEST).read_text())
    for gate in document["gates"]:
        gate["engines"][0] = "0" * 64
    (copy / MANIFEST).write_text(json.dumps(document))
    assert read_manifest(copy).passed() == ()


def test_digest_is_of_what_runs_not_of_names_and_verdicts(demo_bundle):
    _, manifest = demo_bundle
    assert manifest.model_copy(update={"name": "other", "gates": ()}).digest == manifest.digest
    changed = manifest.engines[0].model_copy(update={"sha256": "0" * 64})
    assert manifest.model_copy(update={"engines": (changed, *manifest.engines[1:])}).digest != manifest.digest
