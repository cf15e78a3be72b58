"""Who listens on a port, asked both ways, against sockets of our own."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lockstep.local import listeners, procfs

Way = Callable[[int, int], Iterator[tuple[bytes, str]]]
WAYS: list[Way] = [listeners._asked, listeners._read]
HERE = ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0"]
ELSEWHERE = ["127.0.0.2", "::ffff:127.0.0.2"]


@contextmanager
def bound(address: str, *, listens: bool = True) -> Iterator[tuple[int, str]]:
    """A socket at this address: its port and inode."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as made:
        made.bind((address, 0))
        if listens:
            made.listen()
        yield made.getsockname()[1], str(os.fstat(made.fileno()).st_ino)


def seen(way: Way, port: int) -> set[str]:
    found = [each for family in listeners.TABLES for each in way(family, port)]
    return {inode for address, inode in found if listeners._is_loopback(address)}


@pytest.mark.parametrize("address", HERE)
@pytest.mark.parametrize("way", WAYS)
def test_who_takes_what_is_sent_to_loopback_is_found(way: Way, address: str) -> None:
    with bound(address) as (port, inode), bound(address):
        assert seen(way, port) == {inode}


@pytest.mark.parametrize("address", ELSEWHERE)
@pytest.mark.parametrize("way", WAYS)
def test_who_listens_elsewhere_takes_nothing(way: Way, address: str) -> None:
    with bound(address) as (port, _):
        assert seen(way, port) == set()


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_is_no_listener(way: Way) -> None:
    with bound("127.0.0.1") as (port, inode), socket.create_connection(("127.0.0.1", port)) as client:
        assert seen(way, port) == {inode}
        assert seen(way, client.getsockname()[1]) == set()
    with bound("127.0.0.1", listens=False) as (port, _):
        assert seen(way, port) == set()


def test_every_listener_on_a_port_is_found() -> None:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        other.bind(one.getsockname())
        for each in (one, other):
            each.listen()
        inodes = {str(os.fstat(each.fileno()).st_ino) for each in (one, other)}
        assert listeners.listening(one.getsockname()[1]) == inodes


def test_many_listeners_are_more_than_one_answer_of_the_kernel() -> None:
    """An answer holds some hundred sockets; a listener in a later one must not be missed."""
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind(("127.0.0.1", 0))
        at = first.getsockname()
        others = []
        try:
            for _ in range(400):
                others.append(socket.socket())
                others[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                others[-1].bind(at)
            for each in (first, *others):
                each.listen()
            assert len(listeners.listening(at[1])) == 401
        finally:
            for each in others:
                each.close()


def test_a_kernel_without_netlink_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "AF_NETLINK", socket.AF_UNIX)
    with bound("127.0.0.1") as (port, inode):
        assert listeners.listening(port) == {inode}


def test_one_process_alone_on_a_port() -> None:
    with bound("127.0.0.1") as (port, inode):
        assert inode in procfs.sockets([os.getpid()])
        assert listeners.alone_on(port, os.getpid())
        with subprocess.Popen(["sleep", "600"]) as stranger:
            assert not listeners.alone_on(port, stranger.pid)
            stranger.kill()
    assert not listeners.alone_on(port, os.getpid())
