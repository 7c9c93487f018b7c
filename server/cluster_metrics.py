"""The metrics of a replica in Ray's exporter: one scrape of a node has those of all its replicas, and Ray's own.

The multiprocess mode of prometheus-client needs a process on each node that serves the scrape. Ray has one already.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from prometheus_client import CollectorRegistry
from ray.serve import metrics

PREFIX: Final = "fast_spark_"
SECONDS: Final = 5.0  # between two exports


class Exporter:
    """Copies the samples of a registry to Ray's metrics.

    Counters and the buckets of histograms keep their names and values. To Ray all are gauges, because its own counters
    and histograms take single observations; Prometheus computes rates and quantiles by name, not by type.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._gauges: dict[str, metrics.Gauge] = {}

    async def run(self) -> None:
        """Export every few seconds, until cancelled."""
        while True:
            self.export()
            await asyncio.sleep(SECONDS)

    def export(self) -> None:
        """Export the current values."""
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name.startswith(PREFIX) and not sample.name.endswith("_created"):
                    gauge = self._gauges.get(sample.name)
                    if gauge is None:
                        gauge = metrics.Gauge(sample.name, family.documentation, cast(tuple[str], tuple(sample.labels)))
                        self._gauges[sample.name] = gauge
                    gauge.set(sample.value, tags=sample.labels)
