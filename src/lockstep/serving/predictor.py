"""The running release: an image or arrays in, labelled probabilities out. One per process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from lockstep.errors import IntegrityError, LockstepError
from lockstep.serving.identity import Identity, new_prediction_id
from lockstep.serving.images import decode
from lockstep.serving.instances import parse
from lockstep.serving.metrics import Metrics
from lockstep.serving.refusal import Refused, note
from lockstep.serving.runtimes import Floats, Model


@dataclass(frozen=True)
class Answer:
    """A response: its JSON body, and the prediction id in it, which the headers repeat.

    status: 400 and above for a refusal, which has no body here: the guard writes it.
    """

    body: bytes
    prediction_id: str
    status: int = 200


@dataclass(frozen=True)
class Predictor:
    """identity: who answers; labels: one name for each class, in the order of the model's output;
    shape: of one instance; from_image, from_rows: the release's own preprocessing, to float32 [*shape].
    """

    identity: Identity
    labels: tuple[str, ...]
    shape: tuple[int, ...]
    from_image: Callable[[Image.Image], Floats]
    from_rows: Callable[[object], Floats]
    model: Model
    metrics: Metrics

    def predict(self, image: bytes) -> Answer:
        """The answer to one uploaded image (PNG or JPEG), or its refusal, noted for the guard.

        Returned, not raised: BentoML calls this in a thread, and an exception that crosses from one
        thread to another keeps every frame it passed, with the image in it, until the collector comes.
        """
        try:
            pixels = self.from_image(decode(image))
        except Refused as refused:
            return Answer(b"", "", note(refused).status)
        except MemoryError:
            return Answer(b"", "", note(_no_memory()).status)
        return self.answer(self.probabilities(pixels[np.newaxis])[0])

    def read_instances(self, body: bytes) -> Floats | Refused:
        """A batch body as float32 [N, *shape], or why it is none. Returned for the same reason."""
        try:
            return parse(body, self.from_rows)
        except Refused as refused:
            return refused.bare()
        except MemoryError:
            return _no_memory()

    def probabilities(self, batch: Floats) -> Floats:
        """float32 [N, classes], each row summing to 1, for float32 [N, *shape]."""
        self.metrics.ran(len(batch))
        return self.model(batch)

    def _prediction(self, row: Floats, prediction_id: str) -> dict[str, Any]:
        # Checked here and not where a batch runs: one bad row must not fail its neighbours' requests.
        if not np.isfinite(row).all():
            raise note(Refused("the model's answer is not a number", code="serving.not_finite", status=500))
        label = self.labels[int(row.argmax())]
        self.metrics.predicted(label)
        values = dict(zip(self.labels, row.tolist(), strict=True))
        return {"label": label, "probabilities": values, "prediction_id": prediction_id}

    def answer(self, row: Floats) -> Answer:
        """The answer for one row of probabilities."""
        prediction_id = new_prediction_id()
        return self._named(self._prediction(row, prediction_id), prediction_id)

    def batch_answer(self, rows: Floats) -> Answer:
        """The answer for a batch: it has an id of its own, and each prediction in it `<id>.<n>`."""
        prediction_id = new_prediction_id()
        predictions = [self._prediction(row, f"{prediction_id}.{n}") for n, row in enumerate(rows)]
        return self._named({"predictions": predictions, "prediction_id": prediction_id}, prediction_id)

    def _named(self, body: dict[str, Any], prediction_id: str) -> Answer:
        who = {**self.identity.body(), "model": self.identity.model}
        return Answer(json.dumps({**body, **who}, separators=(",", ":")).encode(), prediction_id)


def _no_memory() -> Refused:
    return Refused("this request needs more memory than is left", code="serving.no_memory", status=413)


def warm_up(predictor: Predictor, batches: tuple[int, ...] = (1, 8)) -> None:
    """Run the model once for each batch size, on zeros.

    Raises IntegrityError: `serving.not_finite` for NaN or infinity, `serving.wrong_classes` when the
    answer does not match the labels.
    """
    for size in batches:
        rows = predictor.model(np.zeros((size, *predictor.shape), dtype=np.float32))
        if rows.shape != (size, len(predictor.labels)):
            raise IntegrityError(
                f"the model answers with shape {list(rows.shape)} for {size} instances, "
                f"labels.json names {len(predictor.labels)} classes",
                code="serving.wrong_classes",
                remedy="build the release again",
            )
        if not np.isfinite(rows).all():
            raise IntegrityError(
                "the model's answer to a warm-up on zeros is not finite",
                code="serving.not_finite",
                remedy="this release cannot serve; train it again",
            )


_running: list[Predictor] = []


def run(predictor: Predictor) -> None:
    """Make this the process's one predictor, for the service class that BentoML will make."""
    if _running:
        raise LockstepError(
            "this process serves a release already",
            code="serving.already_running",
            remedy="start another process for another release",
        )
    _running.append(predictor)


def running() -> Predictor:
    """The verified and warmed-up predictor of this process.

    Raises LockstepError `serving.not_started` in a process that `python -m lockstep.serving` did not start.
    """
    if not _running:
        raise LockstepError(
            "no release was verified in this process",
            code="serving.not_started",
            remedy="start services with `python -m lockstep.serving`",
        )
    return _running[0]
