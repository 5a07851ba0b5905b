"""What stands on a server's /metrics, read as Prometheus reads it."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client import Metric
    from server import Server


SETTLE_SECONDS = 0.3
"""A little more than the orchestrator lets events wait."""


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


def _settled(server: Server, model: str) -> dict[str, float]:
    """The samples once they stand still: the last events of before are passed on with some delay."""
    before, now = {}, scrape(server, model)
    while before != now:
        time.sleep(SETTLE_SECONDS)
        before, now = now, scrape(server, model)
    return now


class Changes:
    """How the samples of one orchestrator change from now on; a gauge that is 0 now is what it is then."""

    def __init__(self, server: Server, model: str) -> None:
        self._server, self._model = server, model
        self._before = _settled(server, model)

    def all(self) -> dict[str, float]:
        """Every sample's."""
        return {name: value - self._before.get(name, 0.0) for name, value in scrape(self._server, self._model).items()}

    def __getitem__(self, sample: str) -> float:
        return self.all()[sample]
