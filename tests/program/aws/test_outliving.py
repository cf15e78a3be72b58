"""What outlives a stack: the list by which it is found again, and what a run takes over of it."""

from __future__ import annotations

from typing import Any

import pytest

from infra.aws.audit import audit_bucket
from infra.aws.ground import Ground, ground
from infra.aws.outliving import ALIAS, BUCKET, outliving, tags_of
from infra.aws.region import region
from infra.aws.registry import registry
from infra.config import ADOPT, Settings
from tests.support import clouds
from tests.support.clouds import ACCOUNT, Recorder, declare, quiet_engine, stack

HOME, FAR = stack().regions[:2]
OTHER = "444455556666"
GET_ALIAS, GET_REPOSITORIES = "aws:kms/getAlias:getAlias", "aws:ecr/getRepositories:getRepositories"

__all__ = ["quiet_engine"]  # the fixture, where pytest finds it
pytestmark = pytest.mark.usefixtures("quiet_engine")


def declared(settings: Settings | None = None) -> Recorder:
    """The parts of the program that keep something."""

    def build() -> None:
        base: Ground = ground(settings or stack())
        registry(base)
        audit_bucket(base)
        for name in base.settings.regions:
            region(base, name, after=[])

    return declare(build)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every alias leads to a key, and the home region alone has images."""

    def alias(asked: dict[str, Any]) -> dict[str, Any]:
        key = f"arn:aws:kms:{asked['region']}:{ACCOUNT}:key/of-{asked['name'].removeprefix('alias/')}"
        return {"targetKeyArn": key, "name": asked["name"]}

    def repositories(asked: dict[str, Any]) -> dict[str, Any]:
        return {"names": ["lockstep-staging-models"] if asked["region"] == HOME else []}

    monkeypatch.setitem(clouds.ANSWERS, GET_ALIAS, alias)
    monkeypatch.setitem(clouds.ANSWERS, GET_REPOSITORIES, repositories)


def taken_over(made: Recorder) -> dict[str, str]:
    return {each.key: each.imported for each in made.registered.values() if each.imported}


@pytest.mark.parametrize("account", ["", OTHER])
def test_every_kept_bucket_and_alias_is_on_the_list_where_it_is(account: str) -> None:
    """One that is not would be made a second time, or stop the next stack at a name that is taken."""
    settings = stack(audit={"replica": {"bucket": "the-copy", "region": "eu-west-1", "account": account}})
    found = {(each.declared, each.region, each.name) for each in outliving(settings)}
    kept = {
        (each.key, each.inputs["region"], each.inputs["bucket" if each.type == BUCKET else "name"])
        for each in declared(settings).registered.values()
        if each.type in (BUCKET, ALIAS) and each.retained
    }
    unseen = {each for each in kept if account and each[0] == f"{ALIAS}::copy-alias"}
    assert found == kept - unseen


def test_every_bucket_has_the_tags_by_which_it_is_known_again() -> None:
    (provider,) = [each for each in declared().of("pulumi:providers:aws") if each.name == "aws"]
    assert str(tags_of(stack())["lockstep:environment"]) in provider.inputs["defaultTags"]


def test_a_run_that_is_told_nothing_takes_nothing_over() -> None:
    assert taken_over(declared()) == {}


@pytest.mark.usefixtures("left")
def test_a_region_takes_its_key_over_and_another_gets_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADOPT, f"key-{FAR}")
    assert taken_over(declared()) == {
        f"aws:kms/key:Key::key-{FAR}": f"of-lockstep-staging-{FAR}@{FAR}",
        f"{ALIAS}::key-{FAR}": f"alias/lockstep-staging-{FAR}@{FAR}",
    }


@pytest.mark.usefixtures("left")
def test_a_region_that_is_new_gets_a_repository_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADOPT, "registry")
    taken = taken_over(declared())
    assert taken[f"aws:ecr/repository:Repository::images-{HOME}"] == "lockstep-staging-models"
    assert f"aws:ecr/repository:Repository::images-{FAR}" not in taken
    assert taken[f"{BUCKET}::registry-bucket"] == "lockstep-releases-staging"
    assert f"{BUCKET}::audit-bucket" not in taken


@pytest.mark.usefixtures("left")
@pytest.mark.parametrize(
    "said", ["1", "records,registry," + ",".join(f"key-{each}" for each in stack().regions)]
)
def test_all_that_is_kept_is_taken_over_by_its_parts_or_by_one_word(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv(ADOPT, said)
    made = declared()
    kept = {each.key for each in made.registered.values() if each.retained and each.type.startswith("aws:")}
    new = {f"aws:ecr/repository:Repository::images-{each}" for each in stack().regions if each != HOME}
    others = {each for each in kept if "acm" in each or "route53" in each}
    assert set(taken_over(made)) == kept - new - others
