"""What outlives the stack: buckets, keys, trails, and the role that copies.

A destroy forgets them and leaves them as they are. A later run makes a stack of the same name anew and would
find their names taken; told to adopt, it imports each of them instead, and the log goes on. An import
compares: what is there must be what is declared, or the run fails before it has changed anything.

The program cannot see what the engine's state has, so it is told: `./lockstep` looks (see lockstep.aws.left),
and who runs plain `pulumi` hears from the failed bucket which command does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.ground import Ground
from infra.aws.outliving import RECORDS
from infra.config import adopting


@dataclass(frozen=True)
class Keeping:
    """Where things are kept, beneath a component of the tree.

    away: the region is not the provider's own. prefix: what the names of keys begin with. adopt: whether this
    run takes over what is there; command: the one that does.
    """

    parent: pulumi.Resource
    provider: aws.Provider
    region: str
    prefix: str
    adopt: bool
    command: str
    away: bool = False

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
        # The provider looks in its own region unless told another.
        where = f"{identity}@{self.region}" if self.away and regional else identity
        return pulumi.ResourceOptions(
            parent=self.parent,
            provider=self.provider,
            depends_on=list(after),
            retain_on_delete=True,
            ignore_changes=list(unreadable),
            import_=where if self.adopt else None,
        )

    def found_key(self, noun: str) -> str:
        """The ARN of the key that the stack left behind. Only an adopting run asks: any other has none to
        find."""
        found = aws.kms.get_alias(
            name=self.alias(noun), region=self.region, opts=pulumi.InvokeOptions(provider=self.provider)
        )
        return found.target_key_arn

    def alias(self, noun: str) -> str:
        return f"alias/{self.prefix}-{noun}"


def keeping(
    ground: Ground,
    parent: pulumi.Resource,
    region: str,
    provider: aws.Provider | None = None,
    *,
    part: str = RECORDS,
) -> Keeping:
    """provider: another than the ground's is one of that region; part: what this is taken over with."""
    away = provider in (None, ground.provider) and region != ground.home
    command = f"./lockstep up -s {pulumi.get_stack()}"
    return Keeping(parent, provider or ground.provider, region, ground.name(), adopting(part), command, away)
