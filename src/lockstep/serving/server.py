"""One process, one listening socket: BentoML's application under uvicorn, without its supervisor.

`bentoml serve` adds an arbiter with sockets of its own and a worker for each service. Here the
process that the caller started is the worker, so there is nothing else to stop, and no second port.
"""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lockstep.errors import UsageError
from lockstep.serving.guard import App, Guard
from lockstep.serving.predictor import Predictor
from lockstep.serving.refusal import Refused
from lockstep.serving.wire import Wire

GRACE_SECONDS = 3
"""Time for requests under way to end after SIGTERM."""

EXIT_SECONDS = 4.5
"""After so long the process ends whatever still runs: callers wait five seconds."""

KEEP_ALIVE_SECONDS = 60
"""Longer than a gateway keeps an idle connection, so that it is never the service that closes one in use."""

PR_SET_PDEATHSIG = 1
LOOPBACK = "127.0.0.1"


def die_with_parent() -> None:
    """SIGTERM when the parent dies: a killed supervisor must not leave services that nobody owns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def limit_memory(most: int) -> None:
    """No more than `most` bytes of private memory: a request that needs more fails alone (Linux)."""
    if sys.platform == "linux":
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def bind(port: int, address: str = LOOPBACK) -> socket.socket:
    """A socket on loopback, not listening yet: clients are refused until the release is warm.

    address: another one of this host, for a pod, which its network policy shields. Raises UsageError
    `serving.port_in_use`.
    """
    # asyncio sets TCP_NODELAY only on sockets that say they are TCP; without it an answer waits 40 ms.
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((address, port))
    except OSError as error:
        server.close()
        raise UsageError(
            f"port {port} of {address} cannot be used: {error.strerror}",
            code="serving.port_in_use",
            remedy="stop what listens there, or choose another port",
        ) from None
    return server


def application(service: Any, predictor: Predictor) -> App:
    """BentoML's application for a service class, with /release and /metrics, behind the guard."""

    async def release(request: Request) -> Response:
        identity = predictor.identity
        return JSONResponse({**identity.body(), "model": identity.model, "ready": True})

    async def metrics(request: Request) -> Response:
        return Response(predictor.metrics.render(), media_type=predictor.metrics.content_type)

    service.mount_asgi_app(
        Starlette(routes=[Route("/release", release), Route("/metrics", metrics)]), path="/"
    )
    return Guard(service.to_asgi(is_main=True), predictor.identity, predictor.metrics)


class Server(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        deadline = threading.Timer(EXIT_SECONDS, os._exit, (1,))
        deadline.daemon = True
        deadline.start()
        super().handle_exit(sig, frame)


class _NoRefusals(logging.Filter):
    """Drops BentoML's traceback for a request that was refused: it is an answer, not a fault of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], Refused))


def serve(app: App, listener: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT, then end within EXIT_SECONDS. Returns when all is closed."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("bentoml._internal.server.http_app").addFilter(_NoRefusals())
    # uvicorn raises the signal again once it has closed; by then it has been obeyed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        app,
        http=Wire,
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
    )

    Server(config).run(sockets=[listener])
