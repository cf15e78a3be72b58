"""The sample release: what an offline run shows in the slots, because releases are trained and differ.

A small, whole release in a store of its own, with a signed evaluation. Its digest is the same on every
machine. The key that signs for it is made on the spot and kept by nobody; its public half is named by the
folder's own trust file, which only an offline run reads (lockstep.standin.offline). So nothing outside ever
accepts what is said of the sample, and policies/data stays as it is.

    <folder>/store       an OCI image layout with the release and its evidence
    <folder>/trust.json  the one person who may vouch for it
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockstep import canonical
from lockstep.evidence import evaluation
from lockstep.evidence.signer import Signer, person
from lockstep.files import write_atomic
from lockstep.release import manifest
from lockstep.release.folder import FolderStore
from lockstep.table import Table, cells

if TYPE_CHECKING:
    from infra.config import Settings

TRUST = "trust.json"
PERSON = "offline-sample"
RUNTIMES = ("onnx", "torch", "tensorrt")
LOCK = "serving.lock"
IMAGE = "sample.invalid/lockstep/serving@sha256:"
FILES: Mapping[str, bytes] = {
    LOCK: b"# The sample release is shown and never served: nothing is installed for it.\n",
    "card.md": b"# Sample release\n\nStands in an offline preview where a trained release would.\n",
    "dataset.json": b'{"images":[]}',
    "labels.json": b'["sample"]',
    "model.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
}
"""No weights: a safetensors file whose header names none."""


@dataclass(frozen=True)
class Sample:
    """digest: of the release; lock: of the lock file that its image would be made from."""

    digest: str
    lock: str

    @property
    def image(self) -> str:
        """An image by digest that no registry has: `.invalid` is never a host."""
        return IMAGE + self.lock.removeprefix("sha256:")


def sample(folder: Path, model: str = "digits") -> Sample:
    """The sample release of one model, made anew in `folder`; see `samples`."""
    return samples(folder, [model])[model]


def samples(folder: Path, models: list[str]) -> dict[str, Sample]:
    """A sample release for each model. What was in the folder's store before is gone, and so is its key."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRUST).unlink(missing_ok=True)
    if (folder / "store").exists():
        shutil.rmtree(folder / "store")
    store, signer = FolderStore(folder / "store"), Signer.generate()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    made = {model: _put(store, model, signer, now) for model in sorted(models)}
    builder = person("builder", signer.keyid, signer.public_pem)
    write_atomic(folder / TRUST, canonical.canonical({"people": {PERSON: builder}}))
    return made


def _put(store: FolderStore, model: str, signer: Signer, now: str) -> Sample:
    name = f"{model}-sample"
    runtimes = dict.fromkeys(RUNTIMES, LOCK)
    config = canonical.canonical({"model": model, "name": name, "created": None, "runtimes": runtimes})
    blobs: dict[str, bytes | Path] = {canonical.digest(blob): blob for blob in (config, *FILES.values())}
    digest = store.put(manifest.release(model, name, config, FILES), blobs, created=now)
    metrics = evaluation.Metrics(accuracy=1.0, per_class={"sample": 1.0}, images=1)
    dataset = canonical.digest(FILES["dataset.json"])
    evaluation.attach(store, digest, metrics, dataset=dataset, signer=signer, time=now)
    return Sample(digest, canonical.digest(FILES[LOCK]))


def offline_table(table: Table, made: Mapping[str, Sample]) -> Table:
    """The declared places, each with its model's sample in blue and nothing in green."""
    result: Table = {}
    for model, region, _ in cells(table):
        cell = {"blue": made[model].digest, "green": None, "green_weight": 0}
        result.setdefault(model, {})[region] = cell
    return result


def offline_images(images: Mapping[str, str], made: Mapping[str, Sample]) -> dict[str, str]:
    """The declared images, and one for each sample's lock file."""
    return {**images, **{each.lock: each.image for each in made.values()}}


def offline_settings(settings: Settings, made: Mapping[str, Sample]) -> Settings:
    """The settings with the samples in place of the releases that no stack file can name for everybody."""
    cloud = settings.cloud
    if cloud is not None:
        cloud = replace(cloud, images=offline_images(cloud.images, made))
    return replace(settings, table=offline_table(settings.table, made), cloud=cloud)


def offline_config(settings: Settings, made: Mapping[str, Sample]) -> dict[str, Any]:
    """The same as keys of a stack's config, for the offline project (`project.make`)."""
    images = {} if settings.cloud is None else settings.cloud.images
    return {
        "lockstep:models": offline_table(settings.table, made),
        "lockstep:images": offline_images(images, made),
    }
