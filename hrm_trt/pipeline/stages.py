"""From a checkpoint to its graphs: each function gives the store one step and the work that makes its artefact."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hrm_trt.pipeline.events import Noted, Started
from hrm_trt.pipeline.store import Step

if TYPE_CHECKING:
    from pathlib import Path

    from export.contract import Variant
    from hrm.checkpoint import Located
    from hrm.network import HRM
    from hrm_trt.pipeline.store import Artefact, Store

WEIGHTS = "model.safetensors"
_HERE = "hrm_trt.pipeline.stages"
NETWORK_CODE = ("hrm.config", "hrm.network", "hrm.checkpoint")


def load(store: Store, located: Located, dataset: Path | None) -> Artefact:
    """The checkpoint, checked and written as safetensors; value: its architecture and how attention is computed."""
    from hrm.checkpoint.sizes import dataset_sizes

    def work(home: Path) -> Any:
        from hrm.checkpoint.loading import load as read
        from hrm.checkpoint.native import save
        from hrm.network import ATTENTION

        checkpoint = read(located, dataset)
        save(checkpoint.config, checkpoint.tensors, home / WEIGHTS)
        parameters = sum(tensor.numel() for tensor in checkpoint.tensors.values())
        return {"architecture": checkpoint.config.to_dict(), "attention": ATTENTION, "parameters": parameters}

    sizes = dataset_sizes(located.weights, dataset)
    step = Step(
        "load",
        located.name,
        inputs={"checkpoint": located.digest(), "dataset": None if sizes is None else asdict(sizes)},
        code=(*NETWORK_CODE, "hrm.data.layout", _HERE),
        libraries=("torch", "safetensors"),
    )
    artefact = store.make(step, work)
    store.emit(Noted(f"attention: FlashAttention is replaced by {artefact.value['attention']}"))
    return artefact


def open_network(loaded: Artefact) -> HRM:
    """The network of a loaded checkpoint, in float32."""
    from hrm.checkpoint import locate
    from hrm.checkpoint.loading import load as read
    from hrm.checkpoint.loading import network

    return network(read(locate(loaded.path / WEIGHTS)))


def export(store: Store, loaded: Artefact, variant: Variant) -> Artefact:
    """The four graphs of one variant, their initial carry, and their parity with PyTorch as the value."""
    subject = f"{variant} graphs"

    def progress(part: str) -> None:
        store.emit(Started("export", f"{subject}: {part}"))

    def work(home: Path) -> Any:
        from export.stage import write_export

        network = open_network(loaded)
        return write_export(home, network, variant, source_digest=loaded.digest, progress=progress)

    step = Step(
        "export",
        subject,
        inputs={"checkpoint": loaded.digest, "variant": variant},
        code=(*NETWORK_CODE, "export", _HERE),
        libraries=("torch", "onnx", "onnxscript", "onnxruntime"),
    )
    return store.make(step, work)
