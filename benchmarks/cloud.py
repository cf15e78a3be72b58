"""Cloud: previews of staging with 1 to 20 regions, against an empty program; and what importing it costs.

The previews run on the real engine with the stand-ins, so the providers' part is the stand-ins' and not that
of the real ones: what is measured is how the whole grows. Time and the peak of resident memory are of all
processes together. The claims: growth is linear (the straight line explains 98 % of it), and the program's
import takes at most 1.15 times that of pulumi and the classes of resources that it uses.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from lockstep.deploy import Engine
from lockstep.paths import Paths, here
from lockstep.standin import project
from lockstep.standin.preview import preview
from lockstep.toolchain import Toolchain, ensure

REGIONS = (1, 3, 6, 10, 20)
IMPORTS = 9
IMPORT_CEILING, LINEAR = 1.15, 0.98
TYPE = "g4dn.xlarge"
"""Offered in more than twenty regions."""


@dataclass(frozen=True)
class Measured:
    """resources: how many; seconds: of the wall clock; mib: the peak of all processes together."""

    regions: int
    resources: int
    seconds: float
    mib: float


def main(out: Path | None = None) -> dict[str, Any]:
    """Run the benchmark (about five minutes); the result. With `out`, also out/cloud.json and .png."""
    toolchain = ensure(print)
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        root = Path(folder)
        empty = _empty(root / "empty", toolchain)
        previews = [_staging(root / str(count), count, toolchain) for count in REGIONS]
    times = [each.seconds for each in previews]
    slope, start = statistics.linear_regression(REGIONS, times)
    fit = statistics.correlation(REGIONS, times) ** 2
    ours, peer = _imports()
    result = {
        "empty": vars(empty),
        "previews": [vars(each) for each in previews],
        "ratio_at_three": round(previews[1].seconds / empty.seconds, 1),
        "seconds_a_region": round(slope, 2),
        "seconds_at_none": round(start, 2),
        "linear": round(fit, 4),
        "import_ratio": round(ours / peer, 3),
        "import_seconds": [round(ours, 3), round(peer, 3)],
        "claim": f"linear (at least {LINEAR}), import at most {IMPORT_CEILING}",
        "holds": fit >= LINEAR and ours / peer <= IMPORT_CEILING,
    }
    sys.stdout.write(_table(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "cloud.json").write_text(json.dumps(result, indent=1))
        _plot(result, out / "cloud.png")
    return result


def _staging(root: Path, count: int, toolchain: Toolchain) -> Measured:
    """Staging, with its file changed to so many regions."""
    from infra.aws.regions import is_offered, known

    source = here().root
    names = [name for name in known()[0] if is_offered(TYPE, name)][:count]
    root.mkdir()
    (root / "Pulumi.yaml").write_text(_with_absolute_paths(source))
    document = yaml.safe_load((source / "Pulumi.staging.yaml").read_text())
    config = document["config"]
    config["lockstep:regions"] = [
        {"name": name, "cidr": f"10.{16 + at}.0.0/16"} for at, name in enumerate(names)
    ]
    config["lockstep:models"] = {"digits": {name: _EMPTY for name in names}}
    config["lockstep:capacity"]["instance_types"] = [TYPE]
    config["lockstep:audit"]["replica"]["region"] = "eu-west-1" if names[0] != "eu-west-1" else "eu-west-2"
    (root / "Pulumi.staging.yaml").write_text(yaml.safe_dump(document))
    (root / "policies").symlink_to(source / "policies")
    paths = Paths(root=root, state=root / "state")
    (root / "state").mkdir()
    made: list[int] = []

    def run() -> None:
        shown = preview(paths, "staging", lambda: toolchain, lambda _: None)
        made.append(len(shown.plan.resources))

    seconds, mib = _watched(run)
    return Measured(count, made[0], round(seconds, 2), round(mib))


_EMPTY = {"blue": None, "green": None, "green_weight": 0}


def _with_absolute_paths(source: Path) -> str:
    document = yaml.safe_load((source / "Pulumi.yaml").read_text())
    document["main"] = str(source / document["main"])
    for plugin in document["plugins"]["providers"]:
        plugin["path"] = str(source / plugin["path"])
    return yaml.safe_dump(document)


def _empty(root: Path, toolchain: Toolchain) -> Measured:
    """A program that declares nothing, in the same kind of project."""
    (root / "program").mkdir(parents=True)
    (root / "program" / "__main__.py").write_text("import pulumi\n")
    made = project.make(here(), "staging", program=root / "program", folder=root / "project")
    engine = Engine(made.workspace, lambda: toolchain, lambda _: None, made.variables)
    engine.ensure_stack()
    seconds, mib = _watched(engine.plan)
    return Measured(0, 1, round(seconds, 2), round(mib))


def _watched(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and the peak of the resident memory of everything that was started, in MiB."""
    peak, ended = 0, threading.Event()

    def look() -> None:
        nonlocal peak
        own = psutil.Process()
        while not ended.wait(0.05):
            total = 0
            for child in own.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue  # it ended in between
            peak = max(peak, total)

    watcher = threading.Thread(target=look)
    watcher.start()
    started = time.perf_counter()
    try:
        run()
    finally:
        seconds = time.perf_counter() - started
        ended.set()
        watcher.join()
    return seconds, peak / (1 << 20)


CLASSES = re.compile(r"\b(aws|k8s|kubernetes|pulumi_aws)\.((?:[a-z0-9_]+\.)*[A-Z]\w+)\(")
PACKAGES = {"k8s": "kubernetes", "aws": "pulumi_aws"}


def _classes() -> str:
    """Code that imports pulumi and every class of a resource that the program declares, as it names them."""
    found = set()
    for file in (here().root / "infra" / "aws").glob("*.py"):
        for package, name in CLASSES.findall(file.read_text()):
            found.add(f"{PACKAGES.get(package, package)}.{name}")
    return "import pulumi, pulumi_aws, pulumi_kubernetes as kubernetes\n" + "\n".join(sorted(found))


def _imports() -> tuple[float, float]:
    """Seconds of processor time to import the program, and pulumi with the same classes alone; in turns."""
    classes = _classes()
    program = f"import infra.aws.target, infra.program\n{classes}"
    taken: dict[str, list[float]] = {program: [], classes: []}
    for turn in range(-1, IMPORTS):
        for code in list(taken)[:: 1 if turn % 2 else -1]:
            timed = f"{code}\nimport resource\nprint(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))"
            done = subprocess.run(
                [sys.executable, "-c", timed], cwd=here().root, capture_output=True, text=True, check=True
            )
            if turn >= 0:
                taken[code].append(float(done.stdout))
    return statistics.median(taken[program]), statistics.median(taken[classes])


def _table(result: dict[str, Any]) -> str:
    lines = ["preview of staging, by regions (an empty program first)"]
    for each in (result["empty"], *result["previews"]):
        lines.append(
            f"  {each['regions']:>3} regions  {each['resources']:>5} resources"
            f"  {each['seconds']:7.2f} s  {each['mib']:6.0f} MiB"
        )
    lines.append(f"  {result['seconds_a_region']} s a region; a line explains {result['linear']:.1%} of it")
    lines.append(
        f"  import of the program: {result['import_ratio']:.2f} times pulumi and its classes"
        f"   (claim: {result['claim']})"
    )
    return "\n".join(lines) + "\n"


def _plot(result: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    previews = result["previews"]
    figure, axes = pyplot.subplots(figsize=(6, 3.5))
    counts = [each["regions"] for each in previews]
    axes.plot(counts, [each["seconds"] for each in previews], "o", label="preview of staging")
    line = [result["seconds_at_none"] + result["seconds_a_region"] * count for count in (0, counts[-1])]
    axes.plot([0, counts[-1]], line, label=f"{result['seconds_a_region']} s a region")
    axes.plot([0], [result["empty"]["seconds"]], "x", label="an empty program")
    axes.set_xlabel("regions")
    axes.set_ylabel("seconds")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main(here().root / "benchmarks" / "results")
