"""The audit log of a stack on AWS: its bucket in the home region, and the keys in KMS that add to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lockstep.audit.kept import kept_heads
from lockstep.audit.log import Log
from lockstep.audit.opened import OpenLog, keys_of_log, refuse_lost_log
from lockstep.audit.s3 import S3Bucket
from lockstep.aws.credentials import Chain
from lockstep.aws.service import Service, endpoint_of
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
    signers: list[tuple[str, KmsKey, str]] = [(RECORDS, sealer, "deployer"), (HEADS, heads, "log")]
    strange = [each for each in signers if each[1].keyid not in trust.keys_of(each[2])]
    if strange:
        raise _untrusted(strange, trust)
    return sealer, heads


def _untrusted(strange: Sequence[tuple[str, KmsKey, str]], trust: Trust) -> UsageError:
    """What a key signs that nobody trusts would lie in the bucket for years: refused before the first. All
    keys at once, as lines that are JSON where the remedy says that they go."""
    from lockstep.evidence.pem import public_pem
    from lockstep.evidence.signer import as_line, person

    people = [
        as_line(f"kms-{noun}-{key.keyid[:8]}", person(role, key.keyid, public_pem(key.public)))
        for noun, key, role in strange
    ]
    lines = ",\n".join(people) + ("," if trust.people else "")
    named = " and ".join(f"{key.arn}, to sign as {role}" for _, key, role in strange)
    return UsageError(
        f"nobody in {trust.environment} has {named}",
        code="keys.untrusted",
        remedy="see that these are the keys of the stack, then have a person put the lines below right "
        f'after "{trust.environment}": {{ "people": {{ in policies/data/roles.json, in a change that others '
        f"review, and run it again\n{lines}",
    )
