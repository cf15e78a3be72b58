"""The held-out evaluation: what the ONNX model of a release says about images that training never saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnxruntime

from models.digits import dataset


@dataclass(frozen=True)
class Evaluation:
    """accuracy and per_class (label -> accuracy): 0 to 1, four decimals; images: how many were asked about.

    unusable: answers with a number that is not finite; each counts as wrong, so the metrics stay numbers.
    """

    accuracy: float
    per_class: dict[str, float]
    images: int
    unusable: int


def evaluate(model: bytes) -> Evaluation:
    """Ask the model, one core, in one batch, about every held-out image, preprocessed as in serving."""
    held_out = dataset.on_side("test")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {session.get_inputs()[0].name: dataset.inputs(held_out)})
    finite = np.isfinite(answers).all(axis=1)
    right: Counter[str] = Counter()
    for sample, answer, usable in zip(held_out, answers, finite, strict=True):
        # argmax takes the first NaN for the largest: such a row would pass as the digit 0
        right[sample.label] += bool(usable) and sample.label == str(int(answer.argmax()))
    total = Counter(sample.label for sample in held_out)
    return Evaluation(
        accuracy=round(sum(right.values()) / len(held_out), 4),
        per_class={label: round(right[label] / total[label], 4) for label in sorted(total)},
        images=len(held_out),
        unusable=int((~finite).sum()),
    )
