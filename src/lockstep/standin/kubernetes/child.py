"""Become another program that is killed with its parent: `child.py PROGRAM ARGS...`.

Killed and not asked to end: an API server whose etcd has gone at the same moment takes minutes to give up,
and nothing that it holds is needed. Linux only (PR_SET_PDEATHSIG survives execve).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # the parent died before the call took hold
        sys.exit(1)
    os.execv(sys.argv[1], sys.argv[1:])
