"""Every all_config.yaml that is not an HRM's is refused, and says what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrm.checkpoint import locate
from hrm.checkpoint.loading import load
from hrm.checkpoint.settings import read_official
from hrm.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrm.network import HRM


def test_the_bundled_configuration_is_read(sample_dir: Path) -> None:
    found = read_official(sample_dir / "all_config.yaml")
    expected = {"hidden_size": 96, "num_heads": 3, "expansion": 4.0, "pos_encodings": "rope", "puzzle_emb_ndim": 96}
    assert expected.items() <= found.items()
    assert "loss" not in found


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("arch: [1, 2\n", "is not YAML", "line 2"),
        ("arch:\n\thidden_size: 8\n", "is not YAML", "\\t"),
        ("a: 2020-99-99\n", "is not YAML", "month"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not YAML", "os.system"),
        ("[" * 10_000, "is not YAML", "recursion"),
        ("\x00\x01\x02", "is not YAML", "character"),
        ("", "not the configuration of an HRM", "`arch`"),
        ("- arch\n", "not the configuration of an HRM", "`arch`"),
        ("just words\n", "not the configuration of an HRM", "`arch`"),
        ("arch: HRM\n", "not the configuration of an HRM", "`arch`"),
        ("arch: {hidden_size: 8}\n", "another architecture", "None"),
        ("arch: {name: 'models.trm@TinyRecursiveReasoningModel_ACTV1'}\n", "another architecture", "Tiny"),
    ],
    ids=range(12),
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: str, what: str, why: str) -> None:
    path = tmp_path / "all_config.yaml"
    path.write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_official(path)
    assert str(path) in caught.value.what
    assert what in caught.value.what
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("hidden_size", "wide", "hidden_size is 'wide', not a whole number"),
        ("hidden_size", None, "hidden_size is None"),
        ("num_heads", True, "num_heads is True"),
        ("num_heads", 3, "8 / 3 heads"),
        ("num_heads", 0, "num_heads is 0"),
        ("H_cycles", 1.5, "H_cycles is 1.5"),
        ("L_cycles", -1, "L_cycles is -1"),
        ("expansion", float("nan"), "expansion is nan"),
        ("expansion", -4, "expansion is -4"),
        ("expansion", 1e8, "expansion 1e+08 makes MLPs 533333504 wide"),
        ("rms_norm_eps", "1e-5", "rms_norm_eps is '1e-5', not a number"),
        ("puzzle_emb_ndim", "${.hidden_size}", "puzzle_emb_ndim is '${.hidden_size}'"),
        ("pos_encodings", ["rope"], "pos_encodings is ['rope'], not a name"),
        ("forward_dtype", "int8", "int8"),
        ("halt_max_steps", {"a": [1] * 2_000}, "halt_max_steps is {'a': [1, 1, "),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    small_network: HRM, write_official: Callable[..., Path], name: str, value: Any, why: str
) -> None:
    directory = write_official(small_network.config, small_network, **{name: value})
    with pytest.raises(CheckpointError) as caught:
        load(locate(directory))
    assert why in caught.value.why
    assert len(str(caught.value)) < 1000


def test_a_setting_that_is_missing_is_named(small_network: HRM, write_official: Callable[..., Path]) -> None:
    path = write_official(small_network.config, small_network) / "all_config.yaml"
    document = yaml.safe_load(path.read_text())
    del document["arch"]["H_cycles"]
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(CheckpointError, match="H_cycles"):
        load(locate(path.parent))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.sampled_from("arch: name!tiflo&*[]{}-\n\t'\"0123456789.|>?%@~,#ü")) | st.text())
def test_no_text_breaks_the_reader(tmp_path: Path, text: str) -> None:
    path = tmp_path / "all_config.yaml"
    path.write_text(text)
    with pytest.raises(CheckpointError):
        read_official(path)
