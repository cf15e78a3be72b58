"""`audit`: what a record costs, alone and in a batch of one group commit, and what it costs to verify many.

Appends go to a real versitygw through the log's own writer; each is timed until a signed head covers it.
The log of 100,000 records is made by group commit in memory and laid into the server's folders, so that its
later appends meet the real server with the real number of objects. Verification reads those folders; its
peer is plain SHA-256 over the same record files in the same run.

The claim: an append at 100,000 records costs at most 1.5 times one at 10. What a process pays once, before
its first append, is measured apart: two listings, for each of which versitygw reads a whole folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lockstep.audit.about import MAX_BATCH
from lockstep.audit.layout import record_key, size_with
from lockstep.audit.log import Log
from lockstep.audit.record import draft
from lockstep.audit.verify import verify
from lockstep.errors import LockstepError
from lockstep.paths import here
from tests.support.audit import Writer
from tests.support.memory import MemoryBucket
from tests.support.versity import Server, versity

SIZES = (10, 1_000, 100_000)
CEILING = 1.5
ALONE = 300
BATCHES = 20
BATCH = 64
TURNS = 40
FRESH = 7
KEPT = timedelta(days=30)
Row = dict[str, Any]


def main(out: Path | None = None, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Run the benchmark (about five minutes); the result. With `out`, also out/audit.json and .png."""
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder, versity(Path(folder)) as server:
        writer = Writer(MemoryBucket())
        alone, batched = _alone(server, writer), _batched(server, writer)
        made = _make(writer, sizes)
        for size in sizes:
            _lay_out(writer.bucket, server, size)
        costs = _costs(server, writer, sizes)
        fresh = {size: _fresh(server, writer, size) for size in sizes}
        checked = _verification(server, writer, sizes[-1])
    medians = {size: statistics.median(costs[size]) for size in sizes}
    flat = medians[sizes[-1]] / medians[sizes[0]]
    result = {
        "alone": alone,
        "batched": batched,
        "append_ms": {str(size): round(value, 2) for size, value in medians.items()},
        "append_ratio": round(flat, 3),
        "first_append_ms": {str(size): round(value, 1) for size, value in fresh.items()},
        "made_by_group_commit": made,
        "verification": checked,
        "claim": f"an append at {sizes[-1]} records costs at most {CEILING} times one at {sizes[0]}",
        "holds": flat <= CEILING,
    }
    sys.stdout.write(_table(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "audit.json").write_text(json.dumps(result, indent=1))
        _plot(costs, out / "audit.png")
    return result


def _drafts(count: int) -> list[Row]:
    return [draft("history", claimed="bench", history_reason="nothing to list")] * count


def _log(bucket: Any, writer: Writer) -> Log:
    return Log(bucket, writer.origin, writer.deployer, writer.log_signer, writer.trust, writer.key)


def _append(log: Log, size: int, count: int = 1) -> float:
    """Append so many records under one head; milliseconds until it covers them."""
    drafts, now = _drafts(count), datetime.now(UTC)
    started = time.perf_counter()
    log.append_batch(drafts, expect_size=size, now=now, retention=KEPT)
    return (time.perf_counter() - started) * 1000


def _spread(times: list[float], records: int) -> Row:
    return {
        "records": records,
        "per_second": round(1000 * records / sum(times), 1),
        "covered_ms_p50": round(statistics.median(times), 2),
        "covered_ms_p99": round(statistics.quantiles(times, n=100, method="inclusive")[-1], 2),
    }


def _alone(server: Server, writer: Writer) -> Row:
    bucket = server.bucket("bench-alone")
    bucket.create()
    log = _log(bucket, writer)
    return _spread([_append(log, size) for size in range(ALONE)], ALONE)


def _batched(server: Server, writer: Writer) -> Row:
    """Every record of a batch is covered when the batch is."""
    bucket = server.bucket("bench-batched")
    bucket.create()
    log = _log(bucket, writer)
    times = [_append(log, number * BATCH, BATCH) for number in range(BATCHES)]
    return {"batch": BATCH, **_spread(times, BATCHES * BATCH)}


def _make(writer: Writer, sizes: tuple[int, ...]) -> Row:
    """One log, with a head at each of the sizes."""
    log, size = _log(writer.bucket, writer), 0
    started = time.perf_counter()
    for goal in sizes:
        while size < goal:
            count = min(MAX_BATCH, goal - size)
            _append(log, size, count)
            size += count
    seconds = time.perf_counter() - started
    return {"records": size, "seconds": round(seconds, 1), "per_second": round(size / seconds)}


def _name(size: int) -> str:
    return f"bench-{size}"


def _lay_out(bucket: Any, server: Server, size: int) -> None:
    """The log as it was at a size, as versitygw keeps it on disk."""
    server.bucket(_name(size)).create()
    until = (datetime.now(UTC) + KEPT).strftime("%Y-%m-%dT%H:%M:%SZ")
    lock = json.dumps({"Mode": "COMPLIANCE", "RetainUntilDate": until}).encode()
    for key, stored in bucket.objects.items():
        if (size_with(key) or 0) > size:
            continue
        path = server.data / _name(size) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored[0].data)
        os.setxattr(path, "user.version-id", f"01{stored[0].version_id:0>24}".upper().encode())
        os.setxattr(path, "user.object-retention", lock)


def _costs(server: Server, writer: Writer, sizes: tuple[int, ...]) -> dict[int, list[float]]:
    """Appends in turns, so that what else the machine does falls on each size."""
    logs = {size: _log(server.bucket(_name(size)), writer) for size in sizes}
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    for turn in range(-3, TURNS):  # the first turns warm up, and list the places that are free
        for size in list(sizes)[:: 1 if turn % 2 else -1]:
            took = _append(logs[size], size + turn + 3)
            if turn >= 0:
                costs[size].append(took)
    return costs


def _fresh(server: Server, writer: Writer, size: int) -> float:
    """A process's first append, from finding the newest head on; the median in milliseconds."""
    times = []
    for _ in range(FRESH):
        log = _log(server.bucket(_name(size)), writer)
        started = time.perf_counter()
        head = log.settle(now=datetime.now(UTC), retention=KEPT)
        _append(log, head.size)
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


def _verification(server: Server, writer: Writer, size: int) -> Row:
    folder = server.folder(_name(size))
    started = time.perf_counter()
    report = verify(folder, writer.origin, writer.trust, [writer.key], now=datetime.now(UTC))
    seconds = time.perf_counter() - started
    if not report.ok:
        raise LockstepError(f"the log does not verify: {report.problems[0]}", code="bench.verify")
    started, total = time.perf_counter(), 0
    for index in range(report.size):
        data = (server.data / _name(size) / record_key(index)).read_bytes()
        total += len(hashlib.sha256(data).digest()) and len(data)
    plain = time.perf_counter() - started
    return {
        "records": report.size,
        "bytes": total,
        "seconds": round(seconds, 1),
        "sha256_seconds": round(plain, 2),
        "ratio": round(seconds / plain, 1),
        "microseconds_a_record": round(1e6 * seconds / report.size),
    }


def _table(result: dict[str, Any]) -> str:
    alone, batched, checked = result["alone"], result["batched"], result["verification"]
    head = f"{'appends to versitygw':<34}{'a second':>12}{'p50':>12}{'p99':>12}"
    lines = [head]
    for name, row in (("one by one", alone), (f"in batches of {batched['batch']}", batched)):
        times = f"{row['covered_ms_p50']:>9.2f} ms{row['covered_ms_p99']:>9.2f} ms"
        lines.append(f"  {name:<32}{row['per_second']:>12}{times}")
    for size, value in result["append_ms"].items():
        first = result["first_append_ms"][size]
        lines.append(
            f"  at {size:>7} records {value:>8.2f} ms   a process's first, with the look {first:>8.1f} ms"
        )
    lines.append(f"  ratio {result['append_ratio']} (claim: {result['claim']})")
    made = result["made_by_group_commit"]
    lines.append(f"made by group commit, in memory: {made['records']} records, {made['per_second']} a second")
    lines.append("verified: {records} records, {bytes} bytes, in {seconds} s".format(**checked))
    lines.append("  plain SHA-256 of the same files {sha256_seconds} s: ratio {ratio}".format(**checked))
    return "\n".join([*lines, ""])


def _plot(costs: dict[int, list[float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.boxplot(list(costs.values()), tick_labels=[f"{size:,}" for size in costs], showfliers=False)
    axes.set(
        ylabel="milliseconds until covered", xlabel="records in the log", title="One append to versitygw"
    )
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3, axis="y")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    try:
        main(here().root / "benchmarks" / "results")
    except LockstepError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
