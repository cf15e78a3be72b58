"""Become another program on a loopback of its own: `alone.py PROGRAM ARGS...`.

Nobody calls there but what that program starts, and there is no other network. What watches the ports of a
machine (editors, sandboxes) calls each new one and says nothing, which some servers wait for when they end:
Pulumi's engine up to two minutes, versitygw ten seconds. Only root is lent such a loopback; anybody else
shares that of the machine, and is told so.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
IFREQ = "16sH22x"


def leave() -> None:
    """Into a network namespace that has nothing in it. Raises OSError where the kernel does not let us."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def bring_up() -> None:
    """The loopback interface, as `ip link set lo up` does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        said = fcntl.ioctl(asking, SIOCGIFFLAGS, struct.pack(IFREQ, b"lo", 0))
        flags = struct.unpack(IFREQ, said)[1]
        fcntl.ioctl(asking, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", flags | IFF_UP))


def refusal() -> str:
    """Why there is no such loopback; empty where there is one. Tried in a child: there is no way back."""
    child = os.fork()
    if child == 0:
        number = errno.EIO
        try:
            leave()
            bring_up()
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname(), timeout=5).close()
            number = 0
        except OSError as error:
            number = error.errno or errno.EIO
        finally:
            os._exit(number)
    number = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if number < 0:
        return f"whoever asked was ended by signal {-number}"
    return os.strerror(number) if number else ""


if __name__ == "__main__":
    if why := refusal():
        sys.stderr.write(f"== on the machine's own loopback, beside others ({why})\n")
    else:
        leave()
        bring_up()
    os.execv(sys.argv[1], sys.argv[1:])
