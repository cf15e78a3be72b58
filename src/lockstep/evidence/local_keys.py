"""The keys of one checkout: what the environment `local` signs with, and the file that trusts them."""

from __future__ import annotations

from pathlib import Path

from lockstep import canonical
from lockstep.evidence.signer import LOCAL, ROLES, Signer, person
from lockstep.files import write_atomic
from lockstep.lock import locked
from lockstep.paths import Paths


def ensure_local_keys(paths: Paths) -> None:
    """Make what the environment `local` signs with: a key for each role, and the file that trusts them.

    A key that is there is kept; the trust file is written again when it does not list exactly these keys.
    Private keys have mode 0600. Safe to call from two processes at once, and again after a kill.
    """
    paths.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.local_trust.parent.mkdir(parents=True, exist_ok=True)
    with locked(paths.keys / ".lock"):
        wanted = _trusting({role: _ensure_key(paths.keys / f"{role}.pem") for role in ROLES})
        if not paths.local_trust.is_file() or paths.local_trust.read_bytes() != wanted:
            write_atomic(paths.local_trust, wanted, mode=0o600)


def trusts_own_keys(paths: Paths) -> bool:
    """Whether the trust file lists exactly this checkout's keys; true where there are none yet."""
    files = {role: paths.keys / f"{role}.pem" for role in ROLES}
    if not all(file.is_file() for file in files.values()):
        return True
    wanted = _trusting({role: Signer.load(file) for role, file in files.items()})
    return paths.local_trust.is_file() and paths.local_trust.read_bytes() == wanted


def _trusting(signers: dict[str, Signer]) -> bytes:
    people = {
        f"{LOCAL}-{role}": person(role, signer.keyid, signer.public_pem) for role, signer in signers.items()
    }
    return canonical.canonical({"environment": LOCAL, "people": people})


def _ensure_key(path: Path) -> Signer:
    if not path.exists():
        write_atomic(path, Signer.generate().private_pem(), mode=0o600)
    return Signer.load(path)
