"""Graphs that travel without their weights, where the weights are random anyway."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

LARGE = 2**16
"""Bytes from which a tensor is a weight that can be left out."""
MOST = 448.0
"""The largest FP8 number: a weight of that magnitude is its tensor's largest."""


def hollow(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` without the contents of its large tensors."""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= LARGE:
            tensor.raw_data = b""
    return model


def filled(path: Path) -> bytes:
    """The graph in ``path``, its hollow weights drawn as an untrained model's are, the same for the same name."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if not tensor.raw_data and tensor.data_type in (TensorProto.FLOAT16, TensorProto.FLOAT8E4M3FN):
            tensor.CopyFrom(_drawn(tensor))
    return model.SerializeToString()


def _drawn(tensor: TensorProto) -> TensorProto:
    seed = int.from_bytes(hashlib.sha256(tensor.name.encode()).digest()[:8], "big")
    values = np.random.default_rng(seed).standard_normal(tuple(tensor.dims), dtype=np.float32).clip(-2, 2)
    if tensor.data_type == TensorProto.FLOAT16:
        return numpy_helper.from_array((values / np.sqrt(tensor.dims[0])).astype(np.float16), tensor.name)
    narrow = torch.from_numpy(values * (MOST / 2)).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    drawn = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    drawn.raw_data = narrow.tobytes()
    return drawn
