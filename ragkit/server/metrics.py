"""What Prometheus is told: requests, times by stage, what the cache gave, how far views lag, errors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ragkit.errors import RagkitError
from ragkit.pipeline import Pipeline
from ragkit.query.trace import Trace

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LOOKED_AT_EVERY_S = 5.0


class Metrics:
    """The numbers of one server. With several workers each writes into a folder that they share, and any can tell all."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._registry = CollectorRegistry()
        own = self._registry
        labels = ("method", "route", "status")
        self._requests = Counter("ragkit_requests", "Requests that were answered.", labels, registry=own)
        self._latency = Histogram(
            "ragkit_request_seconds", "From a request to the end of its answer.", ("route",), buckets=_BUCKETS, registry=own
        )
        self._stages = Histogram(
            "ragkit_stage_seconds", "What a stage of a question took.", ("stage",), buckets=_BUCKETS, registry=own
        )
        self._degraded = Counter(
            "ragkit_degraded_stages", "Stages that did less than they should have.", ("stage",), registry=own
        )
        self._errors = Counter("ragkit_errors", "Requests that were not met, by the code of the error.", ("code",), registry=own)
        self._working = Gauge("ragkit_requests_in_progress", "Requests at work.", registry=own, multiprocess_mode="livesum")
        self._index = _IndexNumbers(pipeline)

    def begin(self) -> None:
        """A request has come."""
        self._working.inc()

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """It has been answered."""
        self._working.dec()
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def error(self, code: str) -> None:
        """It was not met."""
        self._errors.labels(code).inc()

    def traced(self, trace: Trace) -> None:
        """A question was answered."""
        for stage in trace.stages:
            self._stages.labels(stage.name).observe(stage.ms / 1000)
            if stage.status == "degraded":
                self._degraded.labels(stage.name).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus' text format. Reads the ledger, so call it in a thread."""
        told = CollectorRegistry()
        told.register(self._index)
        if os.environ.get(FOLDER):
            MultiProcessCollector(told)
            return generate_latest(told)
        return generate_latest(self._registry) + generate_latest(told)


class _IndexNumbers(Collector):
    """What the index says of itself, looked at when it is asked for, but not all the time."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._at = 0.0
        self._found: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        if time.monotonic() - self._at > _LOOKED_AT_EVERY_S:
            self._found = list(self._look())
            self._at = time.monotonic()
        yield from self._found

    def _look(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("ragkit_index_ready", "Whether the index can be read.")
        try:
            status = self._pipeline.status().to_dict()
        except RagkitError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1 if status["matches"] else 0)
        yield up
        yield GaugeMetricFamily("ragkit_documents", "Documents in the ledger.", status["documents"])
        yield GaugeMetricFamily("ragkit_chunks", "Chunks of the live generation.", status["chunks"])
        lag = GaugeMetricFamily("ragkit_view_lag", "Changes that a view has not applied yet.", labels=("view", "kind"))
        for view in status["views"]:
            lag.add_metric([view["name"], view["kind"]], view["lag"])
        yield lag
        hits = CounterMetricFamily("ragkit_cache_hits", "Vectors that a layer of the cache gave.", labels=("layer",))
        for layer, count in self._pipeline.cache_hits().items():
            hits.add_metric([layer], count)
        yield hits
