"""What a person sees while something takes long: a spinner with a clock on a terminal, else plain lines."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str], None]
HEARTBEAT_S = 30.0


def on_terminal() -> bool:
    return sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


@contextmanager
def step(title: str, say: Progress) -> Iterator[Progress]:
    """Show that `title` is under way until the block ends, then say how long it took.

    Yields a function that shows a detail on the terminal (and nothing elsewhere). Without a terminal
    a line comes at the start, every 30 seconds, and at the end.
    """
    start = time.monotonic()
    with _spinner(title) if on_terminal() else _heartbeat(title, say, start) as detail:
        yield detail
    say(f"{title}: done in {time.monotonic() - start:.1f} s")


@contextmanager
def _spinner(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def detail(text: str) -> None:
            bar.update(task, description=f"{title} [dim]{text[:60].replace('[', '(')}[/dim]")

        yield detail


@contextmanager
def _heartbeat(title: str, say: Progress, start: float) -> Iterator[Progress]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_S):
            say(f"{title}: {time.monotonic() - start:.0f} s so far")

    say(f"{title} ...")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield lambda text: None
    finally:
        ended.set()
        thread.join()
