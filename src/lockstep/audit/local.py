"""Where the audit log of a stack on this machine is, and the keys that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lockstep.audit.bucket import Bucket, unreachable
from lockstep.audit.folder import VersityFolder
from lockstep.audit.kept import kept_heads
from lockstep.audit.log import Log
from lockstep.audit.opened import OpenLog, keys_of_log, refuse_lost_log
from lockstep.audit.s3 import S3Bucket
from lockstep.audit.versity import REGION
from lockstep.canonical import canonical, parse
from lockstep.errors import IntegrityError
from lockstep.evidence.keys import LOCAL, Signer, load_trust
from lockstep.files import NoRegularFile, read_regular, write_atomic
from lockstep.paths import Paths, StackPaths, origin_of

BUCKET = "lockstep-audit"
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class BucketCredentials:
    """How to reach the bucket of a stack. endpoint: `http://127.0.0.1:port`."""

    endpoint: str
    access: str
    secret: str = field(repr=False)
    bucket: str = BUCKET
    region: str = REGION


def credentials_file(stack: StackPaths) -> Path:
    return stack.run / "audit.json"


def write_credentials(stack: StackPaths, credentials: BucketCredentials) -> None:
    """Write the file that only its owner can read, whole or not at all."""

    path = credentials_file(stack)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, canonical(asdict(credentials)), mode=0o600)


def read_credentials(stack: StackPaths) -> BucketCredentials | None:
    """What `write_credentials` wrote; None when it was never written.

    Raises IntegrityError `audit.credentials_malformed` for a file that is something else.
    """
    path = credentials_file(stack)
    try:
        value = parse(read_regular(path))
    except FileNotFoundError:
        return None
    except (IntegrityError, NoRegularFile):
        value = None
    names = {"endpoint", "access", "secret", "bucket", "region"}
    if (
        not isinstance(value, dict)
        or set(value) != names
        or not all(isinstance(one, str) for one in value.values())
    ):
        raise IntegrityError(
            f"{path.name} of this stack cannot be read",
            code="audit.credentials_malformed",
            remedy="remove it and run `./lockstep up`, which writes it again",
        )
    return BucketCredentials(**value)


def open_bucket(stack: StackPaths, *, write: bool, name: str | None = None) -> tuple[Bucket, bool] | None:
    """The stack's bucket, and whether its server answers; None when there is no log yet (no data folder).

    name: the bucket that the config names; None for the one that the stack has.

    To read, the folder will do when the server is down. Raises Unavailable `audit.bucket_unreachable` when
    writing needs a server that does not answer.
    """
    credentials = read_credentials(stack)
    name = name or (credentials.bucket if credentials else BUCKET)
    folder = VersityFolder(stack.bucket_data, stack.bucket_versions, name)
    if not folder.exists():
        _refuse_other_bucket(stack, name)
        return None
    if credentials is not None:
        served = S3Bucket(**asdict(credentials), timeout_s=TIMEOUT_S)
        if served.answers():
            return served, True
    if write:
        where = credentials.endpoint if credentials else folder.where
        raise unreachable(where, "versitygw is not running")
    return folder, False


def _refuse_other_bucket(stack: StackPaths, name: str) -> None:
    """Another name in the config must not make a log of many records look like none at all.

    Raises IntegrityError `audit.other_bucket` when the data folder holds a bucket of another name.
    """
    held = stack.bucket_data.iterdir() if stack.bucket_data.is_dir() else ()
    others = sorted(path.name for path in held if path.is_dir() and not path.name.startswith("."))
    if others:
        raise IntegrityError(
            f"this stack's records are in the bucket {', '.join(others)}, not in {name}",
            code="audit.other_bucket",
            remedy="put lockstep:audit.bucket back; a log is never begun a second time",
        )


def open_local(
    stack: str,
    paths: Paths,
    *,
    write: bool = False,
    environment: str = LOCAL,
    bucket: str | None = None,
) -> OpenLog | None:
    """The audit log of a stack on this machine; None when it has none yet ("log: absent").

    write: with the deployer's and the log's signing keys, through the running server only.
    Raises IntegrityError `audit.log_gone` when there is no log where a kept head says that there was one.
    """
    origin = origin_of(stack)
    kept = kept_heads(paths, stack, origin)
    found = open_bucket(paths.stack(stack), write=write, name=bucket)
    if found is None:
        refuse_lost_log(kept, "the bucket's data folder")
        return None
    opened, running = found
    trust = load_trust(paths.policies, environment)
    log_keys = keys_of_log(trust, origin)
    signers: Mapping[str, Signer] = {}
    if write:
        signers = {role: Signer.load(paths.keys / f"{role}.pem") for role in ("deployer", "log")}
    log = Log(opened, origin, signers.get("deployer"), signers.get("log"), trust, log_keys, kept=kept)
    return OpenLog(opened, log, origin, trust, log_keys, paths.history(stack), running)
