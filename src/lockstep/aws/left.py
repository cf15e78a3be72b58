"""What a destroyed stack left in the account: looked for by name, and taken over only if it is the stack's.

    key      an alias that KMS knows in its region
    bucket   one that S3 shows to these credentials, in the account that the keys are in, with the tags of
             this project and environment

"Not there" is an answer, no answer is none: what cannot be told is refused, because whoever guesses makes a
second key, or writes the log into somebody else's bucket.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lockstep.audit import s3xml
from lockstep.audit.s3http import SILENCE, Answer, SignedHttp
from lockstep.aws.credentials import Chain
from lockstep.aws.kms import arn_of
from lockstep.aws.service import TIMEOUT_S, Service, endpoint_of
from lockstep.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from infra.aws.outliving import Outliving

AT_ONCE = 8
ACCOUNT = 4
"""Where an ARN has the account's number."""


@dataclass(frozen=True)
class Left:
    """parts: what a run must take over, as LOCKSTEP_ADOPT lists it; names: of the buckets among it."""

    parts: tuple[str, ...]
    names: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.parts)


def left_behind(
    things: Sequence[Outliving], state: Collection[str], *, tags: Mapping[str, str], account: str
) -> Left:
    """What is in the account and not in the engine's state. A state that has all of it costs no request.

    things: what outlives a stack; state: `type::name` of what the engine knows; tags: those of everything
    that the stack makes; account: its number, where config names it.

    Raises UsageError `adopt.foreign`, `adopt.incomplete`, `aws.key_unusable`, `aws.no_credentials`;
    Unavailable `aws.silent`; Refused.
    """
    unknown = [each for each in things if each.declared not in state]
    found = _found(unknown, tags, account)
    there = [each for each in unknown if each in found]
    parts = dict.fromkeys(each.part for each in there)
    missing = [each for each in unknown if each.part in parts and each not in there]
    if missing:
        raise _incomplete(there, missing)
    return Left(tuple(parts), tuple(each.name for each in there if each.key))


def _found(things: Sequence[Outliving], tags: Mapping[str, str], account: str) -> set[Outliving]:
    """Keys first: an alias is always of the account that asks, and says which one that is."""
    keys, buckets = [each for each in things if not each.key], [each for each in things if each.key]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        arns = dict(zip(keys, pool.map(_arn, keys), strict=True))
        own = account or next((arn.split(":")[ACCOUNT] for arn in arns.values() if arn), "")
        ours = list(pool.map(lambda each: _is_ours(each, tags, each.account or own), buckets))
    found = {each for each, arn in arns.items() if arn}
    return found | {each for each, mine in zip(buckets, ours, strict=True) if mine}


def _arn(key: Outliving) -> str:
    """Of the key behind the alias; empty where there is none."""
    return arn_of(Service("kms", key.region, Chain(key.region)), key.name) or ""


def _is_ours(bucket: Outliving, tags: Mapping[str, str], owner: str) -> bool:
    """False where there is no such bucket. Raises UsageError `adopt.foreign`, Unavailable `aws.silent`."""
    asked = {"x-amz-expected-bucket-owner": owner} if owner else {}
    http = SignedHttp(
        endpoint_of("s3", bucket.region), Chain(bucket.region), TIMEOUT_S, lambda: datetime.now(UTC)
    )
    seen = _ask(http, bucket, "HEAD", {}, asked)
    if seen.status == 404:
        return False
    where = seen.headers.get("x-amz-bucket-region") or bucket.region
    if where != bucket.region:
        raise _foreign(bucket, f"it is in {where}, not in {bucket.region}")
    if seen.status != 200:
        raise _foreign(bucket, f"S3 does not show it to these credentials (HTTP {seen.status})")
    if bucket.account:
        return True  # another account says whose it is, and shows its tags to nobody else
    said = _ask(http, bucket, "GET", {"tagging": ""}, asked)
    has = dict(_tags(said.body)) if said.status == 200 else {}
    if other := [key for key, value in tags.items() if has.get(key) != value]:
        raise _foreign(bucket, f"its tag {other[0]} is {has.get(other[0])!r}, not {tags[other[0]]!r}")
    return True


def _ask(
    http: SignedHttp, bucket: Outliving, method: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> Answer:
    try:
        answer = http.ask(method, f"/{bucket.name}", query, headers, b"")
    except SILENCE as error:
        raise _silent(bucket, str(error) or type(error).__name__) from None
    if answer.status >= 500:
        raise _silent(bucket, f"HTTP {answer.status}")
    return answer


def _tags(body: bytes) -> Iterator[tuple[str, str]]:
    for name, _, below in s3xml.parse(body)[2]:
        if name == "TagSet":
            yield from ((s3xml.child(tag, "Key"), s3xml.child(tag, "Value")) for tag in below)


def _silent(bucket: Outliving, why: str) -> Unavailable:
    return Unavailable(
        f"s3 in {bucket.region} does not say whether {bucket.name} is there: {why}",
        code="aws.silent",
        remedy="see whether this machine reaches it and AWS reports no trouble there, then run it again",
    )


def _foreign(bucket: Outliving, why: str) -> UsageError:
    return UsageError(
        f"there is a bucket {bucket.name}, and it is not this stack's: {why}",
        code="adopt.foreign",
        remedy=f"use the credentials of the account that has it, or put another name into {bucket.key}",
    )


def _incomplete(there: Sequence[Outliving], missing: Sequence[Outliving]) -> UsageError:
    left, gone = ([f"{each.name} ({each.region})" for each in some] for some in (there, missing))
    return UsageError(
        f"an earlier stack of this name left {', '.join(left)}; what goes with it is not there: "
        + ", ".join(gone),
        code="adopt.incomplete",
        remedy="name in the stack's file what was there; a bucket that an `up` left half made has no record "
        "and no seal: delete it by hand, then run it again",
    )
