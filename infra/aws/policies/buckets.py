"""What the buckets themselves enforce, whoever asks: an administrator of the account, too.

The policies of the audit bucket, of its copy and of the trail are seals: they refuse to be changed. Only the
root user of the account can take one off, and that shows in the trail. So they name no role that a stack may
come to have later, and are put on last, over a bucket that is all set up.
"""

from __future__ import annotations

from infra.aws.policies.names import Names
from infra.aws.policies.statements import EVERYBODY, Statement, allow, deny
from lockstep.audit.bucket import COMPLIANCE
from lockstep.audit.layout import HEAD_PREFIX, RECORD_PREFIX, TILE_PREFIX

LOG_KEYS = tuple(f"{prefix}*" for prefix in (RECORD_PREFIX, HEAD_PREFIX, TILE_PREFIX))
MODE = "s3:object-lock-mode"
DAYS = "s3:object-lock-remaining-retention-days"
IF_NONE_MATCH, IF_MATCH = "s3:if-none-match", "s3:if-match"
CREATES = "s3:ObjectCreationOperation"
"""True for the requests that make an object: the whole of a small one, the last request of a large one."""
CLOUDTRAIL = "cloudtrail.amazonaws.com"

DELETES = (
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
)
UNSEALS = (
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
    "s3:PutObjectLegalHold",
    "s3:PutObjectVersionAcl",
    "s3:PutReplicationConfiguration",
    "s3:ReplicateDelete",
)
READS = ("s3:GetObject", "s3:GetObjectRetention", "s3:GetObjectVersion")
LISTS = (
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:ListBucket",
    "s3:ListBucketVersions",
)


def shortest(retention_days: int) -> int:
    """In days. S3 counts whole days that are left, so a lock made for 90 days has 89 the moment after."""
    return retention_days - 1


def longest(retention_days: int) -> int:
    """In days. Locks are renewed until the next midnight, a day later at most; a day more for clocks."""
    return retention_days + 2


def _tls(names: Names, bucket: str) -> list[Statement]:
    everything = [names.account.bucket(bucket), *names.objects(bucket)]
    return [
        deny("OnlyTls", ["s3:*"], everything, to=EVERYBODY, when={"Bool": {"aws:SecureTransport": "false"}}),
        deny(
            "OnlyTls12",
            ["s3:*"],
            everything,
            to=EVERYBODY,
            when={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ),
    ]


def _sealed(names: Names, bucket: str) -> list[Statement]:
    everything = [names.account.bucket(bucket), *names.objects(bucket)]
    return [
        deny("NobodyDeletes", DELETES, everything, to=EVERYBODY),
        deny("NobodyUnseals", UNSEALS, everything, to=EVERYBODY),
        *_tls(names, bucket),
    ]


def audit(names: Names) -> list[Statement]:
    """Objects of the log, each written once, locked in a mode that nobody can lift, for as long as the stack
    says, readable by whoever may read the bucket."""
    anything, puts, locks = (
        names.objects(names.audit),
        ["s3:PutObject"],
        ["s3:PutObject", "s3:PutObjectRetention"],
    )

    def unless(sid: str, actions: list[str], **when: dict[str, str]) -> Statement:
        return deny(sid, actions, anything, to=EVERYBODY, when=when)

    return [
        *_sealed(names, names.audit),
        deny("OnlyTheLog", locks, names.objects(names.audit, *LOG_KEYS), to=EVERYBODY, elsewhere=True),
        unless("OnlyNew", puts, Null={IF_NONE_MATCH: "true"}),
        unless("OnlyCompliance", locks, StringNotEquals={MODE: COMPLIANCE}),
        unless("OnlyDated", locks, Null={DAYS: "true"}),
        unless("NoShorter", locks, NumericLessThan={DAYS: str(shortest(names.retention_days))}),
        unless("NoLonger", locks, NumericGreaterThan={DAYS: str(longest(names.retention_days))}),
        # The bucket encrypts with its own key; under any other, its readers could not read.
        unless("NoOtherEncryption", puts, Null={"s3:x-amz-server-side-encryption": "false"}),
        unless(
            "NoKeyOfTheWriter", puts, Null={"s3:x-amz-server-side-encryption-customer-algorithm": "false"}
        ),
    ]


def copy(names: Names) -> list[Statement]:
    """Written by replication alone. A role is named by its ARN in a condition: as a principal, S3 would keep
    its internal id, and a role that is made anew would be locked out for ever."""
    anything, replicates = (
        names.objects(names.copy),
        ["s3:ObjectOwnerOverrideToBucketOwner", "s3:ReplicateObject"],
    )
    stack = {"AWS": names.account.root}
    role = {"aws:PrincipalArn": names.role("replication")}
    return [
        *_sealed(names, names.copy),
        deny("OnlyReplicas", ["s3:PutObject", "s3:PutObjectRetention"], anything, to=EVERYBODY),
        deny("OnlyByReplication", replicates, anything, to=EVERYBODY, when={"ArnNotEquals": role}),
        allow("Replicate", replicates, anything, to=stack),
        allow("Read", READS, anything, to=stack),
        allow("List", LISTS, [names.account.bucket(names.copy)], to=stack),
    ]


def trail(names: Names) -> list[Statement]:
    """Written by CloudTrail alone, on behalf of this stack's trails."""
    service = {"Service": CLOUDTRAIL}
    own = {"aws:SourceArn": names.trail_arns()}
    folders = [f"AWSLogs/{one.number}/*" for one in dict.fromkeys((names.account, names.copy_account))]
    return [
        *_sealed(names, names.trail),
        deny(
            "OnlyTheTrail",
            ["s3:PutObject", "s3:PutObjectRetention"],
            names.objects(names.trail),
            to=EVERYBODY,
            when={"StringNotEquals": {"aws:PrincipalServiceName": CLOUDTRAIL}},
        ),
        allow(
            "FindTheBucket",
            ["s3:GetBucketAcl"],
            [names.account.bucket(names.trail)],
            to=service,
            when={"StringEquals": own},
        ),
        allow(
            "WriteTheTrail",
            ["s3:PutObject"],
            names.objects(names.trail, *folders),
            to=service,
            when={"StringEquals": {**own, "s3:x-amz-acl": "bucket-owner-full-control"}},
        ),
    ]


def registry(names: Names) -> list[Statement]:
    """Releases: nothing is deleted, and nothing written over but the index, by who has read it."""
    indexes = names.objects(names.registry, "index.json", "*/index.json")
    everything = [names.account.bucket(names.registry), *names.objects(names.registry)]
    creates = {"Bool": {CREATES: "true"}}
    return [
        deny("NobodyDeletes", [*DELETES, "s3:PutBucketVersioning"], everything, to=EVERYBODY),
        *_tls(names, names.registry),
        deny(
            "OnlyNew",
            ["s3:PutObject"],
            indexes,
            to=EVERYBODY,
            when={"Null": {IF_NONE_MATCH: "true"}, **creates},
            elsewhere=True,
        ),
        deny(
            "OnlyReadBefore",
            ["s3:PutObject"],
            indexes,
            to=EVERYBODY,
            when={"Null": {IF_NONE_MATCH: "true", IF_MATCH: "true"}, **creates},
        ),
    ]


def state(arn: str) -> list[Statement]:
    """The engine's state: every version is kept. What the engine deletes is hidden, and can be had back."""
    everything = [arn, f"{arn}/*"]
    kept = ("s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteObjectVersion", "s3:PutBucketVersioning")
    return [
        deny("NobodyDeletesVersions", kept, everything, to=EVERYBODY),
        deny("OnlyTls", ["s3:*"], everything, to=EVERYBODY, when={"Bool": {"aws:SecureTransport": "false"}}),
        deny(
            "OnlyTls12",
            ["s3:*"],
            everything,
            to=EVERYBODY,
            when={"NumericLessThan": {"s3:TlsVersion": "1.2"}},
        ),
    ]
