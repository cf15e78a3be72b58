"""The ground with what all regions share: the registry, and which image belongs to which lock file."""

from __future__ import annotations

from dataclasses import dataclass

from infra.aws.ground import Ground, ground
from infra.aws.plan_rules import require
from infra.aws.registry import Registry, registry
from infra.config import Settings
from lockstep.errors import UsageError


@dataclass(frozen=True)
class Estate(Ground):
    """registry: where releases and images lie."""

    registry: Registry

    @property
    def store(self) -> str:
        """URL of the release store, for the gate, the warrants and the pods alike."""
        return self.settings.store or self.registry.store

    def image(self, lock: str) -> str:
        """The image that was made from a lock file. Raises UsageError `image.unknown`."""
        image = self.cloud.images.get(lock)
        if image is None:
            raise UsageError(
                f"lockstep:images names no image for the lock file {lock}",
                code="image.unknown",
                remedy="build it from models/image/Dockerfile, push it, and put lock: image@sha256:... there",
            )
        return image


def estate(settings: Settings) -> Estate:
    """Raises UsageError `config.refused` before anything is declared."""
    if settings.cloud is not None:
        require(settings, settings.cloud)
    base = ground(settings)
    return Estate(**vars(base), registry=registry(base))
