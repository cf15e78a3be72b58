"""The ground with what all regions share: the registry, and which image belongs to which lock file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra.aws.ground import Ground, ground
from infra.aws.plan_rules import require
from infra.aws.registry import IMAGES, Registry, registry
from infra.config import Settings
from lockstep.errors import UsageError

ECR = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\."
    r"(?P<rest>[a-z.]+/(?P<repository>[^@:]+)(:[^@]+)?@.+)"
)


@dataclass(frozen=True)
class Estate(Ground):
    """registry: where releases and images lie."""

    registry: Registry

    @property
    def store(self) -> str:
        """URL of the release store, for the gate, the warrants and the pods alike."""
        return self.settings.store or self.registry.store

    def image(self, lock: str, account: str, region: str) -> str:
        """The image that was made from a lock file, as it lies in the region. account: the stack's own.
        Raises UsageError `image.unknown`."""
        image = self.cloud.images.get(lock)
        if image is None:
            raise UsageError(
                f"lockstep:images names no image for the lock file {lock}",
                code="image.unknown",
                remedy="build it from models/image/Dockerfile, push it, and put lock: image@sha256:... there",
            )
        return in_region(image, account, self.name(IMAGES), home=self.home, region=region)


def in_region(image: str, account: str, repository: str, *, home: str, region: str) -> str:
    """The same image by the registry of the region, where it was copied to: a region then starts pods without
    another one, and by the endpoint in its own network. One of another account or repository stays."""
    found = ECR.fullmatch(image)
    if found is None or found.group("account", "region", "repository") != (account, home, repository):
        return image
    return f"{found['account']}.dkr.ecr.{region}.{found['rest']}"


def estate(settings: Settings) -> Estate:
    """Raises UsageError `config.refused` before anything is declared."""
    if settings.cloud is not None:
        require(settings, settings.cloud)
    base = ground(settings)
    return Estate(**vars(base), registry=registry(base))
