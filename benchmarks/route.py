"""`route`: a hundred weight changes under steady keep-alive load, against `nginx -s reload`.

Both proxies stand before the same two backends, get the same changes at the same times from the same
driver, and are watched by the same client. Each change gives the answers a new `x-lockstep-intent`, so
an answer tells which weights it was routed by; a change is in force when the first answer with its
number arrives, and has settled when the last request that still got older weights was asked.

Envoy: `lockstep.local.gateway.set_route`, the call that `pulumi up` makes (file, rename, watched folder).
nginx: `split_clients` over a random id, the file replaced in the same way, then `nginx -s reload`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError, Unavailable, UsageError
from lockstep.local import admin, envoy, gateway
from lockstep.local.httproute import backend_name, http_route

CHANGES = 100
EVERY_S = 0.15
STEADY_S = 4.0
STEADY_WEIGHT = 5.0
TRAFFIC = Path(__file__).with_name("traffic.py")
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
Change = Callable[[int, float], None]


def main(out: Path | None = None) -> dict[str, Any]:
    """Run the benchmark (about a minute); the result. With `out`, also out/route.json and out/route.png.

    Raises UsageError `bench.peer_absent` where there is no nginx to compare with.
    """
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if nginx is None:
        raise UsageError("peer absent: nginx", code="bench.peer_absent", remedy="apt-get install nginx-light")
    version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr.split("/")[-1]
    with tempfile.TemporaryDirectory(prefix="lockstep-bench-") as folder, _backends() as ports:
        with _envoy(Path(folder) / "envoy", ports) as (port, change):
            ours = _measure(port, change)
        with _nginx(Path(folder) / "nginx", nginx, ports) as (port, change):
            peer = _measure(port, change)
    median = "in_force_ms_median"
    result = {
        "changes": CHANGES,
        "envoy": ours,
        "nginx": peer,
        "nginx_version": version.strip(),
        "in_force_ratio": round(peer[median] / ours[median], 1),
    }
    sys.stdout.write(_table(result))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "route.json").write_text(json.dumps(result, indent=1))
        _plot(result, out / "route.png")
    return result


def weight(number: int) -> float:
    """The green weight of a change: every size of step, in both directions."""
    return STEADY_WEIGHT if number >= CHANGES else number * 37 % 101


def _measure(port: int, change: Change) -> dict[str, Any]:
    """Drive one proxy through the changes, then let it run at the steady weight."""
    change(0, weight(0))
    load = subprocess.Popen(
        [sys.executable, str(TRAFFIC), "load", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    time.sleep(1)
    started = {}
    for number in range(1, CHANGES + 1):
        started[number] = time.monotonic()
        change(number, weight(number))
        time.sleep(max(0.0, started[number] + EVERY_S - time.monotonic()))
    time.sleep(STEADY_S)
    seen = json.loads(load.communicate(timeout=60)[0])
    return _figures(seen, started)


def _figures(seen: dict[str, Any], started: dict[int, float]) -> dict[str, Any]:
    answers = seen["answers"]
    in_force, settled = [], []
    for number, at in started.items():
        new = [answered for _, answered, intent, _ in answers if intent >= number]
        old = [asked for asked, _, intent, _ in answers if intent < number and asked >= at]
        in_force.append((min(new) - at) * 1000)
        settled.append((max(old, default=at) - at) * 1000)
    steady = [green for _, _, intent, green in answers if intent == CHANGES]
    declared = sum(weight(intent) for _, _, intent, _ in answers) / len(answers)
    return {
        "requests": len(answers) + len(seen["failures"]),
        "failed": len(seen["failures"]),
        "failures": sorted(set(seen["failures"])),
        "reconnects": seen["reconnects"],
        "in_force_ms": [round(value, 3) for value in in_force],
        "in_force_ms_median": round(statistics.median(in_force), 2),
        "in_force_ms_p95": round(statistics.quantiles(in_force, n=20)[-1], 2),
        "in_force_ms_max": round(max(in_force), 2),
        "settled_ms_median": round(statistics.median(settled), 2),
        "settled_ms_max": round(max(settled), 2),
        "declared_green_percent": round(declared, 3),
        "observed_green_percent": round(100 * sum(green for *_, green in answers) / len(answers), 3),
        "steady_requests": len(steady),
        "steady_declared_percent": STEADY_WEIGHT,
        "steady_observed_percent": round(100 * sum(steady) / len(steady), 3),
    }


@contextlib.contextmanager
def _backends() -> Iterator[list[int]]:
    process = subprocess.Popen(
        [sys.executable, str(TRAFFIC), "backend"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        _stop(process)


@contextlib.contextmanager
def _envoy(folder: Path, backends: list[int]) -> Iterator[tuple[int, Change]]:
    port, admin_port = _free_port(), _free_port()
    bootstrap = gateway.render_gateway(folder, name="bench", port=port, admin_port=admin_port)
    process = subprocess.Popen(envoy.gateway_argv(envoy.binary(), bootstrap))
    try:
        _await(lambda: admin.is_ready(admin_port), "Envoy")
        for slot, backend in zip(("blue", "green"), backends, strict=True):
            gateway.set_backend(folder, admin_port, backend_name("digits", "bench", slot), backend)

        def change(number: int, green: float) -> None:
            cell = {"blue": A, "green": B, "green_weight": green}
            gateway.set_route(folder, admin_port, http_route("digits", "bench", cell, intent=number))

        yield port, change
    finally:
        _stop(process)


@contextlib.contextmanager
def _nginx(folder: Path, program: str, backends: list[int]) -> Iterator[tuple[int, Change]]:
    port = _free_port()
    folder.mkdir(parents=True)
    config = folder / "nginx.conf"
    config.write_text(_nginx_config(folder, port, backends, 0, weight(0)))
    argv = [program, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    process = subprocess.Popen(argv)

    def change(number: int, green: float) -> None:
        gateway.write_atomic(config, _nginx_config(folder, port, backends, number, green).encode())
        subprocess.run([*argv, "-s", "reload"], check=True)

    try:
        _await(lambda: _accepts(port) and (folder / "pid").read_text().strip() != "", "nginx")
        yield port, change
    finally:
        _stop(process)


def _nginx_config(folder: Path, port: int, backends: list[int], number: int, green: float) -> str:
    share = f"{green:g}% green; * blue;" if 0 < green < 100 else f"* {'green' if green else 'blue'};"
    temporary = "".join(
        f"  {kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
{temporary}
  split_clients $request_id $slot {{ {share} }}
  upstream blue {{ server 127.0.0.1:{backends[0]}; keepalive 32; keepalive_requests 100000000; }}
  upstream green {{ server 127.0.0.1:{backends[1]}; keepalive 32; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://$slot; proxy_http_version 1.1; proxy_set_header Connection "";
      add_header x-lockstep-intent {number} always;
    }}
  }}
}}
"""


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(ready: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 20
    while not ready():
        if time.monotonic() > until:
            raise Unavailable(f"{what} did not start within 20 s", code="bench.not_ready")
        time.sleep(0.02)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    process.wait(20)


def _table(result: dict[str, Any]) -> str:
    rows = [
        ("failed requests", "{failed} of {requests}"),
        ("closed connections", "{reconnects}"),
        ("new weights in force, median", "{in_force_ms_median} ms"),
        ("new weights in force, 95 %", "{in_force_ms_p95} ms"),
        ("new weights in force, at most", "{in_force_ms_max} ms"),
        ("old weights last seen, median", "{settled_ms_median} ms"),
        ("old weights last seen, at most", "{settled_ms_max} ms"),
        ("green over all changes, declared", "{declared_green_percent} %"),
        ("green over all changes, observed", "{observed_green_percent} %"),
        ("green at rest, declared", "{steady_declared_percent} %"),
        ("green at rest, observed", "{steady_observed_percent} % of {steady_requests}"),
    ]
    lines = [f"{result['changes']:<34}{'Lockstep (Envoy)':>22}{'nginx -s reload':>22}"]
    lines[0] = f"{'weight changes: ' + str(result['changes']):<34}" + lines[0][34:]
    for name, form in rows:
        lines.append(f"{name:<34}{form.format(**result['envoy']):>22}{form.format(**result['nginx']):>22}")
    return "\n".join([*lines, f"in force: nginx takes {result['in_force_ratio']} times as long", ""])


def _plot(result: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, label, colour in (
        ("envoy", "Lockstep (Envoy)", "tab:green"),
        ("nginx", "nginx -s reload", "tab:gray"),
    ):
        times = sorted(result[name]["in_force_ms"])
        axes.step(times, [100 * (i + 1) / len(times) for i in range(len(times))], where="post",
                  color=colour, label=f"{label}: {result[name]['failed']} failed requests")  # fmt: skip
    axes.set(xscale="log", ylim=(0, 100), xlabel="milliseconds from the change to the first answer by it",
             ylabel="changes in force (%)",
             title=f"{result['changes']} weight changes under keep-alive load")  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    try:
        main(Path(__file__).with_name("results"))
    except LockstepError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
