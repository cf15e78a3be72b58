"""A process that writes to a log from several threads, and says what was acknowledged to it.

Run as `python -m tests.support.writing FOLDER`. `job.json` in the folder says where the bucket is and what
to do; the keys lie beside it. Every acknowledged record becomes a line `index digest` in the file
`acknowledged-<pid>`, written before the next append begins.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lockstep.audit.bucket import LostRace
from lockstep.audit.record import draft
from lockstep.audit.s3 import S3Bucket
from lockstep.errors import LockstepError
from lockstep.evidence.keys import Signer
from tests.support.audit import RETENTION, Writer


def keys_in(folder: Path) -> tuple[Signer, Signer]:
    return Signer.load(folder / "deployer.pem"), Signer.load(folder / "log.pem")


class Job:
    """size: stop when the log has so many records; meeting: a port where all threads of all processes meet
    before each round, None to append as fast as they can."""

    def __init__(self, folder: Path) -> None:
        said: dict[str, Any] = json.loads((folder / "job.json").read_text())
        self._keys = keys_in(folder)
        self._bucket = S3Bucket(*said["bucket"])
        self._size = int(said["size"])
        self._meeting = said["meeting"]
        self._out = (folder / f"acknowledged-{os.getpid()}").open("ab", buffering=0)
        self._lock = threading.Lock()
        self.threads = int(said["threads"])

    def run(self) -> None:
        """One writer: its own log object, its own connection."""
        log = Writer(self._bucket, deployer=self._keys[0], log_signer=self._keys[1]).open()
        if self._meeting is None:
            while (size := log.head().size) < self._size:
                self._append(log, size)
            return
        with socket.create_connection(("127.0.0.1", self._meeting)) as meeting:
            for size in range(self._size):
                meeting.sendall(b"?")
                if meeting.recv(1) != b"!":
                    return
                self._append(log, size)

    def _append(self, log: Any, size: int) -> None:
        made = draft("history", claimed=f"{os.getpid()}/{threading.get_ident()}", history_reason="race")
        try:
            record = log.append(made, expect_size=size, now=datetime.now(UTC), retention=RETENTION)
        except LostRace:
            return
        with self._lock:
            self._out.write(f"{record.index} {record.digest}\n".encode())


def main(folder: Path) -> int:
    job = Job(folder)
    failed: list[str] = []

    def work() -> None:
        try:
            job.run()
        except LockstepError as error:
            failed.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(job.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(failed), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
