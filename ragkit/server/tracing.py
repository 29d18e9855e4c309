"""OpenTelemetry: spans of requests, of what LlamaIndex does, and of ragkit's stages. What people ask stands in none of them."""

from __future__ import annotations

import time

from fastapi import FastAPI
from openinference.instrumentation import TraceConfig
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

from ragkit import __version__
from ragkit.query.trace import Trace

_UNSEEN = "healthz,readyz,metrics"


class Traces:
    """Sends spans to a collector over HTTP; one that is away costs nothing but a line in the log."""

    def __init__(self, app: FastAPI, collector: str, index: str) -> None:
        resource = Resource.create({"service.name": "ragkit", "service.version": __version__, "ragkit.index": index})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{collector}/v1/traces")))
        self._tracer = self._provider.get_tracer("ragkit", __version__)
        FastAPIInstrumentor.instrument_app(app, tracer_provider=self._provider, excluded_urls=_UNSEEN)
        hidden = TraceConfig(hide_inputs=True, hide_outputs=True, hide_embedding_vectors=True, hide_embeddings_text=True)
        LlamaIndexInstrumentor().instrument(tracer_provider=self._provider, config=hidden)

    def traced(self, trace: Trace) -> None:
        """Make a span of each stage, below that of the request."""
        began_ns = time.time_ns() - int(trace.total_ms * 1e6)
        for stage, begin_ms, end_ms in [(one, *span) for one in trace.stages for span in one.spans]:
            span = self._tracer.start_span(f"ragkit {stage.name}", start_time=began_ns + int(begin_ms * 1e6))
            span.set_attributes({"ragkit.entered": stage.entered, "ragkit.out": stage.out, "ragkit.status": stage.status})
            if stage.status == "degraded":
                span.set_status(Status(StatusCode.ERROR))
            span.end(began_ns + int(end_ms * 1e6))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
