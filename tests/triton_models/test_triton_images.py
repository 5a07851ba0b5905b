from __future__ import annotations

import pytest

from hrm.errors import UsageError
from triton_models.images import KIT_TENSORRT, checked_tensorrt, image_for, tensorrt_in_image, tensorrt_in_server


@pytest.mark.parametrize("image", ["26.07-py3", "tritonserver:26.07-py3", "nvcr.io/nvidia/tritonserver:26.07-py3"])
def test_an_images_tag_tells_its_tensorrt(image: str) -> None:
    assert tensorrt_in_image(image) == "11.1.0.106"


@pytest.mark.parametrize("image", ["tritonserver:26.07-trtllm-python-py3", "tritonserver:19.01-py3", "tritonserver"])
def test_an_image_of_which_nothing_is_known_is_not_guessed(image: str) -> None:
    with pytest.raises(UsageError, match="not known which TensorRT") as caught:
        tensorrt_in_image(image)
    assert "26.07-py3" in caught.value.why
    assert "--tensorrt" in caught.value.hint


def test_what_is_no_version_is_refused() -> None:
    assert [checked_tensorrt(version) for version in ("11.1.0.106", "10")] == ["11.1.0.106", "10"]
    for wrong in ("", "v10", "10.", "10.x"):
        with pytest.raises(UsageError, match="is no version of TensorRT"):
            checked_tensorrt(wrong)


def test_a_servers_version_tells_its_tensorrt() -> None:
    assert tensorrt_in_server("2.71.0") == "11.1.0.106"
    assert tensorrt_in_server("2.62.0") == "10.13"
    with pytest.raises(UsageError, match=r"which TensorRT a Triton 2\.51\.0 carries"):
        tensorrt_in_server("2.51.0")


def test_the_newest_image_of_a_tensorrt_is_named() -> None:
    assert image_for(KIT_TENSORRT) == "tritonserver:26.07-py3"
    assert image_for("10.13.3.9") == "tritonserver:25.10-py3"
    assert image_for("10.1.0.1") is None
