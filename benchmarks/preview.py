"""Preview: `pulumi preview` of a running stack with nothing changed, against an empty Pulumi program.

Both are run by the same engine and language host in the same environment, in turns that change their
order, so that what else the machine does falls on both. Python keeps its bytecode, as it does for users, also
where the benchmark's own environment says otherwise. The claim: at most 1.5 times.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError
from lockstep.paths import here
from tests.support.checkout import Checkout, copy_tree, free_base

CEILING = 1.5
ROUNDS = 11


def main(out: Path | None = None) -> dict[str, Any]:
    """Run the benchmark (two minutes or three); the result. With `out`, also out/preview.json and .png."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder:
        checkout = _checkout(Path(folder) / "checkout")
        try:
            checkout.run("up")
            variables = {**os.environ, **checkout.environment(), **checkout.json("env")["environment"]}
            variables.pop("PYTHONDONTWRITEBYTECODE", None)
            sides = {
                "lockstep": (checkout.root, variables),
                "empty": _empty(Path(folder) / "empty", variables),
            }
            seconds = _measure(sides)
            checkout.run("down", "--yes")
        finally:
            checkout.close()
    ratios = [ours / peer for ours, peer in zip(seconds["lockstep"], seconds["empty"], strict=True)]
    result = {
        "rounds": ROUNDS,
        "seconds": {side: round(statistics.median(each), 3) for side, each in seconds.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "claim": f"at most {CEILING}",
        "holds": statistics.median(ratios) <= CEILING,
    }
    sys.stdout.write(_table(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "preview.json").write_text(json.dumps(result, indent=1))
        _plot(seconds, out / "preview.png")
    return result


def _checkout(root: Path) -> Checkout:
    """A stack of its own, with the releases that this checkout built or fresh ones."""
    copy_tree(root)
    checkout = Checkout(root, free_base())
    example = root / "Pulumi.local.yaml.example"
    example.write_text(example.read_text() + f"  lockstep:port: {checkout.port}\n")
    return checkout


def _empty(root: Path, variables: dict[str, str]) -> tuple[Path, dict[str, str]]:
    """A project whose program does nothing, in a backend of its own."""
    (root / "program").mkdir(parents=True)
    (root / "backend").mkdir()
    (root / "program" / "__main__.py").write_text("import pulumi\n")
    (root / "Pulumi.yaml").write_text("name: empty\nruntime: python\nmain: program\n")
    own = {
        **variables,
        "PULUMI_BACKEND_URL": f"file://{root / 'backend'}?metadata=skip",
        "PULUMI_STACK": "empty",
    }
    _pulumi(root, own, "stack", "init", "empty")
    _pulumi(root, own, "up", "--yes", "--skip-preview")
    return root, own


def _pulumi(root: Path, variables: dict[str, str], *words: str) -> None:
    done = subprocess.run(
        ["pulumi", *words],
        cwd=root,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        executable=_which(variables),
    )
    if done.returncode != 0:
        raise LockstepError(
            f"pulumi {' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}",
            code="bench.engine",
            remedy="mend what it says and run the benchmark again",
        )


def _which(variables: dict[str, str]) -> str:
    return str(Path(variables["PATH"].split(os.pathsep)[0]) / "pulumi")


def _measure(sides: dict[str, tuple[Path, dict[str, str]]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(-1, ROUNDS):  # the first turn warms up
        for side in list(sides)[:: 1 if turn % 2 else -1]:
            root, variables = sides[side]
            started = time.perf_counter()
            _pulumi(root, variables, "preview", "--expect-no-changes")
            if turn >= 0:
                seconds[side].append(time.perf_counter() - started)
    return seconds


def _table(result: dict[str, Any]) -> str:
    low, high = result["ratio_range"]
    lines = [f"preview with nothing changed, median of {result['rounds']}"]
    lines += [f"  {side:<10} {each:6.2f} s" for side, each in result["seconds"].items()]
    lines.append(f"  ratio      {result['ratio']:6.2f}   ({low:.2f} to {high:.2f}; claim: {result['claim']})")
    return "\n".join(lines) + "\n"


def _plot(seconds: dict[str, list[float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3))
    axes.boxplot(list(seconds.values()), orientation="horizontal", tick_labels=list(seconds))
    axes.set_xlabel("seconds of `pulumi preview`, nothing changed")
    axes.set_xlim(left=0)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main(here().root / "benchmarks" / "results")
