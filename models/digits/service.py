"""The digits service: a class, its resources and its API."""

from __future__ import annotations

import bentoml
import numpy as np
from numpy.typing import NDArray

from lockstep.serving.api import (
    BATCHING,
    SETTINGS,
    Answer,
    ImageUpload,
    Instances,
    Prediction,
    Predictions,
    running,
)


@bentoml.service(name="digits", resources={"cpu": "1"}, **SETTINGS)
class Digits:
    def __init__(self) -> None:
        self.release = running()

    @bentoml.api(input_spec=ImageUpload, output_spec=Prediction)  # type: ignore[untyped-decorator]
    def predict(self, image: bytes) -> Answer:
        """One PNG or JPEG of a handwritten digit -> its label."""
        return self.release.predict(image)

    @bentoml.api(input_spec=Instances, output_spec=Predictions, **BATCHING)  # type: ignore[untyped-decorator]
    def predict_batch(self, instances: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [N, 1, 8, 8] in 0..1 -> probabilities [N, 10]."""
        return self.release.probabilities(instances)


SERVICE = Digits
