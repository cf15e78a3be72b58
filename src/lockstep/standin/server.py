"""A stand-in's process: prints its port, serves the engine, and never outlives it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from lockstep.standin.provider import StandIn

MESSAGE_LIMIT = 400 * 1024 * 1024  # bytes; the engine's own limit
AT_ONCE = 32  # calls; the engine makes as many as its --parallel, four for each core
PARENT_POLL_S = 0.5


def serve(make: Callable[[], StandIn]) -> None:
    """Serve until the engine ends us, or is gone. make: the provider, made at the first call."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    threading.Thread(target=_watch_parent, args=(os.getppid(),), daemon=True).start()
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    from lockstep.standin.servicer import Servicer

    server = grpc.server(
        ThreadPoolExecutor(max_workers=AT_ONCE),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ("grpc.so_reuseport", 0),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(make), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


def _end(*_: object) -> None:
    """At once: what is remembered is written line by line, and the engine waits for us."""
    os._exit(0)


def _watch_parent(parent: int) -> None:
    """A killed engine tells nobody; its language host, our parent, dies with it."""
    wait = threading.Event().wait
    while os.getppid() == parent:
        wait(PARENT_POLL_S)
    _end()
