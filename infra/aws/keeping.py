"""What outlives the stack: buckets, keys, trails, and the role that copies.

A destroy forgets them and leaves them as they are. A later run makes a stack of the same name anew and would
find their names taken; told to adopt, it imports each of them instead, and the log goes on. An import
compares: what is there must be what is declared, or the run fails before it has changed anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.ground import Ground


@dataclass(frozen=True)
class Keeping:
    """Where things are kept: in a region, through a provider, beneath a component of the stack's tree."""

    ground: Ground
    parent: pulumi.Resource
    provider: aws.Provider
    region: str

    def options(
        self,
        identity: str,
        *,
        after: Sequence[pulumi.Resource] = (),
        unreadable: Sequence[str] = (),
        regional: bool = True,
    ) -> pulumi.ResourceOptions:
        """The options of one kept resource. identity: what it is imported by; unreadable: properties that
        only its making takes, so that an import cannot compare them; regional: whether it lies in one region.
        """
        return pulumi.ResourceOptions(
            parent=self.parent,
            provider=self.provider,
            depends_on=list(after),
            retain_on_delete=True,
            ignore_changes=list(unreadable),
            import_=self._import_id(identity, regional) if self.ground.adopt else None,
        )

    def _import_id(self, identity: str, regional: bool) -> str:
        """The provider looks in its own region unless told another."""
        own = self.provider is not self.ground.provider or self.region == self.ground.home
        return identity if own or not regional else f"{identity}@{self.region}"

    def found_key(self, noun: str) -> str:
        """The ARN of the key that the stack left behind. Only an adopting run asks: any other has none to
        find."""
        found = aws.kms.get_alias(
            name=self.alias(noun), region=self.region, opts=pulumi.InvokeOptions(provider=self.provider)
        )
        return found.target_key_arn

    def alias(self, noun: str) -> str:
        return f"alias/{self.ground.name(noun)}"
