"""Faults on demand, for tests: a call that fails, a region that does not answer.

`faults.json` in the state folder:

    {"fail": [{"type": "aws:eks/cluster:Cluster", "call": "update", "nth": 1, "code": "ServiceUnavailable"}],
     "unreachable": ["eu-central-1"]}

Calls are counted in each process, without previews; `nth` is 1 where it is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any

from lockstep.errors import LockstepError, Unavailable


class Faults:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._calls: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def strike(self, call: str, token: str, *, region: str = "", name: str = "") -> None:
        """Fail this call if the file says so. Raises LockstepError `standin.injected`, or Unavailable."""
        with self._lock:
            self._calls[call, token] += 1
            nth = self._calls[call, token]
        wanted = self._wanted()
        self.reach(region, f"{token} {name}: operation error {call}: ")
        for fault in wanted.get("fail", []):
            if (fault["type"], fault["call"], fault.get("nth", 1)) == (token, call, nth):
                raise LockstepError(
                    f"{token} {name}: {fault.get('message', 'the call was made to fail')}",
                    code=fault["code"],
                    remedy="run it again",
                )

    def reach(self, region: str, doing: str = "") -> None:
        """Raises Unavailable `RequestError` for a region that the file says does not answer."""
        if region and region in self._wanted().get("unreachable", []):
            raise Unavailable(
                f"{doing}request to {region} failed: could not connect to the endpoint of {region}",
                code="RequestError",
                remedy=f"see whether {region} answers; the other regions are not touched by this",
            )

    def _wanted(self) -> dict[str, Any]:
        try:
            wanted: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        return wanted
