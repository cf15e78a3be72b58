"""A region's network: a VPC over three zones, in which nodes have no public address.

Private subnets hold nodes and pods; public ones nothing but load balancers and NAT. What the nodes need of
AWS they reach by endpoints inside the VPC, so that a stack without NAT still boots its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.blocks import Blocks, plan, short
from infra.aws.endpoints import endpoints
from infra.aws.flow_logs import flow_logs
from infra.aws.regions import region_of
from infra.aws.site import Site

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Network:
    """private, public: subnets by zone id. ready: what must be there before a node can start."""

    vpc: aws.ec2.Vpc
    cidr: str
    private: dict[str, aws.ec2.Subnet]
    public: dict[str, aws.ec2.Subnet]
    ready: tuple[pulumi.Resource, ...]

    @property
    def private_ids(self) -> list[pulumi.Output[str]]:
        return [subnet.id for subnet in self.private.values()]

    @property
    def public_ids(self) -> list[pulumi.Output[str]]:
        return [subnet.id for subnet in self.public.values()]


def network(site: Site, key: aws.kms.Key) -> Network:
    """The whole network of a region. Raises KeyError for a region that is not known: config is checked."""
    region = site.region
    cidr = site.ground.cloud.network.cidrs[region]
    known = region_of(region)
    if known is None:
        raise KeyError(region)
    blocks = plan(cidr, known.zones)
    vpc = aws.ec2.Vpc(
        f"network-{region}",
        cidr_block=cidr,
        enable_dns_hostnames=True,
        enable_dns_support=True,
        region=region,
        tags=site.tags("network"),
        opts=site.options(),
    )
    aws.ec2.DefaultSecurityGroup(
        f"closed-{region}",
        vpc_id=vpc.id,
        ingress=[],
        egress=[],
        region=region,
        tags=site.tags("closed"),
        opts=site.options(),
    )
    flow_logs(site, vpc, key)
    public, way_out = _public(site, vpc, blocks)
    private, tables, routes = _private(site, vpc, blocks, public, way_out)
    reached = endpoints(site, vpc, cidr, private, tables)
    return Network(vpc, cidr, private, public, (*routes, *reached))


def _public(
    site: Site, vpc: aws.ec2.Vpc, blocks: tuple[Blocks, ...]
) -> tuple[dict[str, aws.ec2.Subnet], aws.ec2.Route]:
    region = site.region
    internet = aws.ec2.InternetGateway(
        f"internet-{region}",
        vpc_id=vpc.id,
        region=region,
        tags=site.tags("internet"),
        opts=site.options(),
    )
    table = aws.ec2.RouteTable(
        f"routes-{region}-public",
        vpc_id=vpc.id,
        region=region,
        tags=site.tags("public"),
        opts=site.options(),
    )
    way_out = aws.ec2.Route(
        f"out-{region}-public",
        route_table_id=table.id,
        destination_cidr_block=ANYWHERE,
        gateway_id=internet.id,
        region=region,
        opts=site.options(),
    )
    subnets = {}
    for each in blocks:
        tags = {"kubernetes.io/role/elb": "1"}
        subnets[each.zone] = _subnet(site, vpc, each.zone, each.public, "public", tags)
        _placed(site, subnets[each.zone], table, "public", each.zone)
    return subnets, way_out


def _private(
    site: Site,
    vpc: aws.ec2.Vpc,
    blocks: tuple[Blocks, ...],
    public: dict[str, aws.ec2.Subnet],
    way_out: aws.ec2.Route,
) -> tuple[dict[str, aws.ec2.Subnet], list[aws.ec2.RouteTable], list[pulumi.Resource]]:
    """Private subnets, each with a table of its own: another zone's NAT is never in the way of this one's."""
    nat = _nat(site, public, way_out)
    subnets, tables, ready = {}, [], list[pulumi.Resource]()
    for each in blocks:
        zone = short(each.zone)
        tags = {"kubernetes.io/role/internal-elb": "1", "karpenter.sh/discovery": site.cluster}
        subnets[each.zone] = _subnet(site, vpc, each.zone, each.private, "subnet", tags)
        table = aws.ec2.RouteTable(
            f"routes-{site.region}-{zone}",
            vpc_id=vpc.id,
            region=site.region,
            tags=site.tags(zone),
            opts=site.options(),
        )
        tables.append(table)
        ready.append(_placed(site, subnets[each.zone], table, "subnet", each.zone))
        gateway = nat.get(each.zone)
        if gateway is not None:
            ready.append(
                aws.ec2.Route(
                    f"out-{site.region}-{zone}",
                    route_table_id=table.id,
                    destination_cidr_block=ANYWHERE,
                    nat_gateway_id=gateway.id,
                    region=site.region,
                    opts=site.options(),
                )
            )
    return subnets, tables, ready


def _nat(
    site: Site, public: dict[str, aws.ec2.Subnet], way_out: aws.ec2.Route
) -> dict[str, aws.ec2.NatGateway]:
    """Zone -> the NAT gateway that serves it, as declared: none, the first zone's for all, or its own."""
    declared, zones = site.ground.cloud.network.nat, list(public)
    gateways = {}
    for zone in {"none": [], "region": zones[:1], "zone": zones}[declared]:
        name = f"nat-{site.region}-{short(zone)}"
        address = aws.ec2.Eip(
            f"{name}-address",
            domain="vpc",
            region=site.region,
            tags=site.tags(f"nat-{short(zone)}"),
            opts=site.options(after=[way_out]),
        )
        gateways[zone] = aws.ec2.NatGateway(
            name,
            allocation_id=address.allocation_id,
            subnet_id=public[zone].id,
            region=site.region,
            tags=site.tags(f"nat-{short(zone)}"),
            opts=site.options(after=[way_out]),
        )
    if declared == "region":
        return dict.fromkeys(zones, gateways[zones[0]])
    return gateways


def _subnet(
    site: Site, vpc: aws.ec2.Vpc, zone: str, cidr: str, kind: str, tags: dict[str, str]
) -> aws.ec2.Subnet:
    name = f"{kind}-{site.region}-{short(zone)}"
    return aws.ec2.Subnet(
        name,
        vpc_id=vpc.id,
        availability_zone_id=zone,
        cidr_block=cidr,
        map_public_ip_on_launch=False,
        region=site.region,
        tags=site.tags(f"{kind}-{short(zone)}", **tags),
        opts=site.options(),
    )


def _placed(
    site: Site, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable, kind: str, zone: str
) -> pulumi.Resource:
    return aws.ec2.RouteTableAssociation(
        f"{kind}-{site.region}-{short(zone)}-routes",
        subnet_id=subnet.id,
        route_table_id=table.id,
        region=site.region,
        opts=site.options(),
    )
