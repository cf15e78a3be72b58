"""The audit log of a stack on AWS: its bucket in the home region, and the keys in KMS that add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockstep.audit.kept import kept_heads
from lockstep.audit.log import Log
from lockstep.audit.opened import OpenLog, keys_of_log, refuse_lost_log
from lockstep.audit.s3 import S3Bucket
from lockstep.aws.credentials import Chain
from lockstep.aws.service import Service, endpoint_of
from lockstep.canonical import canonical
from lockstep.errors import UsageError
from lockstep.evidence.keys import Trust, load_trust
from lockstep.evidence.signer import HeadSigner, Sealer
from lockstep.paths import Paths, origin_of

if TYPE_CHECKING:
    from lockstep.aws.kms import KmsKey


def open_aws(
    stack: str, paths: Paths, *, home: str, environment: str, bucket: str, write: bool
) -> OpenLog | None:
    """The log of a stack on AWS; None when its bucket is not there yet ("log: absent").

    write: with the keys in KMS, each of which policies/data must name.
    Raises UsageError `aws.no_credentials` (the first request is never sent), `aws.no_key`, `keys.untrusted`;
    Unavailable when S3 or KMS does not answer; IntegrityError `audit.log_gone`, `audit.no_object_lock`.
    """
    origin, credentials = origin_of(stack), Chain(home)
    kept = kept_heads(paths, stack, origin)
    held = S3Bucket(endpoint_of("s3", home), bucket, credentials=credentials)
    if not held.exists():
        refuse_lost_log(kept, f"the bucket {bucket}")
        return None
    trust = load_trust(paths.policies, environment)
    signers: tuple[Sealer | None, HeadSigner | None] = (None, None)
    if write:
        held.check()
        signers = _signers(Service("kms", home, credentials), trust)
    log_keys = keys_of_log(trust, origin)
    log = Log(held, origin, *signers, trust, log_keys, kept=kept)
    return OpenLog(held, log, origin, trust, log_keys, None, running=True)


def _signers(kms: Service, trust: Trust) -> tuple[Sealer, HeadSigner]:
    from lockstep.aws.kms import HEADS, RECORDS, KmsHeads, KmsSealer

    sealer = KmsSealer.find(kms, trust.environment, RECORDS)
    heads = KmsHeads.find(kms, trust.environment, HEADS)
    signers: list[tuple[KmsKey, str]] = [(sealer, "deployer"), (heads, "log")]
    for key, role in signers:
        _require_trusted(key, role, trust)
    return sealer, heads


def _require_trusted(key: KmsKey, role: str, trust: Trust) -> None:
    """What a key signs that nobody trusts would lie in the bucket for years: refuse before the first."""
    from lockstep.evidence.pem import public_pem

    if key.keyid in trust.keys_of(role):
        return
    person = canonical({"roles": [role], "keys": {key.keyid: public_pem(key.public)}}).decode()
    raise UsageError(
        f"nobody who is a {role} in {trust.environment} has the key {key.arn}",
        code="keys.untrusted",
        remedy=f"have a person put into policies/data/roles.json, in a change that others review: {person}",
    )
