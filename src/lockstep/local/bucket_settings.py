"""The audit bucket's own settings: what they are to be, which are otherwise, and putting them back.

Each record carries its lock itself, so a changed setting loosens nothing that is recorded; but a bucket
without versioning would let the next overwriting go unseen, and a policy could let others in.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lockstep.audit import s3xml
from lockstep.audit.bucket import unreachable
from lockstep.audit.s3http import SILENCE, Answer, SignedHttp
from lockstep.audit.sigv4 import Credentials
from lockstep.errors import Unavailable

TIMEOUT_S = 5.0
Request = tuple[str, str, str]
"""Method, sub-resource, body."""
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
VERSIONING = f"<VersioningConfiguration {NAMESPACE}><Status>Enabled</Status></VersioningConfiguration>"
LOCK = (
    f"<ObjectLockConfiguration {NAMESPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled>"
    "</ObjectLockConfiguration>"
)
OWNERSHIP = (
    f"<OwnershipControls {NAMESPACE}><Rule><ObjectOwnership>%s</ObjectOwnership></Rule></OwnershipControls>"
)


@dataclass(frozen=True)
class _Setting:
    """query: the sub-resource; is_right: judges the answer; mend: what to ask to put it back, in order."""

    query: str
    wrong: str
    is_right: Callable[[Answer], bool]
    mend: tuple[Request, ...]


def _says(name: str, value: str) -> Callable[[Answer], bool]:
    return lambda answer: answer.status == 200 and s3xml.child(s3xml.parse(answer.body), name) == value


def _absent(answer: Answer) -> bool:
    return answer.status == 404


def _locks_by_object(answer: Answer) -> bool:
    """Enabled, without a default: each record says its own retention."""
    return _says("ObjectLockEnabled", "Enabled")(answer) and b"<DefaultRetention>" not in answer.body


def _owner_enforced(answer: Answer) -> bool:
    return answer.status == 200 and b"<ObjectOwnership>BucketOwnerEnforced<" in answer.body


def _owner_alone(answer: Answer) -> bool:
    """The only grant is the owner's own."""
    people = re.findall(rb"<ID>([^<]*)</ID>", answer.body)
    return (
        answer.status == 200
        and answer.body.count(b"<Grant>") == 1
        and b"<Permission>FULL_CONTROL</Permission>" in answer.body
        and len(people) == 2
        and people[0] == people[1]
    )


_OWNER = ("PUT", "ownershipControls", OWNERSHIP % "BucketOwnerEnforced")
_WITH_LISTS = ("PUT", "ownershipControls", OWNERSHIP % "ObjectWriter")
"""An access list can be changed only while access lists count."""
SETTINGS = (
    _Setting(
        "versioning",
        "versioning is not enabled",
        _says("Status", "Enabled"),
        (("PUT", "versioning", VERSIONING),),
    ),
    _Setting(
        "object-lock",
        "object lock is not as it was made",
        _locks_by_object,
        (("PUT", "object-lock", LOCK),),
    ),
    _Setting("policy", "it has a bucket policy", _absent, (("DELETE", "policy", ""),)),
    _Setting(
        "acl", "its access list lets others in", _owner_alone, (_WITH_LISTS, ("PUT", "acl", ""), _OWNER)
    ),
    _Setting("ownershipControls", "others may own its objects", _owner_enforced, (_OWNER,)),
)


def wrong_settings(endpoint: str, bucket: str, access: str, secret: str, region: str) -> list[str]:
    """What is otherwise than it was made, in words. Raises Unavailable when the bucket does not answer."""
    ask = _asker(endpoint, bucket, access, secret, region)
    return [each.wrong for each in SETTINGS if not each.is_right(ask("GET", each.query, ""))]


def mend_settings(endpoint: str, bucket: str, access: str, secret: str, region: str) -> None:
    """Put back what is otherwise. Raises Unavailable `bucket.settings` for what the server keeps so."""
    ask = _asker(endpoint, bucket, access, secret, region)
    for each in SETTINGS:
        if not each.is_right(ask("GET", each.query, "")):
            for request in each.mend:
                ask(*request)
    left = wrong_settings(endpoint, bucket, access, secret, region)
    if left:
        raise Unavailable(
            f"the audit bucket's settings were changed and cannot be put back: {'; '.join(left)}",
            code="bucket.settings",
            remedy="take the records away with `./lockstep audit export`; see who can write to its folder",
        )


def _asker(
    endpoint: str, bucket: str, access: str, secret: str, region: str
) -> Callable[[str, str, str], Answer]:
    known = Credentials(access, secret, region)
    http = SignedHttp(endpoint, lambda: known, TIMEOUT_S, lambda: datetime.now(UTC))

    def ask(method: str, query: str, body: str) -> Answer:
        data = body.encode()
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        headers = {"content-md5": md5} if body else {"x-amz-acl": "private"} if method == "PUT" else {}
        try:
            return http.ask(method, f"/{bucket}", {query: ""}, headers, data)
        except SILENCE as error:
            raise unreachable(f"{endpoint}/{bucket}", str(error) or type(error).__name__) from None

    return ask
