"""From a graph to what the builder takes: the network, and how to build it. Runs in the builder's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.tensorrt.library import LIBRARIES
from engines.tensorrt.request import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    import tensorrt as trt

    from engines.tensorrt.api import Api, Words
    from engines.tensorrt.request import Request

_FLAGS = ("EXPLICIT_BATCH", "STRONGLY_TYPED")
"""What older releases have to be told and newer ones always do: the graph alone says what is computed in what."""
_MIB = 2**20


class Refused(Exception):  # noqa: N818  (an answer)
    """The library does not take the graph or the shapes."""

    def __init__(self, why: str, nodes: tuple[Refusal, ...] = ()) -> None:
        super().__init__(why)
        self.why = why
        self.nodes = nodes


def parse(api: Api, builder: trt.Builder, graph: Path, words: Words) -> tuple[trt.INetworkDefinition, trt.OnnxParser]:
    """The network in ``graph``, and the parser, which must outlive the build.

    Raises:
        Refused: the parser does not take it.
    """
    network = builder.create_network(creation_flags(api))
    parser = api.OnnxParser(network, words.logger)
    if not parser.parse_from_file(str(graph)):
        nodes = tuple(_refusal(parser.get_error(index)) for index in range(parser.num_errors))
        raise Refused(nodes[0].reason if nodes else words.reason, nodes)
    return network, parser


def creation_flags(api: Api) -> int:
    """The bits of those flags that this release still has."""
    flags = [getattr(api.NetworkDefinitionCreationFlag, name, None) for name in _FLAGS]
    return sum(1 << int(flag) for flag in flags if flag is not None)


def configure(
    api: Api, builder: trt.Builder, network: trt.INetworkDefinition, request: Request, words: Words
) -> trt.IBuilderConfig:
    """How to build ``network`` for the request's target and shapes.

    Raises:
        Refused: the network cannot have these shapes.
    """
    config = builder.create_builder_config()
    options = request.options
    config.builder_optimization_level = options.optimisation_level
    config.profiling_verbosity = api.ProfilingVerbosity.DETAILED
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace_mib * _MIB)
    if options.hardware_compatible:
        config.hardware_compatibility_level = api.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(api.BuilderFlag.VERSION_COMPATIBLE)
    if request.target in LIBRARIES[request.runtime].ahead_of_time:
        _aim(api, config, request.target)
    if config.add_optimization_profile(_profile(api, builder, network, request)) < 0:
        raise Refused(words.reason)
    return config


def _aim(api: Any, config: Any, target: str) -> None:
    """Name the target: this library builds for GPUs that are not here."""
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(api.ComputeCapability, target.upper().replace("_", "")), 0)


def _profile(
    api: Api, builder: trt.Builder, network: trt.INetworkDefinition, request: Request
) -> trt.IOptimizationProfile:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        name = network.get_input(index).name
        shapes = request.shapes.get(name)
        if shapes is None:
            raise Refused(f"the graph's input {name} is not in its metadata")
        profile.set_shape(name, *(api.Dims(list(shape)) for shape in (shapes.min, shapes.opt, shapes.max)))
    return profile


def _refusal(error: trt.ParserError) -> Refusal:
    return Refusal(operator=error.node_operator(), node=error.node_name(), reason=" ".join(error.desc().split()))
