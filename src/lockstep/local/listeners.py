"""Who takes connections to a port on loopback, as the kernel says.

Asked over netlink (linux/inet_diag.h), which answers from the listening sockets alone, in a fifth of a
millisecond. /proc/net/tcp walks the kernel's whole table of connections for the same, some 25 ms for both
families, and is read only where the kernel gives no netlink.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from lockstep.local.procfs import family, sockets

LISTEN = 10
"""TCP_LISTEN, the state's number in the kernel."""
TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
_SOCK_DIAG, _BY_FAMILY, _REQUEST_DUMP, _ERROR, _DONE = 4, 20, 0x301, 2, 3
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBxxI")
_SOCKET = struct.Struct(">H46x")
"""The rest of what a question says of a socket: its port; any peer, interface and cookie."""
_ANSWER = struct.Struct("=4x2s2x16s44xI")
"""Of one socket: its port and address in the network's order, and its inode."""


def listening(port: int) -> set[str]:
    """The sockets, by inode, that take connections to this port on loopback."""
    try:
        found = [each for family in TABLES for each in _asked(family, port)]
    except OSError:
        found = [each for family in TABLES for each in _read(family, port)]
    return {inode for address, inode in found if _is_loopback(address)}


def alone_on(port: int, pid: int) -> bool:
    """Whether the process, or something below it, listens on this port, and nobody else does."""
    there = listening(port)
    return bool(there) and there <= sockets(family(pid))


def _is_loopback(address: bytes) -> bool:
    """Whether a socket there gets what is sent to 127.0.0.1 or ::1."""
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_unspecified or str(ip) in ("127.0.0.1", "::1")


def _asked(family: socket.AddressFamily, port: int) -> Iterator[tuple[bytes, str]]:
    """Address and inode of each socket that listens on the port. Raises OSError where there is no netlink."""
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 1 << LISTEN) + _SOCKET.pack(port)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + question)
        while True:
            for kind, body in _messages(kernel.recv(1 << 16)):
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "no answer about sockets")
                if kind == _DONE:
                    return
                at, address, inode = _ANSWER.unpack_from(body)
                if int.from_bytes(at) == port:
                    yield address[: 4 if family == socket.AF_INET else 16], str(inode)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        length, kind, *_ = _HEADER.unpack_from(data)
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _read(family: socket.AddressFamily, port: int) -> Iterator[tuple[bytes, str]]:
    """The same from /proc, where an address is printed as words in the machine's order."""
    try:
        lines = TABLES[family].read_text().splitlines()[1:]
    except OSError:
        return  # a kernel without this family
    for line in lines:
        words = line.split()
        address, _, at = words[1].rpartition(":")
        if int(at, 16) == port and int(words[3], 16) == LISTEN:
            hosts = struct.iter_unpack(">I", bytes.fromhex(address))
            yield b"".join(struct.pack("=I", host) for (host,) in hosts), words[9]
