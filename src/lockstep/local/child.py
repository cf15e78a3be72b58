"""Become another program that dies with its parent: `python -S child.py PROGRAM ARGS...`.

Without it, a SIGKILLed supervisord leaves servers behind that hold their ports and that nobody owns;
the next `up` would meet them as strangers. Linux only (PR_SET_PDEATHSIG survives execve).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:  # the parent died before the call took hold
        sys.exit(1)
    os.execv(sys.argv[1], sys.argv[1:])
