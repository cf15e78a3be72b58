"""Gate: from the facts at hand to a decision, against a raw OPA query of the same input.

Both ask the same OPA process, one new connection on the same socket for each question, in turns that change
their order, so that what else the machine does falls on both. The raw query encodes the input, posts it and
decodes the answer, and believes it; ours is what a preview runs: the question checked against its schema, its
digest, the query with its deadline, and the answer read strictly. The claim: at most 1.3 times.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError
from lockstep.gate.decision import decide
from lockstep.gate.facts import checked
from lockstep.gate.opa import Opa, private_opa
from lockstep.gate.transport import Address
from lockstep.paths import here
from tests.support import gate_inputs
from tests.support import opa as pinned

CEILING = 1.3
ROUNDS = 400
RUNS = 5


def main(out: Path | None = None) -> dict[str, Any]:
    """Run the benchmark (some seconds); the result. With `out`, also out/gate.json and .png."""
    runs = []
    for _ in range(RUNS):  # a run has an OPA of its own, so that no one process is lucky
        with private_opa(pinned.POLICIES, "local", pinned.binary(), deadline_s=600) as running:
            runs.append(_measure(_sides(running)))
    ratios = [statistics.median(run["lockstep"]) / statistics.median(run["raw"]) for run in runs]
    seconds = {side: [each for run in runs for each in run[side]] for side in runs[0]}
    result = {
        "rounds": ROUNDS,
        "runs": RUNS,
        "milliseconds": {side: _spread(each) for side, each in seconds.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "claim": f"at most {CEILING}",
        "holds": statistics.median(ratios) <= CEILING,
    }
    sys.stdout.write(_table(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "gate.json").write_text(json.dumps(result, indent=1))
        _plot(seconds, out / "gate.png")
    return result


def _sides(running: Opa) -> dict[str, Callable[[], bool]]:
    """Each asks once and says whether the change is allowed."""
    question = gate_inputs.example() | {"bundle": {"revision": running.revision}}
    address = Address.parse(running.url)
    headers = {"Authorization": f"Bearer {running.token}", "Content-Type": "application/json"}

    def ours() -> bool:
        return decide(checked(question), opa=running).allow

    def raw() -> bool:
        with contextlib.closing(address.connection(5)) as connection:
            body = json.dumps({"input": question})
            connection.request("POST", "/v1/data/lockstep/decision", body, headers)
            return bool(json.loads(connection.getresponse().read())["result"]["allow"])

    return {"lockstep": ours, "raw": raw}


def _measure(sides: dict[str, Callable[[], bool]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(-ROUNDS // 10, ROUNDS):  # the first turns warm up
        for side in list(sides)[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            allowed = sides[side]()
            if turn >= 0:
                seconds[side].append(time.perf_counter() - started)
            if not allowed:
                raise LockstepError(
                    "the example was denied", code="bench.gate", remedy="./lockstep test names the rule"
                )
    return seconds


def _spread(seconds: list[float]) -> dict[str, float]:
    tenths = statistics.quantiles(seconds, n=10)
    return {
        name: round(1000 * each, 3)
        for name, each in (("p10", tenths[0]), ("p50", tenths[4]), ("p90", tenths[8]))
    }


def _table(result: dict[str, Any]) -> str:
    low, high = result["ratio_range"]
    lines = [f"gate, facts at hand to decision: medians of {result['runs']} runs of {result['rounds']}"]
    lines += [
        f"  {side:<10} {each['p50']:6.2f} ms  (p10 {each['p10']:.2f}, p90 {each['p90']:.2f})"
        for side, each in result["milliseconds"].items()
    ]
    lines.append(
        f"  ratio      {result['ratio']:6.2f}     ({low:.2f} to {high:.2f}; claim: {result['claim']})"
    )
    return "\n".join(lines) + "\n"


def _plot(seconds: dict[str, list[float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3))
    axes.boxplot(
        [[1000 * each for each in one] for one in seconds.values()],
        orientation="horizontal",
        tick_labels=list(seconds),
        showfliers=False,
    )
    axes.set_xlabel("milliseconds from facts to decision, same input, same OPA")
    axes.set_xlim(left=0)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main(here().root / "benchmarks" / "results")
