"""Serving: images per second and p99 through the service, against two peers in the same run.

plain        the same BentoML service without release check, ids and metrics (peers/plain_service.py),
             otherwise as BentoML comes
untraced     that, without BentoML's spans: our service leaves them out too, as nothing exports them
in-process   the same preprocessing and model called in a loop, without HTTP

Both services run in the release's own environment, one at a time, in turns that change their order,
so that what else the machine does falls on both. Each is driven by CLIENTS connections that are kept
alive and always busy. The claim: at least 0.95 of the plain service's images per second.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.load import CLIENTS, Latencies, cpu_seconds, drive, free_port, resident, run
from lockstep.evidence.signer import Signer
from lockstep.local import environments
from lockstep.paths import cache
from lockstep.release.build import build
from lockstep.serving.images import decode
from lockstep.serving.runtimes import OnnxModel
from lockstep.stores import open_store
from models.digits.dataset import held_out_png

ROOT = Path(__file__).resolve().parents[1]
FLOOR = 0.95
ROUNDS = 20
TURN_S = 0.75
IMAGES = 50


Side = Callable[[], tuple[float, Latencies]]
"""One turn: images per second, and the latency of each image."""


def main(out: Path | None = None) -> dict[str, Any]:
    """Measure, write the table to stdout and, with `out`, also out/serve.json and out/serve.png."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        document = _measure(Path(folder))
    sys.stdout.write(table(document))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _plot(document, out / "serve.png")
        (out / "serve.json").write_text(json.dumps(document, indent=2) + "\n")
    return document


def _measure(folder: Path) -> dict[str, Any]:
    store = open_store(f"file://{folder / 'store'}")
    # The evidence is thrown away with the store, so its key may be anyone's.
    built = build(ROOT / "models" / "digits", "better", store, Signer.generate(), now="2026-01-01T00:00:00Z")
    bundle = store.materialize(built.digest, folder / "bundles")
    python = environments.ensure(
        (bundle / "serving.lock").read_bytes(),
        cache=cache() / "envs",
        uv=Path(sys.executable).parent / "uv",
        python=Path(sys.executable),
    )
    images = [held_out_png(index)[0] for index in range(IMAGES)]
    with (
        _service(python, bundle, built.digest, folder) as service,
        _plain(python, bundle, folder) as plain,
        _plain(python, bundle, folder, "--untraced") as untraced,
    ):
        running = {"service": service, "plain": plain, "untraced": untraced}
        sides: dict[str, Side] = {name: _driven(port, images) for name, (port, _) in running.items()}
        sides["in-process"] = _in_process(bundle, images)
        for measure in sides.values():  # caches, the allocator and the processor's clock
            measure()
        before = {name: cpu_seconds(pid) for name, (_, pid) in running.items()}
        rounds = [_round(sides, number) for number in range(ROUNDS)]
        spent = {name: cpu_seconds(pid) - before[name] for name, (_, pid) in running.items()}
        memory = {name: resident(pid) for name, (_, pid) in running.items()}
    return summary(rounds, memory, spent)


def _driven(port: int, images: Sequence[bytes]) -> Side:
    return lambda: drive(port, images, TURN_S)


def _round(sides: Mapping[str, Side], number: int) -> dict[str, tuple[float, Latencies]]:
    order = list(sides) if number % 2 == 0 else list(reversed(sides))
    return {name: sides[name]() for name in order}


def summary(
    rounds: Sequence[Mapping[str, tuple[float, Latencies]]],
    memory: Mapping[str, float],
    spent: Mapping[str, float],
) -> dict[str, Any]:
    """The document that is written: medians over the rounds; a ratio is taken within each round first."""
    names = list(rounds[0])
    document: dict[str, Any] = {"benchmark": "serve", "rounds": len(rounds), "clients": CLIENTS, "sides": {}}
    for name in sorted(names):
        pooled = sorted(itertools.chain.from_iterable(one[name][1] for one in rounds))
        document["sides"][name] = {
            "images_per_second": statistics.median(one[name][0] for one in rounds),
            "p50_ms": 1000 * pooled[len(pooled) // 2],
            "p99_ms": 1000 * pooled[int(len(pooled) * 0.99)],
            "images": len(pooled),
            "cpu_ms": 1000 * spent[name] / len(pooled) if name in spent else None,
            "resident_mib": memory.get(name),
        }
    document["ratios"] = {}
    for peer in ("plain", "untraced", "in-process"):
        ratios = sorted(one["service"][0] / one[peer][0] for one in rounds)
        document["ratios"][f"service/{peer}"] = {
            "median": statistics.median(ratios),
            "lowest": ratios[0],
            "highest": ratios[-1],
        }
    document["floor"] = FLOOR
    document["holds"] = document["ratios"]["service/plain"]["median"] >= FLOOR
    return document


def table(document: Mapping[str, Any]) -> str:
    """The document as lines for people."""
    lines = [f"{'serve':<12}{'images/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}{'resident':>11}"]
    for name, side in document["sides"].items():
        size = f"{side['resident_mib']:.0f} MiB" if side["resident_mib"] else ""
        cpu = f"{side['cpu_ms']:.2f}" if side["cpu_ms"] else ""
        lines.append(
            f"{name:<12}{side['images_per_second']:>10.0f}{side['p50_ms']:>9.2f}{side['p99_ms']:>9.2f}"
            f"{cpu:>9}{size:>11}"
        )
    for name, ratio in document["ratios"].items():
        lines.append(
            f"{name}: {ratio['median']:.3f} (rounds from {ratio['lowest']:.3f} to {ratio['highest']:.3f})"
        )
    verdict = "holds" if document["holds"] else "DOES NOT HOLD"
    lines.append(f"claim: service/plain at least {document['floor']}: {verdict}")
    return "\n".join(lines) + "\n"


def _in_process(bundle: Path, images: Sequence[bytes]) -> Side:
    spec = importlib.util.spec_from_file_location("bench_preprocess", bundle / "preprocess.py")
    assert spec is not None and spec.loader is not None
    preprocess = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(preprocess)
    model = OnnxModel((bundle / "model.onnx").read_bytes())

    def measure() -> tuple[float, Latencies]:
        latencies: Latencies = []
        started = time.perf_counter()
        for image in itertools.cycle(images):
            begun = time.perf_counter()
            if begun - started >= TURN_S / 2:
                return len(latencies) / (begun - started), latencies
            model(preprocess.from_image(decode(image))[None])
            latencies.append(time.perf_counter() - begun)
        raise AssertionError("no images")

    return measure


@contextlib.contextmanager
def _service(python: Path, bundle: Path, digest: str, folder: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    options = {"release": digest, "slot": "blue", "region": "bench", "model": "digits", "port": str(port)}
    launch = environments.launch(python, bundle, folder / "home", options)
    with run(launch.argv, launch.env, port, folder / "service.log") as pid:
        yield port, pid


@contextlib.contextmanager
def _plain(python: Path, bundle: Path, folder: Path, *options: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    peer = Path(__file__).parent / "peers" / "plain_service.py"
    command = (str(python), "-B", str(peer), "--bundle", str(bundle), "--port", str(port), *options)
    env = environments.launch(python, bundle, folder / "home", {}).env
    with run(command, env, port, folder / f"plain{'-'.join(options)}.log") as pid:
        yield port, pid


def _plot(document: Mapping[str, Any], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(document["sides"])
    figure, (rate, tail) = pyplot.subplots(1, 2, figsize=(8, 3))
    for axis, key, title in ((rate, "images_per_second", "images per second"), (tail, "p99_ms", "p99, ms")):
        axis.bar(
            names, [document["sides"][name][key] for name in names], color=["#bbb", "#999", "#1f6fb2", "#666"]
        )
        axis.set_title(title)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
