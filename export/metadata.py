"""What a graph says about itself: a JSON document under one key of the ONNX model's ``metadata_props``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from export.contract import LOWERINGS, Module, Signature, TensorSpec, Variant
from export.quantise.sites import SitePrecision
from hrm.documents import Document
from hrm.errors import BundleError, missing_package

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto

    from hrm.config import HRMConfig

PRODUCER = "hrm-trt"
KEY = "hrm_trt"


class GraphMetadata(Document):
    """Where a graph came from and how it is called."""

    format_version: Literal[1] = 1
    module: Module
    variant: Variant
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    attention: str
    """How attention is written."""
    source_digest: str
    """Of the checkpoint."""
    architecture: dict[str, Any]
    """``HRMConfig.to_dict()``"""
    quantised: dict[str, SitePrecision] = Field(default_factory=dict)
    """What was asked for each linear that is quantised, whatever the nodes of the graph have become since."""


def describe(
    config: HRMConfig, variant: Variant, module: Module, declared: Signature, source_digest: str
) -> GraphMetadata:
    """The metadata of one exported graph."""
    return GraphMetadata(
        module=module,
        variant=variant,
        inputs=declared.inputs,
        outputs=declared.outputs,
        attention=LOWERINGS[variant].attention,
        source_digest=source_digest,
        architecture=config.to_dict(),
    )


def stamp(model: ModelProto, metadata: GraphMetadata) -> None:
    """Write ``metadata`` into ``model``, in place of what was there."""
    model.producer_name, model.producer_version = PRODUCER, str(metadata.format_version)
    del model.metadata_props[:]
    model.metadata_props.add(key=KEY, value=metadata.model_dump_json())


def read_graph(path: Path) -> ModelProto:
    """The ONNX model in ``path``.

    Raises:
        BundleError: it cannot be read, or is not ONNX.
        MissingError: onnx is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise missing_package("onnx", "onnx", "reading graphs") from error
    try:
        return onnx.load(path, load_external_data=False)
    except OSError as error:
        raise _not_ours(path, error.strerror or str(error)) from error
    except DecodeError as error:
        raise _not_ours(path, "it is not ONNX, or is cut short") from error


def read_metadata(path: Path) -> GraphMetadata:
    """What the ONNX file at ``path`` says about itself.

    Raises:
        BundleError: it cannot be read, or hrm-trt did not write it.
        MissingError: onnx is not installed.
    """
    return metadata_of(read_graph(path), path)


def metadata_of(model: ModelProto, path: Path) -> GraphMetadata:
    """What ``model``, read from ``path``, says about itself.

    Raises:
        BundleError: hrm-trt did not write it.
    """
    document = next((entry.value for entry in model.metadata_props if entry.key == KEY), "")
    try:
        return GraphMetadata.model_validate_json(document)
    except ValidationError as error:
        raise _not_ours(path, "its metadata is missing or of another format") from error


def _not_ours(path: Path, why: str) -> BundleError:
    return BundleError(
        f"{path} is not a graph of hrm-trt", why=why, hint="`hrm-trt build --until export` writes the graphs"
    )
