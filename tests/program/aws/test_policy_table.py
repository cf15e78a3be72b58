"""Who may do what on AWS, judged row by row: the policies as they are made, by the rules of IAM's evaluation.

The table is policies.txt. who: a role of CI; `admin`, who may do everything in the stack's account; `root`,
its root user; `foreign`, an administrator of another account; `made`, a role that CI made and gave every
right; a service; `copier`, the role that replicates (`+`: with every right). `far`: where the copy is in
another account. what: see `things`. with: what the request says, see `WORDS`. answer: `yes`, or `no` and the
statement that says so, where one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.aws.policies import buckets, keys, roles, trust
from infra.aws.policies.boundary import boundary
from infra.aws.policies.copying import copying
from infra.aws.policies.names import CI_ROLES, Account, Names
from infra.aws.policies.statements import (
    BOUNDARY,
    BUCKET,
    IDENTITY,
    KEY,
    TRUST,
    Statement,
    document,
)
from tests.support.iam import Answer, Policy, Principal, Resource, answer

OWN = Account("aws", "111122223333", "eu-central-1")
OTHER = Account("aws", "444455556666", "eu-west-1")
NAMES = Names(
    OWN, "staging", ("eu-central-1", "us-east-1"), "log", "log-copy", "eu-west-1", OWN, "releases", 90
)
FAR = Names(
    OWN, "staging", ("eu-central-1", "us-east-1"), "log", "far-copy", "eu-west-1", OTHER, "releases", 90
)
ISSUER, REPOSITORY = "token.actions.githubusercontent.com", "acme/vision"
ARNS = {
    noun: f"arn:aws:kms:{region}:{OWN.number}:key/{noun}"
    for noun, region in (
        (keys.RECORDS, "eu-central-1"),
        (keys.HEADS, "eu-central-1"),
        (keys.DATA, "eu-central-1"),
        (keys.COPY, "eu-west-1"),
    )
}
ALL: Policy = [{"Sid": "Everything", "Effect": "Allow", "Action": ["*"], "Resource": "*"}]

DOCUMENTS: dict[str, list[Statement]] = {
    "preview": roles.preview(NAMES, ARNS),
    "apply": roles.apply(NAMES, ARNS),
    "rollback": roles.rollback(NAMES, ARNS),
    "review": roles.review(NAMES, ARNS),
    "copier": roles.replication(NAMES, ARNS),
    "keeper": copying(OTHER, "far-copy"),
    "preview far": roles.preview(FAR, ARNS),
    "boundary": boundary(OWN),
    "audit bucket": buckets.audit(NAMES),
    "copy bucket": buckets.copy(NAMES),
    "far copy bucket": buckets.copy(FAR),
    "trail bucket": buckets.trail(NAMES),
    "registry bucket": buckets.registry(NAMES),
    "state bucket": buckets.state(OWN.bucket(OWN.state_bucket)),
    "records key": keys.signing(OWN, keys.RECORDS),
    "heads key": keys.signing(OWN, keys.HEADS),
    "data key": keys.data(NAMES),
    "copy key": keys.copy(NAMES),
    "far copy key": keys.copy(FAR),
    "state key": keys.kept(OWN),
    "trust replication": trust.replication(NAMES),
    "trust keeper": trust.copying(OWN),
    **{
        f"trust {noun}": trust.workflow(OWN, ISSUER, trust.subjects(noun, "staging", REPOSITORY, "main"))
        for noun in CI_ROLES
    },
}
LIMITS = {
    **dict.fromkeys(CI_ROLES, IDENTITY),
    **dict.fromkeys(("copier", "keeper", "preview far"), IDENTITY),
    "boundary": BOUNDARY,
    **{name: BUCKET for name in DOCUMENTS if name.endswith("bucket")},
    **{name: KEY for name in DOCUMENTS if name.endswith("key")},
    **{name: TRUST for name in DOCUMENTS if name.startswith("trust")},
}

WORDS: dict[str, dict[str, Any]] = {
    "new": {"s3:if-none-match": "*"},
    "read-before": {"s3:if-match": "etag"},
    "part": {"s3:ObjectCreationOperation": "false"},
    "compliance": {"s3:object-lock-mode": "COMPLIANCE"},
    "governance": {"s3:object-lock-mode": "GOVERNANCE"},
    "http": {"aws:SecureTransport": "false"},
    "tls1.1": {"s3:TlsVersion": "1.1"},
    "sse": {"s3:x-amz-server-side-encryption": "aws:kms"},
    "sse-c": {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"},
    "ecdsa": {"kms:SigningAlgorithm": "ECDSA_SHA_256"},
    "ed25519": {"kms:SigningAlgorithm": "ED25519_SHA_512"},
    "prehashed": {"kms:SigningAlgorithm": "ED25519_PH_SHA_512"},
    "s3-home": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"},
    "s3-copy": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"},
    "state-alias": {"kms:ResourceAliases": ["alias/lockstep-state"]},
    "other-alias": {"kms:ResourceAliases": ["alias/payroll"]},
    "for-aws": {"kms:GrantIsForAWSResource": "true"},
    "bounded": {"iam:PermissionsBoundary": OWN.boundary},
    "to-eks": {"iam:PassedToService": "eks.amazonaws.com"},
    "to-lambda": {"iam:PassedToService": "lambda.amazonaws.com"},
    "for-eks": {"iam:AWSServiceName": "eks.amazonaws.com"},
    "for-lex": {"iam:AWSServiceName": "lex.amazonaws.com"},
    "home": {"aws:RequestedRegion": "eu-central-1"},
    "elsewhere": {"aws:RequestedRegion": "ap-south-1"},
    "own-trail": {
        "aws:SourceArn": f"arn:aws:cloudtrail:eu-central-1:{OWN.number}:trail/lockstep-staging",
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:PrincipalServiceName": "cloudtrail.amazonaws.com",
    },
    "other-trail": {
        "aws:SourceArn": f"arn:aws:cloudtrail:eu-central-1:{OTHER.number}:trail/lockstep-staging",
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:PrincipalServiceName": "cloudtrail.amazonaws.com",
    },
    "own-trail-no-acl": {
        "aws:SourceArn": f"arn:aws:cloudtrail:eu-central-1:{OWN.number}:trail/lockstep-staging",
        "aws:PrincipalServiceName": "cloudtrail.amazonaws.com",
    },
    "stolen-log": {"aws:SourceAccount": OTHER.number, "aws:SourceArn": OWN.bucket("log")},
    "own-log": {"aws:SourceAccount": OWN.number, "aws:SourceArn": OWN.bucket("log")},
    "other-log": {"aws:SourceAccount": OWN.number, "aws:SourceArn": OWN.bucket("other")},
    "for-aws-audience": {f"{ISSUER}:aud": "sts.amazonaws.com"},
    "other-audience": {f"{ISSUER}:aud": "https://example.com"},
    "pull-request": {f"{ISSUER}:sub": "repo:acme/vision:pull_request"},
    "main": {f"{ISSUER}:sub": "repo:acme/vision:ref:refs/heads/main"},
    "branch": {f"{ISSUER}:sub": "repo:acme/vision:ref:refs/heads/main2"},
    "fork": {f"{ISSUER}:sub": "repo:mallory/vision:ref:refs/heads/main"},
    "on-call": {f"{ISSUER}:sub": "repo:acme/vision:environment:staging-rollback"},
    "reviewing": {f"{ISSUER}:sub": "repo:acme/vision:environment:staging-review"},
}
WHOLE = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "s3:ObjectCreationOperation": "true"}

TABLE = Path(__file__).with_name("policies.txt").read_text()


@dataclass(frozen=True)
class Row:
    who: str
    action: str
    what: str
    words: tuple[str, ...]
    answer: str

    @property
    def context(self) -> dict[str, Any]:
        found = dict(WHOLE)
        for word in self.words:
            days = word.removesuffix("d")
            found |= {buckets.DAYS: days} if days.isdigit() else WORDS[word]
        return found


def rows() -> Iterator[Row]:
    for line in TABLE.splitlines()[1:]:
        if "|" in line:
            everybody, action, what, words, said = (cell.strip() for cell in line.split("|"))
            for who in everybody.split(", "):
                yield Row(who, action, what, tuple(words.split()), said)


ROWS = list(rows())


def principals(made: Mapping[str, list[Statement]]) -> dict[str, Principal]:
    bound = made["boundary"]
    far = {keys.COPY: f"arn:aws:kms:eu-west-1:{OTHER.number}:key/copy"}
    found = {role: Principal(NAMES.role(role), made[role], bound) for role in CI_ROLES}
    return {
        **found,
        "copier": Principal(NAMES.role("replication"), made["copier"]),
        "keeper": Principal(OTHER.copying, made["keeper"]),
        "preview far": Principal(NAMES.role("preview"), made["preview far"], bound),
        "review far": Principal(NAMES.role("review"), roles.review(FAR, {**ARNS, **far}), bound),
        "copier far": Principal(NAMES.role("replication"), roles.replication(FAR, {**ARNS, **far})),
        "copier far+": Principal(NAMES.role("replication"), ALL),
        "made": Principal(NAMES.role("nodes"), ALL, bound),
        "admin": Principal(OWN.iam("role/admin"), ALL),
        "admin far": Principal(OWN.iam("role/admin"), ALL),
        "foreign": Principal(OTHER.iam("role/admin"), ALL),
        "root": Principal(OWN.root, ALL),
        "far root": Principal(OTHER.root, ALL),
        "cloudtrail": Principal("cloudtrail.amazonaws.com", None),
        "s3": Principal("s3.amazonaws.com", None),
        "workflow": Principal(OWN.iam(f"oidc-provider/{ISSUER}"), None),
    }


def things(made: Mapping[str, list[Statement]]) -> dict[str, Resource]:
    def bucket(name: str, policy: str, owner: Account = OWN) -> Resource:
        return Resource(OWN.bucket(name), owner.number, made[policy] if policy else ())

    def inside(folder: Resource, key: str) -> Resource:
        return Resource(f"{folder.arn}/{key}", folder.account, folder.policy)

    def role(noun: str) -> Resource:
        return Resource(NAMES.role(noun), OWN.number, made.get(f"trust {noun}", ()))

    log, copy, far = (
        bucket("log", "audit bucket"),
        bucket("log-copy", "copy bucket"),
        bucket("far-copy", "far copy bucket", OTHER),
    )
    bare, trail = bucket("log", ""), bucket("log-trail", "trail bucket")
    registry, state = bucket("releases", "registry bucket"), bucket(OWN.state_bucket, "state bucket")
    own_keys = {f"{noun} key": Resource(arn, OWN.number, made[f"{noun} key"]) for noun, arn in ARNS.items()}
    state_key = f"arn:aws:kms:eu-central-1:{OWN.number}:key/state"
    cluster_key = f"arn:aws:kms:eu-central-1:{OWN.number}:key/cluster"
    far_key = f"arn:aws:kms:eu-west-1:{OTHER.number}:key/copy"
    delegated: Policy = [made["state key"][0]]
    return {
        "log": log,
        "record": inside(log, "record/0000000007"),
        "head": inside(log, "head/0000000008"),
        "tile": inside(log, "tile/0/000.p/8"),
        "junk": inside(log, "junk"),
        "bare log": bare,
        "bare record": inside(bare, "record/0000000007"),
        "bare junk": inside(bare, "junk"),
        "copy": copy,
        "copied record": inside(copy, "record/0000000007"),
        "far copy": far,
        "far record": inside(far, "record/0000000007"),
        "trail": trail,
        "trail object": inside(trail, f"AWSLogs/{OWN.number}/CloudTrail/eu-central-1/1.json.gz"),
        "trail junk": inside(trail, "junk"),
        "registry": registry,
        "release": inside(registry, "team/blobs/sha256/ab"),
        "index": inside(registry, "team/index.json"),
        "state bucket": state,
        "state": inside(state, ".pulumi/stacks/lockstep/staging.json"),
        **own_keys,
        "far copy key": Resource(far_key, OTHER.number, made["far copy key"]),
        "state key": Resource(state_key, OWN.number, made["state key"]),
        "new far copy": Resource(far.arn, OTHER.number),
        "far bucket": Resource(OTHER.bucket("payroll"), OTHER.number),
        "far trail": Resource(
            f"arn:aws:cloudtrail:eu-west-1:{OTHER.number}:trail/lockstep-staging", OTHER.number
        ),
        "far payroll trail": Resource(
            f"arn:aws:cloudtrail:eu-west-1:{OTHER.number}:trail/payroll", OTHER.number
        ),
        "cluster key": Resource(cluster_key, OWN.number, delegated),
        "own role": role("nodes"),
        "apply role": role("apply"),
        "preview role": role("preview"),
        "rollback role": role("rollback"),
        "review role": role("review"),
        "copier role": role("replication"),
        "keeper role": Resource(OTHER.copying, OTHER.number, made["trust keeper"]),
        "other role": Resource(OWN.iam("role/payroll"), OWN.number),
        "linked role": Resource(OWN.iam("role/aws-service-role/eks.amazonaws.com/Any"), OWN.number),
        "the boundary": Resource(OWN.boundary, OWN.number),
        "user": Resource(OWN.iam("user/mallory"), OWN.number),
        "issuer": Resource(OWN.iam(f"oidc-provider/{ISSUER}"), OWN.number),
        "anything": Resource("*", OWN.number),
        "anything far": Resource("*", OTHER.number),
    }


def judge(row: Row, made: Mapping[str, list[Statement]]) -> Answer:
    return answer(principals(made)[row.who], row.action, things(made)[row.what], row.context)


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row.who}-{row.action}-{row.what}-{'-'.join(row.words)}"
)
def test_the_table(row: Row) -> None:
    found = judge(row, DOCUMENTS)
    said, _, by = row.answer.partition(" ")
    assert ("yes" if found.allowed else "no") == said, found.by
    if not found.allowed:
        assert found.by == by


def weakened() -> Iterator[tuple[str, str, dict[str, list[Statement]]]]:
    """Each document without one statement, and without one condition of one. What lets the stack's account
    into a copy is needed only where the copy is in another."""
    for name, made in DOCUMENTS.items():
        if name in ("copy bucket", "copy key", "preview far"):
            continue
        for index, statement in enumerate(made):
            yield name, statement["Sid"], {**DOCUMENTS, name: made[:index] + made[index + 1 :]}
            for operator, wanted in statement.get("Condition", {}).items():
                for key in wanted:
                    changed = deepcopy(made)
                    del changed[index]["Condition"][operator][key]
                    yield name, f"{statement['Sid']} {operator} {key}", {**DOCUMENTS, name: changed}


def concerned(name: str) -> list[Row]:
    """The rows in which this document speaks."""
    who, what, said = principals(DOCUMENTS), things(DOCUMENTS), DOCUMENTS[name]
    return [
        row
        for row in ROWS
        if said is who[row.who].policy or said is who[row.who].boundary or said is what[row.what].policy
    ]


def verdicts(of: list[Row], made: Mapping[str, list[Statement]]) -> list[bool]:
    who, what = principals(made), things(made)
    return [answer(who[row.who], row.action, what[row.what], row.context).allowed for row in of]


def test_no_statement_and_no_condition_can_go_unnoticed() -> None:
    of = {name: concerned(name) for name in DOCUMENTS}
    whole = {name: verdicts(of[name], DOCUMENTS) for name in DOCUMENTS}
    unnoticed = [
        f"{name}: {what}" for name, what, made in weakened() if verdicts(of[name], made) == whole[name]
    ]
    assert unnoticed == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_policy_is_as_short_as_aws_wants_it(name: str) -> None:
    document(DOCUMENTS[name], LIMITS[name])


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name: NoGrants"):
        document([DOCUMENTS["state key"][2]] * 2, KEY)
