"""The ground with what all regions share: where releases and images are kept, and what no role may exceed."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.aws.ground import Ground
from lockstep.errors import UsageError


@dataclass(frozen=True)
class Estate(Ground):
    """registry_key: ARN of the key that the releases are encrypted with; boundary: ARN of the policy that
    bounds every role that the stack makes."""

    registry_key: pulumi.Output[str]
    boundary: pulumi.Output[str]

    @property
    def store(self) -> str:
        """URL of the release store, for the gate, the warrants and the pods alike."""
        return self.settings.store or f"s3://{self.cloud.registry}?region={self.home}"

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
