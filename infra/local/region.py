"""A region is an Envoy gateway; the entry point is an Envoy in front of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.local.ground import Ground
from infra.resources import EntryPoint, Gateway


@dataclass(frozen=True)
class Place:
    """One region of the stack."""

    region: str
    gateway: Gateway


def region(ground: Ground, name: str, *, after: Sequence[pulumi.Resource]) -> Place:
    settings = ground.settings
    gateway = Gateway(
        f"gateway-{name}",
        region=name,
        port=settings.port,
        environment=settings.environment,
        bucket=settings.bucket,
        retention_days=settings.retention_days,
        opts=pulumi.ResourceOptions(depends_on=list(after), delete_before_replace=True),
    )
    return Place(name, gateway)


@dataclass(frozen=True)
class Entry:
    """url: where clients go; resources: what routes and receipt wait for."""

    url: pulumi.Output[str]
    resources: tuple[pulumi.Resource, ...]


def entry_point(ground: Ground, places: Mapping[str, Place]) -> Entry:
    entry = EntryPoint(
        "entry",
        port=ground.settings.port,
        regions=list(places),
        opts=pulumi.ResourceOptions(
            depends_on=[place.gateway for place in places.values()], delete_before_replace=True
        ),
    )
    return Entry(entry.url, (entry,))
