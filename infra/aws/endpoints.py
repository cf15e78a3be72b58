"""How a region's nodes reach AWS: by endpoints inside the VPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra.aws.site import Site

SERVICES = ("ecr.api", "ecr.dkr", "sts", "logs", "eks", "eks-auth", "ec2", "kms", "elasticloadbalancing")
KARPENTER_SERVICES = ("ssm", "sqs")
"""What a Karpenter of our own asks besides: which machine image is current, and who is interrupted."""

HTTPS = 443


def services(capacity: str) -> tuple[str, ...]:
    """The AWS services that get an interface endpoint, by how capacity is made."""
    return (*SERVICES, *KARPENTER_SERVICES) if capacity == "karpenter" else SERVICES


def endpoints(
    site: Site,
    vpc: aws.ec2.Vpc,
    cidr: str,
    private: Mapping[str, aws.ec2.Subnet],
    tables: Sequence[aws.ec2.RouteTable],
) -> list[pulumi.Resource]:
    """S3 of the region, where the layers of images lie, by the route tables of the private subnets; others
    by an interface in each of these, and so S3 of the home region, where the releases lie: pods may then be
    kept from every address outside the VPC."""
    region = site.region
    made: list[pulumi.Resource] = [
        aws.ec2.VpcEndpoint(
            f"endpoint-{region}-s3",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[table.id for table in tables],
            region=region,
            tags=site.tags("s3"),
            opts=site.options(),
        )
    ]
    group = _group(site, vpc, cidr)
    home = site.ground.home
    made.append(
        aws.ec2.VpcEndpoint(
            f"endpoint-{region}-releases",
            vpc_id=vpc.id,
            service_name=f"com.amazonaws.{home}.s3",
            service_region=home if home != region else None,
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            dns_options={"private_dns_only_for_inbound_resolver_endpoint": False},
            subnet_ids=[subnet.id for subnet in private.values()],
            security_group_ids=[group.id],
            region=region,
            tags=site.tags("releases"),
            opts=site.options(),
        )
    )
    for service in services(site.ground.cloud.capacity.by):
        made.append(
            aws.ec2.VpcEndpoint(
                f"endpoint-{region}-{service}",
                vpc_id=vpc.id,
                service_name=f"com.amazonaws.{region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=[subnet.id for subnet in private.values()],
                security_group_ids=[group.id],
                region=region,
                tags=site.tags(service),
                opts=site.options(),
            )
        )
    return made


def _group(site: Site, vpc: aws.ec2.Vpc, cidr: str) -> aws.ec2.SecurityGroup:
    """Lets the VPC's own addresses in, by HTTPS, and nothing out."""
    group = aws.ec2.SecurityGroup(
        f"endpoints-{site.region}",
        description="AWS services as the nodes see them",
        vpc_id=vpc.id,
        region=site.region,
        tags=site.tags("endpoints"),
        opts=site.options(),
    )
    aws.vpc.SecurityGroupIngressRule(
        f"endpoints-{site.region}-https",
        security_group_id=group.id,
        description="From the region's own network",
        cidr_ipv4=cidr,
        ip_protocol="tcp",
        from_port=HTTPS,
        to_port=HTTPS,
        region=site.region,
        opts=site.options(),
    )
    return group
