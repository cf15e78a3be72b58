"""What the kernel says of a process of this user: its command, its state, its family, its sockets.

From /proc, because psutil takes longer to import than all of this takes to ask. Whoever is gone has
no command, no family and no sockets.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


def state(pid: int) -> str:
    """One letter: R running, S sleeping, T stopped by a signal, t traced, Z ended; empty when gone."""
    return next(iter(_stat(pid)), "")


def parent(pid: int) -> int:
    """0 for who has none, or is gone."""
    return int(next(iter(_stat(pid)[1:]), "0"))


def lives(pid: int) -> bool:
    return state(pid) not in ("", "Z", "X")


def command(pid: int) -> list[str]:
    return [os.fsdecode(word) for word in _zero_separated(pid, "cmdline")]


def environment(pid: int) -> dict[str, str]:
    """As the process was started with it."""
    pairs = (os.fsdecode(word).partition("=") for word in _zero_separated(pid, "environ"))
    return {name: value for name, _, value in pairs}


def family(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for member in found:
        for thread in _names(PROC / str(member) / "task"):
            try:
                below = (PROC / str(member) / "task" / thread / "children").read_text()
            except OSError:
                continue
            found += [int(child) for child in below.split()]
    return found


def started_with(name: str, value: str) -> list[int]:
    """This user's processes whose environment says `name=value`."""
    wanted = os.fsencode(f"{name}={value}")
    pids = [int(entry) for entry in _names(PROC) if entry.isdecimal()]
    return [pid for pid in pids if lives(pid) and wanted in _zero_separated(pid, "environ")]


def sockets(pids: list[int]) -> set[str]:
    """The inodes of the sockets that these processes hold."""
    found = set()
    for pid in pids:
        for number in _names(PROC / str(pid) / "fd"):
            try:
                target = os.readlink(PROC / str(pid) / "fd" / number)  # noqa: PTH115 - "socket:[n]" is no path
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found


def send(pid: int, number: int) -> None:
    """A signal to a process; to one that has ended by now, none. Nor to what is no process of ours, whatever
    a file says: to the kernel 0 is a group, -1 everybody."""
    if pid > 1:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _zero_separated(pid: int, name: str) -> list[bytes]:
    try:
        data = (PROC / str(pid) / name).read_bytes()
    except OSError:
        return []
    return data.removesuffix(b"\0").split(b"\0") if data else []


def _stat(pid: int) -> list[str]:
    """What the kernel says after the command's name: state, parent and on; empty when gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return []


def _names(folder: Path) -> Iterator[str]:
    try:
        yield from os.listdir(folder)  # noqa: PTH208 - names alone, some thousand times
    except OSError:
        return
