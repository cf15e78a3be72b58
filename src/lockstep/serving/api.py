"""What a model's service.py needs: the settings of a service, its specs, and the running release."""

from __future__ import annotations

from typing import Any

from lockstep.serving.bodies import ImageUpload, Instances, Prediction, Predictions
from lockstep.serving.limits import LIMITS
from lockstep.serving.predictor import Answer, running

__all__ = [
    "BATCHING",
    "SETTINGS",
    "Answer",
    "ImageUpload",
    "Instances",
    "Prediction",
    "Predictions",
    "running",
]

SETTINGS: dict[str, Any] = {
    "workers": 1,
    "threads": 2,
    "traffic": {"timeout": 30},
    # Counted and logged by the guard, with the labels that BentoML cannot give.
    "metrics": {"enabled": False},
    # Spans without an exporter go nowhere and cost a quarter of a small request.
    "tracing": {"excluded_urls": ".*"},
    "logging": {"access": {"enabled": False}},
}

# BentoML cancels queued requests, with a 503, once it expects them to take longer than the latency
# target. So the target is the request timeout's neighbour, not the latency that we hope for: how long
# a batch waits for company follows from measured times, not from this number.
BATCHING: dict[str, Any] = {"batchable": True, "max_batch_size": LIMITS.instances, "max_latency_ms": 20_000}
