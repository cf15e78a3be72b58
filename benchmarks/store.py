"""Store: put and get of 1 GB in a `file://` store, against plain copy, SHA-256 and fsync of the same files.

Both sides of a turn run in fresh processes, in turns that change their order, each on files that were written
to disk and then dropped from the page cache, so that both read from the disk and neither pays for the other's
writing. The claim: at most 1.15 times, and at most 256 MB of memory.

Without a claim: a second put of a bundle with 1 % of its bytes changed (a blob is stored anew when one byte
of it changes, so where the bytes lie decides), and put and get with versitygw on the same disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lockstep import canonical
from lockstep.errors import LockstepError
from lockstep.paths import here
from lockstep.release import bundle
from lockstep.stores import open_store

CEILING = 1.15
MEMORY_MB = 256
ROUNDS = 5
S3_ROUNDS = 2
MIB = 1 << 20
PIECE = 4 * MIB
SIZES = {"model.safetensors": 500 * MIB, "model.onnx": 440 * MIB} | {
    f"shards/{number:02}.bin": 5 * MIB for number in range(12)
}
"""A thousand MiB: two large blobs, and small ones."""
NOW = "2026-11-21T02:51:23.123456Z"


def main(out: Path | None = None) -> dict[str, Any]:
    """Run the benchmark (some minutes, 5 GB of disk); the result. With `out`, also store.json and .png."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-", dir=here().state) as name:
        folder = Path(name)
        _bundle(folder / "source")
        turns = [_round(folder, number) for number in range(-1, ROUNDS)][1:]  # the first one warms up
        changed = _changed(folder)
        remote = _remote(folder)
    result = summary(turns, changed, remote)
    sys.stdout.write(_table(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "store.json").write_text(json.dumps(result, indent=1))
        _plot(turns, out / "store.png")
    return result


def _bundle(source: Path) -> None:
    for title, size in SIZES.items():
        path = source / title
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))


# --- one turn, in a process of its own: python -m benchmarks.store SIDE SOURCE TARGET URL


def turn() -> None:
    side, source, target, url = sys.argv[1:]
    seconds = SIDES[side](Path(source), Path(target), url)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak * MIB / 1e6}))


def _plain(source: Path, target: Path, _: str) -> float:
    """Copy each file, hash the copy, sync it."""
    started = time.perf_counter()
    for title in SIZES:
        copy = target / title
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / title, copy)
        with copy.open("rb+") as file:
            hashlib.file_digest(file, "sha256")
            os.fsync(file.fileno())
    return time.perf_counter() - started


def _put(source: Path, _: Path, url: str) -> float:
    data, blobs = json.loads((source.parent / f"{source.name}.json").read_text()), {}
    for layer in data["layers"]:
        blobs[layer["digest"]] = source / layer["annotations"][bundle.TITLE]
    config = canonical.canonical({"created": None, "model": "bench", "name": "bench", "runtimes": []})
    store, manifest = open_store(url), canonical.canonical(data)
    started = time.perf_counter()
    store.put(manifest, {**blobs, canonical.digest(config): config}, created=NOW)
    return time.perf_counter() - started


def _get(source: Path, target: Path, url: str) -> float:
    data = canonical.canonical(json.loads((source.parent / f"{source.name}.json").read_text()))
    store = open_store(url)
    started = time.perf_counter()
    store.materialize(canonical.digest(data), target)
    return time.perf_counter() - started


SIDES: Mapping[str, Callable[[Path, Path, str], float]] = {"plain": _plain, "put": _put, "get": _get}


def _run(side: str, source: Path, target: Path, url: str = "") -> dict[str, float]:
    """One turn, with nothing of its files in memory and nothing left to be written."""
    _describe(source)
    os.sync()
    for path in source.parent.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.store", side, str(source), str(target), url],
        cwd=here().root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LockstepError(
            f"{side} failed:\n{done.stderr[-2000:]}", code="bench.turn", remedy="run it again"
        )
    value: dict[str, float] = json.loads(done.stdout)
    return value


def _describe(source: Path) -> None:
    """The bundle's manifest beside it, made once: hashing the sources is no part of either side."""
    beside = source.parent / f"{source.name}.json"
    if beside.exists():
        return
    layers = []
    for title in sorted(SIZES):
        with (source / title).open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        layers.append(
            {
                "mediaType": bundle.LAYER_TYPE,
                "digest": digest,
                "size": SIZES[title],
                "annotations": {bundle.TITLE: title},
            }
        )
    config = canonical.canonical({"created": None, "model": "bench", "name": "bench", "runtimes": []})
    manifest = {
        "schemaVersion": 2,
        "mediaType": bundle.MANIFEST_TYPE,
        "artifactType": bundle.RELEASE_TYPE,
        "annotations": {bundle.MODEL: "bench", bundle.NAME: "bench"},
        "config": {"mediaType": bundle.CONFIG_TYPE, "digest": canonical.digest(config), "size": len(config)},
        "layers": layers,
    }
    beside.write_text(json.dumps(manifest))


def _round(folder: Path, number: int) -> dict[str, dict[str, float]]:
    """Each side once; the peer runs before and after, so that what changes with time falls on both."""
    store, url = folder / "store", f"file://{folder}/store"
    turns: dict[str, dict[str, float]] = {}
    for side in ("put", "get"):
        order = [side, "plain"] if number % 2 else ["plain", side]
        for each in order:
            target = folder / f"target-{each}"
            turns[side if each == side else f"plain {side}"] = _run(each, folder / "source", target, url)
            if each != "put":
                shutil.rmtree(target)
    shutil.rmtree(store)
    return turns


def _changed(folder: Path) -> dict[str, Any]:
    """A second put after 1 % of the bytes changed: in small blobs of their own, and in a large one."""
    url = f"file://{folder}/store"
    first = _run("put", folder / "source", folder / "none", url)["seconds"]
    found: dict[str, Any] = {}
    for name, titles in (("in small blobs", ("shards/00.bin", "shards/01.bin")), ("in a large blob", None)):
        source = folder / f"changed {name}"
        shutil.copytree(folder / "source", source)
        for title in titles or ("model.safetensors",):
            with (source / title).open("rb+") as file:
                file.write(os.urandom(5 * MIB if titles else 10 * MIB))
        before = _used(folder / "store")
        seconds = _run("put", source, folder / "none", url)["seconds"]
        written = _used(folder / "store") - before
        found[name] = {
            "seconds": seconds,
            "of_first": seconds / first,
            "bytes_written": written,
            "of_bundle": written / sum(SIZES.values()),
        }
        shutil.rmtree(source)
    shutil.rmtree(folder / "store")
    return found


def _used(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def _remote(folder: Path) -> list[dict[str, dict[str, float]]]:
    from tests.support import stores
    from tests.support.versity import versity

    turns = []
    with versity(folder / "gateway") as server, stores.credentials(server):
        for number in range(S3_ROUNDS):
            stores.make_bucket(server, f"bench-{number}")
            url = f"s3://bench-{number}/x?endpoint={server.endpoint}"
            target = folder / "target"
            turns.append({side: _run(side, folder / "source", target, url) for side in ("put", "get")})
            shutil.rmtree(target)
            shutil.rmtree(server.data / f"bench-{number}")
    return turns


# --- what is said of it


def summary(
    turns: list[dict[str, dict[str, float]]],
    changed: dict[str, Any],
    remote: list[dict[str, dict[str, float]]],
) -> dict[str, Any]:
    """The document that is written: medians over the rounds; a ratio is taken within each round first."""
    result: dict[str, Any] = {"benchmark": "store", "rounds": len(turns), "bytes": sum(SIZES.values())}
    for side in ("put", "get"):
        ratios = [each[side]["seconds"] / each[f"plain {side}"]["seconds"] for each in turns]
        result[side] = {
            "seconds": statistics.median(each[side]["seconds"] for each in turns),
            "plain_seconds": statistics.median(each[f"plain {side}"]["seconds"] for each in turns),
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "peak_mb": max(each[side]["peak_mb"] for each in turns),
            "s3_seconds": statistics.median(each[side]["seconds"] for each in remote),
            "s3_peak_mb": max(each[side]["peak_mb"] for each in remote),
        }
    result["changed"] = changed
    result["claim"] = f"at most {CEILING} times and {MEMORY_MB} MB"
    result["holds"] = all(
        result[side]["ratio"] <= CEILING and result[side]["peak_mb"] <= MEMORY_MB for side in ("put", "get")
    )
    return result


def _table(result: Mapping[str, Any]) -> str:
    lines = [f"store: {result['bytes'] / 1e9:.2f} GB, median of {result['rounds']}; claim: {result['claim']}"]
    for side in ("put", "get"):
        each = result[side]
        low, high = each["ratio_range"]
        lines.append(
            f"  {side}  {each['seconds']:6.2f} s  plain {each['plain_seconds']:6.2f} s  "
            f"ratio {each['ratio']:.2f} ({low:.2f} to {high:.2f})  peak {each['peak_mb']:.0f} MB"
        )
    for name, each in result["changed"].items():
        lines.append(
            f"  second put, 1 % changed {name}: {each['of_first']:.2f} of the first put's time, "
            f"{each['of_bundle']:.1%} of the bytes written"
        )
    for side in ("put", "get"):
        each = result[side]
        lines.append(
            f"  {side}  s3 (versitygw): {each['s3_seconds']:.2f} s  peak {each['s3_peak_mb']:.0f} MB"
        )
    lines.append(f"claim: {'holds' if result['holds'] else 'DOES NOT HOLD'}")
    return "\n".join(lines) + "\n"


def _plot(turns: list[dict[str, dict[str, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = list(turns[0])
    figure, axes = pyplot.subplots(figsize=(6, 3))
    axes.boxplot(
        [[each[name]["seconds"] for each in turns] for name in names],
        orientation="horizontal",
        tick_labels=names,
    )
    axes.set_xlabel("seconds for 1 GB")
    axes.set_xlim(left=0)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    turn() if len(sys.argv) > 2 else main(here().root / "benchmarks" / "results")
