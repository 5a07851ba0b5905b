"""Name constants after their content, so that equal ones are one, within a graph and between graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.passes.rename import rename
from export.passes.weights import SUFFIX
from hrm.files import sha256_bytes

if TYPE_CHECKING:
    from collections.abc import Collection

    from onnx import GraphProto, TensorProto

PREFIX = "constant."


def name_constants(graph: GraphProto, parameters: Collection[str]) -> int:
    """Rename every initializer that is neither a linear's weight nor in ``parameters``, drop copies, sort the rest.

    Returns:
        How many initializers were renamed.
    """
    constants = [tensor for tensor in graph.initializer if not _is_parameter(tensor.name, parameters)]
    fired = len(constants)
    rename(graph, {tensor.name: _content_name(tensor) for tensor in constants})
    distinct = {tensor.name: tensor for tensor in graph.initializer}
    kept = [distinct[name] for name in sorted(distinct)]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return fired


def _is_parameter(name: str, parameters: Collection[str]) -> bool:
    return name in parameters or name.endswith(SUFFIX)


def _content_name(tensor: TensorProto) -> str:
    nameless = type(tensor)()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return PREFIX + sha256_bytes(nameless.SerializeToString(deterministic=True))[:16]
