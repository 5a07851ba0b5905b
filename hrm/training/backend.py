"""Where training runs: the device, the dtype that the model computes in, and whether it is compiled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from hrm.errors import MissingError
from hrm.toolchain import GET_COMPILER, missing_compiler

if TYPE_CHECKING:
    from collections.abc import Callable

    from hrm.training.recipe import TrainRecipe

DeviceName = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Backend:
    """What a run computes with."""

    device: torch.device
    dtype: torch.dtype
    compiles: bool

    @property
    def name(self) -> str:
        """``cpu``, or the GPU's name."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function``, compiled for the shapes of its first call if this backend compiles."""
        return torch.compile(function, dynamic=False) if self.compiles else function


def choose(recipe: TrainRecipe, device: DeviceName) -> Backend:
    """A GPU in bfloat16 and compiled where there is one, else the CPU in float32; repeatable on the same machine.

    Raises:
        MissingError: CUDA was asked for and is not there, or compiling needs a C++ compiler that is not there.
    """
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if on_gpu and not torch.cuda.is_available():
        raise MissingError(
            "training on CUDA needs a GPU that PyTorch can use",
            why="torch.cuda.is_available() says no",
            hint="leave --device out to train on the CPU, or install a CUDA build of PyTorch beside a GPU",
        )
    compiles = on_gpu if recipe.compile is None else recipe.compile
    lack = missing_compiler() if compiles and not on_gpu else None
    if lack is not None:
        raise MissingError(
            "the recipe asks to compile the model, and this machine has no C++ compiler for it",
            why=lack,
            hint=f"{GET_COMPILER}; or set `compile: false` in the recipe: the same training, about a third slower",
        )
    if not on_gpu and recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    if on_gpu:
        # cuBLAS repeats itself only with a workspace of fixed size.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # Not warn_only: with it, attention's gradient stays one that adds up in an order of chance.
        torch.use_deterministic_algorithms(mode=True)
    return Backend(
        device=torch.device("cuda" if on_gpu else "cpu"),
        dtype=torch.bfloat16 if on_gpu else torch.float32,
        compiles=compiles,
    )
