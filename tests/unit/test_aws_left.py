"""What a destroyed stack left, as it is found: a real S3 server with tags, a strict KMS, and refusals."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.aws.outliving import outliving, tags_of
from lockstep.audit.s3http import SignedHttp
from lockstep.audit.sigv4 import Credentials
from lockstep.aws.left import Left, left_behind
from lockstep.aws.service import Refused
from lockstep.errors import LockstepError, Unavailable, UsageError
from tests.support import kms, s3_regions
from tests.support.clouds import stack
from tests.support.versity import Server, free_port, new_credentials

SETTINGS = stack()
THINGS = outliving(SETTINGS)
HOME = SETTINGS.home
LOG, TRAIL, COPY, REGISTRY = (each.name for each in THINGS if each.key)
KEYS = tuple(f"key-{region}" for region in SETTINGS.regions)


class Account:
    """kms, s3: what answers for it."""

    def __init__(self, keys: kms.FakeKms, s3: s3_regions.Regions) -> None:
        self.kms, self.s3 = keys, s3

    def bucket(self, name: str, tags: dict[str, str] | None = None) -> None:
        self.s3.server.bucket(name).create()
        given = tags_of(SETTINGS) if tags is None else tags
        if not given:
            return
        told = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in given.items())
        body = f"<Tagging><TagSet>{told}</TagSet></Tagging>".encode()
        who = Credentials(self.s3.server.access, self.s3.server.secret, self.s3.server.region)
        http = SignedHttp(self.s3.server.endpoint, lambda: who, 10, lambda: datetime.now(UTC))
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        answer = http.ask("PUT", f"/{name}", {"tagging": ""}, {"content-md5": md5}, body)
        assert answer.status in (200, 204), answer

    def alias(self, name: str, region: str) -> None:
        self.kms.make(name, "ECC_NIST_P256")
        self.kms.where[self.kms.aliases[name]] = region

    def leave_all(self, *, but: str = "") -> None:
        for each in THINGS:
            if each.name == but:
                continue
            if each.key:
                self.bucket(each.name)
            else:
                self.alias(each.name, each.region)

    def left(self, state: set[str] | None = None, account: str = "") -> Left:
        return left_behind(THINGS, state or set(), tags=tags_of(SETTINGS), account=account)

    def refusal(self, state: set[str] | None = None, account: str = "") -> LockstepError:
        with pytest.raises(LockstepError) as caught:
            self.left(state, account)
        return caught.value


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    access, secret = new_credentials()
    server = Server(tmp_path / "s3", free_port(), access, secret, region=HOME)
    server.start(bucket=None)
    regions = {COPY: next(each.region for each in THINGS if each.name == COPY)}
    try:
        with (
            kms.serving(kms.FakeKms(HOME, access, secret)) as keys,
            s3_regions.serving(s3_regions.Regions(server, kms.ACCOUNT, regions)) as s3,
        ):
            for name, value in {
                "AWS_ENDPOINT_URL_S3": s3.endpoint,
                "AWS_ENDPOINT_URL_KMS": keys.endpoint,
                "AWS_ACCESS_KEY_ID": access,
                "AWS_SECRET_ACCESS_KEY": secret,
            }.items():
                monkeypatch.setenv(name, value)
            monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
            yield Account(keys, s3)
    finally:
        server.stop()


def test_an_account_with_nothing_in_it_has_nothing_to_take_over(account: Account) -> None:
    assert not account.left()


def test_all_that_was_left_is_found(account: Account) -> None:
    account.leave_all()
    left = account.left()
    assert left.parts == ("records", "registry", *KEYS)
    assert left.names == (LOG, TRAIL, COPY, REGISTRY)


def test_what_the_engine_knows_is_not_asked_for(account: Account) -> None:
    account.leave_all()
    account.kms.asked.clear()
    account.s3.asked.clear()
    assert not account.left({each.declared for each in THINGS})
    assert account.kms.asked == account.s3.asked == []


def test_a_run_that_took_over_a_part_and_failed_goes_on_with_the_rest(account: Account) -> None:
    account.leave_all()
    state = {each.declared for each in THINGS if each.name in (LOG, REGISTRY)}
    assert account.left(state).parts == ("records", *KEYS)


def test_a_first_run_that_failed_half_way_goes_on_making(account: Account) -> None:
    """What it has made is in the state, and what is not there yet was never left."""
    account.bucket(LOG)
    account.alias("alias/lockstep-staging-records", HOME)
    state = {"aws:s3/bucket:Bucket::audit-bucket", "aws:kms/alias:Alias::records-alias"}
    assert not account.left(state)


def test_a_region_that_the_stack_has_not_had_before_gets_a_key_of_its_own(account: Account) -> None:
    new = SETTINGS.regions[-1]
    account.leave_all(but=f"alias/lockstep-staging-{new}")
    assert account.left().parts == ("records", "registry", *(key for key in KEYS if new not in key))


@pytest.mark.parametrize("gone", [COPY, TRAIL, "alias/lockstep-staging-heads"])
def test_records_are_taken_over_whole_or_not_at_all(account: Account, gone: str) -> None:
    account.leave_all(but=gone)
    error = account.refusal()
    assert (type(error), error.code) == (UsageError, "adopt.incomplete")
    assert gone in error.message.partition("is not there: ")[2]


@pytest.mark.parametrize(
    "tags", [{}, {"lockstep:project": "lockstep", "lockstep:environment": "prod"}, {"Name": "mine"}]
)
def test_a_bucket_without_this_stacks_tags_is_somebody_elses(account: Account, tags: dict[str, str]) -> None:
    account.leave_all(but=LOG)
    account.bucket(LOG, tags)
    error = account.refusal()
    assert (type(error), error.code) == (UsageError, "adopt.foreign")
    assert f"there is a bucket {LOG}" in error.message
    assert "lockstep:audit.bucket" in error.remedy


def test_a_bucket_of_another_account_is_not_written_to_whatever_its_tags(account: Account) -> None:
    """The account is the one that the keys are in, where config names none."""
    account.leave_all()
    account.s3.account = "999988887777"
    assert account.refusal().code == "adopt.foreign"
    account.s3.account = kms.ACCOUNT
    assert account.refusal(account="999988887777").code == "adopt.foreign"


def test_a_bucket_in_another_region_is_not_the_one(account: Account) -> None:
    account.leave_all()
    account.s3.regions[COPY] = "us-west-2"
    error = account.refusal()
    assert error.code == "adopt.foreign"
    assert "it is in us-west-2, not in eu-west-1" in error.message


def test_a_key_that_is_to_be_deleted_is_not_built_on(account: Account) -> None:
    account.leave_all()
    alias = f"alias/lockstep-staging-{HOME}"
    account.kms.states[account.kms.aliases[alias]] = "PendingDeletion"
    error = account.refusal()
    assert (type(error), error.code) == (UsageError, "aws.key_unusable")
    assert f"{alias} in {HOME} is PendingDeletion" in error.message


def test_a_silent_s3_is_no_answer(account: Account) -> None:
    account.leave_all()
    account.s3.server.stop()
    error = account.refusal()
    assert (type(error), error.code) == (Unavailable, "aws.silent")


def test_a_kms_that_says_neither_yes_nor_no_is_no_answer(account: Account) -> None:
    account.leave_all()
    account.kms.faults = [(400, "AccessDeniedException")] * len(THINGS)
    assert isinstance(account.refusal(), Refused)
    account.kms.faults = [(500, "")] * len(THINGS)
    assert account.refusal().code == "aws.silent"
