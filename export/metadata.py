"""What a graph says about itself: a JSON document under one key of the ONNX file's ``metadata_props``.

Needs no onnx to be read, and skips the weights.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pydantic import ValidationError

from export.contract import LOWERINGS, Module, Signature, TensorSpec, Variant
from hrm.documents import Document
from hrm.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from onnx import ModelProto

    from hrm.config import HRMConfig

PRODUCER = "hrm-trt"
KEY = "hrm_trt"

# Protocol buffers on the wire, and the fields of onnx.proto that are read here.
_VARINT, _LENGTH_DELIMITED = 0, 2
_METADATA_PROPS = 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


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


def read_metadata(path: Path) -> GraphMetadata:
    """What the ONNX file at ``path`` says about itself; reads past its weights.

    Raises:
        BundleError: it cannot be read, or hrm-trt did not write it.
    """
    try:
        with path.open("rb") as file:
            document = _document(file)
        return GraphMetadata.model_validate_json(document)
    except OSError as error:
        raise _not_ours(path, error.strerror or str(error)) from error
    except ValidationError as error:
        raise _not_ours(path, "its metadata is missing or of another format") from error


def _not_ours(path: Path, why: str) -> BundleError:
    return BundleError(
        f"{path} is not a graph of hrm-trt", why=why, hint="`hrm-trt build --until export` writes the graphs"
    )


def _document(file: BinaryIO) -> bytes:
    """The JSON text under our key, or nothing."""
    for _, entry in _fields(file, {_METADATA_PROPS}):
        pair = dict(_fields(io.BytesIO(entry), {_ENTRY_KEY, _ENTRY_VALUE}))
        if pair.get(_ENTRY_KEY) == KEY.encode():
            return pair.get(_ENTRY_VALUE, b"")
    return b""


def _fields(file: BinaryIO, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """The ``wanted`` length-delimited fields of a protocol buffer; ends early at what is not one."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while (tag := _varint(file)) is not None:
        number, kind = tag >> 3, tag & 7
        value = _varint(file)
        if kind == _VARINT:
            continue
        if kind != _LENGTH_DELIMITED or value is None or value > end - file.tell():
            return
        if number in wanted:
            yield number, file.read(value)
        else:
            file.seek(value, os.SEEK_CUR)


def _varint(file: BinaryIO) -> int | None:
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    return None
