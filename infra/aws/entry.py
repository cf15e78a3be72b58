"""The global entry point: DNS that answers with the nearest healthy region, or an accelerator before all.

Failover takes no call to a control plane: Route 53's health checkers, or the accelerator's, notice by
themselves that a region does not answer, and both know already where else to send clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.estate import Estate
from infra.aws.region import Place

HEALTH_PATH = "/healthz"
CHECK_S = 10
FAILURES = 2


@dataclass(frozen=True)
class Entry:
    """url: where clients go; resources: what routes and receipt wait for."""

    url: pulumi.Output[str]
    resources: tuple[pulumi.Resource, ...]


def entry_point(estate: Estate, places: Mapping[str, Place]) -> Entry:
    entry = estate.cloud.entry
    build = {"latency": _latency, "accelerator": _accelerator}[entry.by]
    return Entry(pulumi.Output.from_input(f"https://{entry.domain}"), tuple(build(estate, places)))


def _latency(estate: Estate, places: Mapping[str, Place]) -> list[pulumi.Resource]:
    """A name for each region, checked from outside, and the common name with one record a region."""
    entry = estate.cloud.entry
    made: list[pulumi.Resource] = []
    for name, place in places.items():
        regional = f"{name}.{entry.domain}"
        balancer: aws.route53.RecordAliasArgsDict = {
            "name": place.balancer.dns_name,
            "zone_id": place.balancer.zone_id,
            "evaluate_target_health": True,
        }
        own = aws.route53.Record(
            f"entry-{name}-own",
            zone_id=entry.zone,
            name=regional,
            type="A",
            aliases=[balancer],
            opts=estate.options(after=place.gateway_ready),
        )
        check = aws.route53.HealthCheck(
            f"entry-{name}",
            type="HTTPS",
            fqdn=regional,
            port=443,
            resource_path=HEALTH_PATH,
            request_interval=CHECK_S,
            failure_threshold=FAILURES,
            enable_sni=True,
            opts=estate.options(after=[own]),
        )
        record = aws.route53.Record(
            f"entry-{name}",
            zone_id=entry.zone,
            name=entry.domain,
            type="A",
            aliases=[balancer],
            set_identifier=name,
            latency_routing_policies=[{"region": name}],
            health_check_id=check.id,
            opts=estate.options(after=[own]),
        )
        made += [own, check, record]
    return made


def _accelerator(estate: Estate, places: Mapping[str, Place]) -> list[pulumi.Resource]:
    """Two addresses that never change, announced everywhere, with a group of endpoints in each region."""
    entry = estate.cloud.entry
    accelerator = aws.globalaccelerator.Accelerator(
        "entry", name=estate.name("entry"), enabled=True, ip_address_type="IPV4", opts=estate.options()
    )
    listener = aws.globalaccelerator.Listener(
        "entry",
        accelerator_arn=accelerator.arn,
        protocol="TCP",
        port_ranges=[{"from_port": 443, "to_port": 443}],
        opts=estate.options(),
    )
    made: list[pulumi.Resource] = [accelerator, listener]
    for name, place in places.items():
        group = aws.globalaccelerator.EndpointGroup(
            f"entry-{name}",
            listener_arn=listener.arn,
            endpoint_group_region=name,
            endpoint_configurations=[
                {"endpoint_id": place.balancer.arn, "client_ip_preservation_enabled": True, "weight": 100}
            ],
            health_check_protocol="TCP",
            health_check_interval_seconds=CHECK_S,
            threshold_count=FAILURES,
            opts=estate.options(after=place.gateway_ready),
        )
        made.append(group)
    made.append(
        aws.route53.Record(
            "entry",
            zone_id=entry.zone,
            name=entry.domain,
            type="A",
            aliases=[
                {
                    "name": accelerator.dns_name,
                    "zone_id": accelerator.hosted_zone_id,
                    "evaluate_target_health": True,
                }
            ],
            opts=estate.options(),
        )
    )
    return made
