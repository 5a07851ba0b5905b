"""What stands on a server's /metrics, read as Prometheus reads it."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client import Metric
    from server import Server


def families(server: Server) -> list[Metric]:
    """All of them, parsed strictly."""
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=10) as response:
        return list(text_string_to_metric_families(response.read().decode()))


def scrape(server: Server, model: str) -> dict[str, float]:
    """The samples of one orchestrator, as ``name`` or ``name label``: ``hrm_depth_bucket 2.0``."""
    found = {}
    for family in families(server):
        for sample in family.samples:
            labels = dict(sample.labels)
            if sample.name.startswith("hrm_") and labels.pop("model") == model:
                del labels["version"]
                found[" ".join([sample.name, *labels.values()])] = sample.value
    return found
