"""All that is asked of ModelOpt: formats, calibrators, and the call that puts quantisers into a network.

ModelOpt takes about ten seconds to import, so this module is imported where something is quantised and nowhere else.
It is told to keep quiet: its prints, warnings and progress bars are not for people at a terminal.
"""

from __future__ import annotations

import io
import sys
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from hrm.errors import missing_package

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that ModelOpt could export to and does not find
        import modelopt.torch.quantization as mtq
        from modelopt.torch.quantization.calib import HistogramCalibrator, MseCalibrator
        from modelopt.torch.quantization.nn import is_registered_quant_backend, register_quant_backend
        from modelopt.torch.quantization.tensor_quant import scaled_e4m3
except ImportError as error:
    raise missing_package("nvidia-modelopt", "quantise", "quantisation") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from export.quantise.calibration import Method
    from hrm.network import HRM

QuantLinear = Any
"""A linear of ModelOpt's: the network's own, with a quantiser for its input and one for its weight."""
Format = dict[str, Any]
"""ModelOpt's attributes of one quantiser."""

FP8: Format = {"num_bits": (4, 3), "axis": None}
"""E4M3 with one scale for the tensor, as in ModelOpt's ``FP8_DEFAULT_CFG``."""
NVFP4: Format = {"num_bits": (2, 1), "block_sizes": {-1: 16, "type": "dynamic", "scale_bits": (4, 3)}}
"""E2M1 in blocks of 16 with E4M3 scales, as in ModelOpt's ``NVFP4_DEFAULT_CFG``."""
PERCENTILE = 99.99
"""Share of the magnitudes, in percent, that ``percentile`` does not clip: ModelOpt's own choice."""
_LEAST, _STEP = 0.1, 0.01
"""Where the search of ``mse`` for an input's maximum begins, and its step, in parts of the largest magnitude."""
_WEIGHTS_BY_ERROR = {"method": "mse", "start_multiplier": 0.5, "stop_multiplier": 1.0, "step_size": 0.02}


class PercentileCalibrator(HistogramCalibrator):  # type: ignore[misc]  # ModelOpt ships no types
    """ModelOpt's histogram, asked for a percentile: ModelOpt 0.47 asks for a maximum without naming the method."""

    _calib_hist: Any
    _calib_bin_edges: Any

    def compute_amax(self) -> Tensor | None:
        """The magnitude that ``PERCENTILE`` of all values do not exceed; None where there were none."""
        if self._calib_hist is None:
            return None
        # The base class turns a tensor of counts into int32, and a long calibration fills more than that.
        counts, edges = _histogram(self)
        self._calib_hist, self._calib_bin_edges = counts.numpy(), edges.numpy()
        amax: Tensor = super().compute_amax("percentile", percentile=PERCENTILE)
        return amax


class LeastErrorCalibrator(HistogramCalibrator):  # type: ignore[misc]
    """ModelOpt's search for the maximum of least squared error in FP8, over its histogram instead of every value.

    The histogram's own search in ModelOpt 0.47 calls E4M3 rounding with the wrong arguments.
    """

    _largest = 0.0

    def collect(self, x: Tensor) -> None:
        """Count the magnitudes of ``x``."""
        self._largest = max(self._largest, float(x.abs().amax()))
        super().collect(x)

    def compute_amax(self) -> Tensor | None:
        """The maximum, at most the largest magnitude, with which rounding to E4M3 changes the values least."""
        if self._calib_hist is None:
            return None
        counts, edges = _histogram(self)
        centres = ((edges[1:] + edges[:-1]) / 2)[: len(counts)]
        search = MseCalibrator(
            torch.tensor(self._largest),
            step_size=_STEP,
            start_multiplier=_LEAST,
            stop_multiplier=1.0,
            quant_func=lambda values, amax: scaled_e4m3(values, amax, None, 4, 3),
            error_func=lambda values, rounded: counts * (values - rounded) ** 2,
        )
        search.collect(centres)
        amax: Tensor = search.compute_amax()
        return amax


def _histogram(calibrator: HistogramCalibrator) -> tuple[Tensor, Tensor]:
    """The counts, in float64, and the edges of the bins."""
    counts, edges = (torch.as_tensor(array).cpu() for array in (calibrator._calib_hist, calibrator._calib_bin_edges))
    return counts.double(), edges


def calibrate(network: HRM, names: tuple[str, ...], method: Method, forward: Callable[[HRM], None]) -> None:
    """Put FP8 quantisers into the linears ``names`` of ``network`` and calibrate them on what ``forward`` runs.

    ``percentile`` clips inputs, and leaves weights their largest magnitude; ``mse`` clips both.
    """
    calibrators: dict[Method, Any] = {
        "max": "max",
        "percentile": (PercentileCalibrator, (8,)),
        "mse": (LeastErrorCalibrator, (8,)),
    }
    inputs = FP8 | {"calibrator": calibrators[method]}
    algorithm = _WEIGHTS_BY_ERROR if method == "mse" else "max"
    _quantize(network, dict.fromkeys(names, (inputs, FP8)), algorithm, forward)


def insert(network: HRM, formats: Mapping[str, Format]) -> None:
    """Put quantisers into ``network``, on both operands of the linears in ``formats``; their maxima are to be set."""
    _quantize(network, {name: (attributes, attributes) for name, attributes in formats.items()}, None, None)


def _quantize(
    network: HRM,
    formats: Mapping[str, tuple[Format, Format]],
    algorithm: str | dict[str, Any] | None,
    forward: Callable[[HRM], None] | None,
) -> None:
    """``mtq.quantize``, in place and without a word: the input's and the weight's quantiser by linear, all others off.

    What ``forward`` prints is printed.
    """
    entries = [
        {"quantizer_name": f"{name}.{operand}_quantizer", "cfg": dict(attributes)}
        for name, both in formats.items()
        for operand, attributes in zip(("input", "weight"), both, strict=True)
    ]
    config = {"quant_cfg": [{"quantizer_name": "*", "enable": False}, *entries], "algorithm": algorithm}
    aloud = sys.stdout, sys.stderr

    def loop(model: HRM) -> None:
        if forward is not None:
            with redirect_stdout(aloud[0]), redirect_stderr(aloud[1]):
                forward(model)

    with quiet():
        mtq.quantize(network, config, loop)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing that ModelOpt prints or warns of reaches the terminal."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def amax(linear: QuantLinear) -> tuple[float, float]:
    """The maxima that a linear's input and weight were calibrated to; 0 where nothing was seen."""
    largest, weight = linear.input_quantizer.amax, linear.weight_quantizer.amax
    return 0.0 if largest is None else float(largest), float(weight)


def set_amax(linear: QuantLinear, input_amax: float, weight_amax: float) -> None:
    """Set the maxima of a linear's input and weight."""
    for quantiser, value in ((linear.input_quantizer, input_amax), (linear.weight_quantizer, weight_amax)):
        quantiser.amax = torch.tensor(value, device=linear.weight.device)


def register(name: str, compute: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Let quantisers whose ``backend`` is ``name`` call ``compute`` with values and their maximum."""
    if not is_registered_quant_backend(name):
        register_quant_backend(name, lambda values, quantizer: compute(values, quantizer.amax))


def versions() -> dict[str, str]:
    """Of the libraries that calibrated maxima depend on."""
    return {package: version(package) for package in ("nvidia-modelopt", "torch")}
