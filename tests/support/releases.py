"""Small releases without torch, the keys that their evidence needs, and ways to damage a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lockstep import canonical
from lockstep.evidence import evaluation
from lockstep.evidence.keys import Signer, Trust, ensure_local_keys, load_trust
from lockstep.paths import Paths
from lockstep.release import bundle, manifest
from lockstep.release.folder import FolderStore
from lockstep.release.store import Store

NOW = "2026-11-21T02:51:23.123456Z"
LATER = "2026-11-21T03:51:23.123456Z"
FILES: Mapping[str, bytes] = {
    "labels.json": b'["0","1"]',
    "model.onnx": b"not a model, only bytes",
    "model.safetensors": b"no weights either",
    "serving.lock": b"nothing is locked",
    "dataset.json": b'{"images":[]}',
    "lockstep/__init__.py": b"# a package\n",
    "lockstep/release/bundle.py": b"# what verifies\n",
}


@dataclass(frozen=True)
class Keys:
    """A checkout's keys in a folder of a test. paths: of that checkout."""

    paths: Paths
    trust: Trust

    def signer(self, role: str) -> Signer:
        return Signer.load(self.paths.keys / f"{role}.pem")


def local_keys(root: Path) -> Keys:
    """The keys that the first `up` makes, for a checkout at `root`."""
    paths = Paths(root=root, state=root / ".lockstep")
    ensure_local_keys(paths)
    return Keys(paths, load_trust(paths.policies, "local"))


def store_in(root: Path) -> FolderStore:
    return FolderStore(root / "store")


def contents(
    *, model: str = "digits", name: str = "digits-test", files: Mapping[str, bytes] | None = None
) -> tuple[bytes, dict[str, bytes | Path]]:
    """(manifest, blobs by digest) of a release made of `files` over FILES."""
    all_files = {**FILES, **(files or {})}
    config = canonical.canonical(
        {
            "model": model,
            "name": name,
            "created": None,
            "runtimes": {"onnx": "serving.lock", "torch": "serving-torch.lock"},
        }
    )
    data = manifest.release(model, name, config, all_files)
    return data, {canonical.digest(blob): blob for blob in (config, *all_files.values())}


def put(
    store: Store,
    *,
    model: str = "digits",
    name: str = "digits-test",
    files: Mapping[str, bytes] | None = None,
    created: str = NOW,
) -> str:
    """Put a small release; its digest. Other `files` or `name` give another digest."""
    data, blobs = contents(model=model, name=name, files=files)
    return store.put(data, blobs, created=created)


def evaluate(store: Store, digest: str, signer: Signer, *, accuracy: float = 0.97, time: str = NOW) -> str:
    """Attach a signed evaluation that says `accuracy`; the digest of the referrer."""
    metrics = evaluation.Metrics(accuracy, {"0": accuracy, "1": accuracy}, 360)
    dataset = store.manifest(digest).blob("dataset.json").digest
    return evaluation.attach(store, digest, metrics, dataset=dataset, signer=signer, time=time)


def blob_path(store: FolderStore, digest: str, title: str) -> Path:
    """Where a file of a release lies in the store; `manifest.json` is the manifest."""
    if title == bundle.MANIFEST_FILE:
        return path_of(store, digest)
    data = path_of(store, digest).read_bytes()
    return path_of(store, bundle.parse_manifest(data, digest).blob(title).digest)


def path_of(store: FolderStore, digest: str) -> Path:
    """Where the blob with this digest lies."""
    return store.root / "blobs" / "sha256" / digest.removeprefix("sha256:")


def flip_byte(store: FolderStore, digest: str, title: str, offset: int = 0) -> None:
    """Flip the lowest bit of one byte of a release's file, where it lies in the store."""
    flip(blob_path(store, digest, title), offset)


def flip(path: Path, offset: int = 0) -> None:
    """Flip the lowest bit of one byte of a file."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    overwrite(path, bytes(data))


def overwrite(path: Path, data: bytes) -> None:
    """Replace what a read-only file holds."""
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)
