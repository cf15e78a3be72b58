"""Prometheus metrics of one service, every series labelled release, slot, region and model.

BentoML's own metrics are off: they cannot carry these labels, and counting twice costs time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from lockstep.serving.identity import Identity

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one process. A series is bound to its labels once, not at every request."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, identity: Identity) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._fixed = identity.labels()
        names = tuple(self._fixed)
        self._requests = Counter(
            "lockstep_requests", "Requests answered.", (*names, "path", "code"), registry=self._registry
        )
        self._seconds = Histogram(
            "lockstep_request_seconds",
            "Time from the first byte of a request to the last byte of its answer.",
            (*names, "path"),
            registry=self._registry,
            buckets=SECONDS,
        )
        self._refused = Counter(
            "lockstep_refusals", "Requests refused, by reason.", (*names, "reason"), registry=self._registry
        )
        self._labels = Counter(
            "lockstep_predictions",
            "Predictions made, by predicted label.",
            (*names, "label"),
            registry=self._registry,
        )
        sizes = Histogram(
            "lockstep_batch_size",
            "Instances in one run of the model.",
            names,
            registry=self._registry,
            buckets=SIZES,
        )
        self._size = sizes.labels(**self._fixed)
        in_flight = Gauge(
            "lockstep_in_flight", "Requests for a prediction under way.", names, registry=self._registry
        )
        self._in_flight = in_flight.labels(**self._fixed)
        ready = Gauge(
            "lockstep_ready", "1 once the release is verified and warm.", names, registry=self._registry
        )
        ready.labels(**self._fixed).set(1)
        self._bound_requests: dict[tuple[str, int], Counter] = {}
        self._bound_seconds: dict[str, Histogram] = {}
        self._bound_labels: dict[str, Counter] = {}

    def under_way(self) -> AbstractContextManager[object]:
        """Count a request as under way while it is."""
        return self._in_flight.track_inprogress()

    def answered(self, path: str, code: int, seconds: float) -> None:
        """`path` must come from a closed set: each value is a series for ever."""
        count = self._bound_requests.get((path, code))
        if count is None:
            count = self._requests.labels(**self._fixed, path=path, code=str(code))
            self._bound_requests[path, code] = count
        count.inc()
        timer = self._bound_seconds.get(path)
        if timer is None:
            timer = self._bound_seconds[path] = self._seconds.labels(**self._fixed, path=path)
        timer.observe(seconds)

    def refused(self, reason: str) -> None:
        self._refused.labels(**self._fixed, reason=reason).inc()

    def ran(self, instances: int) -> None:
        """One run of the model on so many instances."""
        self._size.observe(instances)

    def predicted(self, label: str) -> None:
        count = self._bound_labels.get(label)
        if count is None:
            count = self._bound_labels[label] = self._labels.labels(**self._fixed, label=label)
        count.inc()

    def render(self) -> bytes:
        """Prometheus text format."""
        return bytes(generate_latest(self._registry))
