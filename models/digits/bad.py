"""Releases that must never get traffic, for tests and drills. `./lockstep release build` does not offer them.

shuffled   trained on labels in random order: a model that looks well and knows nothing
nan        weights that are not numbers: every answer is NaN
slow       a good model whose preprocessing sleeps for every image
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import torch

from models.digits import dataset, train

Variant: TypeAlias = Literal["shuffled", "nan", "slow"]
VARIANTS: tuple[str, ...] = get_args(Variant)
DELAY_S = 0.4

_SLOW = f'''

import time  # noqa: E402

_quick = from_image


def from_image(image: Image.Image) -> Pixels:  # noqa: F811
    """As before, only too late."""
    time.sleep({DELAY_S})
    return _quick(image)
'''


def train_bad(variant: str, progress: Callable[[str], None] = lambda _: None) -> train.TrainedModel:
    """Train a bad variant; as deterministic as the good ones."""
    recipe = train.RECIPES["plain"]
    chosen = dataset.on_side("train")
    labels = [int(sample.label) for sample in chosen]
    if variant == "shuffled":
        random.Random(recipe.seed).shuffle(labels)
    model = train.fit(variant, recipe, dataset.inputs(chosen), labels, progress)
    if variant == "nan":
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.fill_(float("nan"))
    return model


def preprocess_source(variant: str, source: bytes) -> bytes:
    """The text of preprocess.py that goes into a release of this variant."""
    return source + _SLOW.encode("utf-8") if variant == "slow" else source
