"""The runtimes ``tensorrt`` and ``tensorrt-rtx``: a plan in an execution context on the GPU, fed with numpy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engines.tensorrt.api import Words
from engines.tensorrt.device import Device
from engines.tensorrt.fit import misfit, oversize
from engines.tensorrt.gpu import present
from engines.tensorrt.library import LIBRARIES, lacks, load
from engines.tensorrt.sidecar import read_sidecar
from hrm.errors import EngineError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import tensorrt as trt

    from engines.protocol import Array
    from engines.tensorrt.api import Api
    from export.contract import TensorSpec


class TensorRTEngine:
    """A plan on this machine's GPU.

    Raises:
        BundleError: the plan has no sidecar.
        EngineError: the plan is for another version or another GPU, or the library refuses it.
        MissingError: the library, cuda-bindings or the GPU is not here.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sidecar = sidecar = read_sidecar(path)
        self.inputs, self.outputs = sidecar.inputs, sidecar.outputs
        api = load(sidecar.runtime)
        self._check(api.__version__)
        self._words = Words(api)
        self._runtime = api.Runtime(self._words.logger)
        self._runtime.engine_host_code_allowed = sidecar.options.version_compatible
        self._engine = self._deserialised()
        self._context = _context(api, self._engine)
        self._device = Device()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output from ``feeds``.

        Raises:
            EngineError: a batch or sequence that the plan was not built for, or the GPU failed.
        """
        arrays = {spec.name: np.ascontiguousarray(feeds[spec.name], spec.dtype) for spec in self.inputs}
        fault = oversize(self._sidecar, {name: array.shape for name, array in arrays.items()})
        if fault is not None:
            raise EngineError(
                f"{self._path.name} does not take these inputs",
                why=fault,
                hint="solve smaller batches, or build with a larger `profile` in the recipe",
            )
        for name, array in arrays.items():
            self._context.set_input_shape(name, array.shape)
            self._context.set_tensor_address(name, self._device.upload(name, array))
        shapes = {spec.name: self._bind_output(spec) for spec in self.outputs}
        if not self._context.execute_async_v3(self._device.stream):
            raise self._refused("failed while it ran")
        values = {spec.name: self._device.download(spec.name, shapes[spec.name], spec.dtype) for spec in self.outputs}
        self._device.wait()
        return values

    def _bind_output(self, spec: TensorSpec) -> tuple[int, ...]:
        """Give an output its buffer; returns its shape, which follows from the inputs'."""
        sizes = self._context.get_tensor_shape(spec.name)
        shape = tuple(sizes[axis] for axis in range(len(sizes)))
        size = int(np.prod(shape)) * np.dtype(spec.dtype).itemsize
        self._context.set_tensor_address(spec.name, self._device.buffer(spec.name, size))
        return shape

    def _check(self, version: str) -> None:
        runtime, target = self._sidecar.runtime, self._sidecar.target
        gpu = present()
        fault = misfit(self._sidecar, version, gpu or target)
        if fault is not None:
            raise EngineError(
                f"{self._path.name} does not run here",
                why=fault,
                hint=f"build it again here, or install {LIBRARIES[runtime].package}=={self._sidecar.version}",
            )
        obstacle = lacks(runtime, gpu or target)
        if obstacle is not None:
            raise MissingError(
                f"{self._path.name} cannot run here",
                why=obstacle,
                hint="`hrm-trt doctor` lists what this machine can run",
            )

    def _deserialised(self) -> trt.ICudaEngine:
        engine: trt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(self._path.read_bytes())
        if engine is None:
            raise self._refused("is refused")
        return engine

    def _refused(self, what: str) -> EngineError:
        library = f"{LIBRARIES[self._sidecar.runtime].package} {self._sidecar.version}"
        return EngineError(
            f"{self._path.name} {what}",
            why=f"{library} says: {self._words.reason}",
            hint="build the engine again on this machine",
        )


def _context(api: Api, engine: trt.ICudaEngine) -> trt.IExecutionContext:
    strategies = getattr(api, "DynamicShapesKernelSpecializationStrategy", None)
    if strategies is None:
        return engine.create_execution_context()
    # TensorRT-RTX makes kernels for the very shapes: before the first answer, or a later one might differ.
    config: Any = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
    return engine.create_execution_context(config)
