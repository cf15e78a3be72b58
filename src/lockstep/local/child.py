"""Become another program that dies with its parent: `child.py [--env NAME=VALUE]... PROGRAM ARGS...`.

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
    words = sys.argv[1:]
    while words[0] == "--env":
        name, _, value = words[1].partition("=")
        os.environ[name] = value
        words = words[2:]
    os.execv(words[0], words)
