"""EC2's networks, and what is in them."""

from __future__ import annotations

from typing import Any

from lockstep.standin.aws.moto_requests.asked import Ask, Request


def _marked(ask: Ask, kind: str) -> list[dict[str, Any]] | None:
    return [{"ResourceType": kind, "Tags": ask.tag_list}] if ask.tag_list else None


def _vpc(ask: Ask) -> str:
    made = ask(
        "ec2",
        "create_vpc",
        CidrBlock=ask.get("cidrBlock"),
        InstanceTenancy=ask.get("instanceTenancy"),
        TagSpecifications=_marked(ask, "vpc"),
    )["Vpc"]["VpcId"]
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        wanted = {"Value": bool(ask.get(attribute[:1].lower() + attribute[1:]))}
        ask("ec2", "modify_vpc_attribute", VpcId=made, **{attribute: wanted})
    ours = {"Name": "vpc-id", "Values": [made]}
    named = {"Name": "group-name", "Values": ["default"]}
    (group,) = ask("ec2", "describe_security_groups", Filters=[ours, named])["SecurityGroups"]
    ask.note("defaultSecurityGroupId", group["GroupId"])
    return str(made)


def _subnet(ask: Ask) -> str:
    made = ask(
        "ec2",
        "create_subnet",
        VpcId=ask.get("vpcId"),
        CidrBlock=ask.get("cidrBlock"),
        AvailabilityZone=ask.get("availabilityZone"),
        AvailabilityZoneId=ask.get("availabilityZoneId"),
        TagSpecifications=_marked(ask, "subnet"),
    )["Subnet"]["SubnetId"]
    public = {"Value": bool(ask.get("mapPublicIpOnLaunch"))}
    ask("ec2", "modify_subnet_attribute", SubnetId=made, MapPublicIpOnLaunch=public)
    return str(made)


def _internet(ask: Ask) -> str:
    marked = _marked(ask, "internet-gateway")
    made = ask("ec2", "create_internet_gateway", TagSpecifications=marked)["InternetGateway"]
    ask("ec2", "attach_internet_gateway", InternetGatewayId=made["InternetGatewayId"], VpcId=ask.get("vpcId"))
    return str(made["InternetGatewayId"])


def _no_internet(ask: Ask) -> None:
    ask("ec2", "detach_internet_gateway", InternetGatewayId=ask.id, VpcId=ask.get("vpcId"))
    ask("ec2", "delete_internet_gateway", InternetGatewayId=ask.id)


def _address(ask: Ask) -> str:
    marked = _marked(ask, "elastic-ip")
    made = ask("ec2", "allocate_address", Domain=ask.get("domain"), TagSpecifications=marked)
    return str(made["AllocationId"])


def _nat(ask: Ask) -> str:
    return str(
        ask(
            "ec2",
            "create_nat_gateway",
            SubnetId=ask.get("subnetId"),
            AllocationId=ask.get("allocationId"),
            ConnectivityType=ask.get("connectivityType"),
            TagSpecifications=_marked(ask, "natgateway"),
        )["NatGateway"]["NatGatewayId"]
    )


def _table(ask: Ask) -> str:
    marked = _marked(ask, "route-table")
    made = ask("ec2", "create_route_table", VpcId=ask.get("vpcId"), TagSpecifications=marked)
    return str(made["RouteTable"]["RouteTableId"])


def _route(ask: Ask) -> None:
    ask(
        "ec2",
        "create_route",
        RouteTableId=ask.get("routeTableId"),
        DestinationCidrBlock=ask.get("destinationCidrBlock"),
        GatewayId=ask.get("gatewayId"),
        NatGatewayId=ask.get("natGatewayId"),
    )


def _no_route(ask: Ask) -> None:
    where = {"RouteTableId": ask.get("routeTableId"), "DestinationCidrBlock": ask.get("destinationCidrBlock")}
    ask("ec2", "delete_route", **where)


def _placed(ask: Ask) -> str:
    where = {"SubnetId": ask.get("subnetId"), "RouteTableId": ask.get("routeTableId")}
    return str(ask("ec2", "associate_route_table", **where)["AssociationId"])


def _group(ask: Ask) -> str:
    """The provider takes AWS's own rule for what goes out away again: only what is declared is let out."""
    made = str(
        ask(
            "ec2",
            "create_security_group",
            VpcId=ask.get("vpcId"),
            GroupName=ask.get("name"),
            Description=ask.get("description"),
            TagSpecifications=_marked(ask, "security-group"),
        )["GroupId"]
    )
    _close(ask, made)
    return made


def _closed(ask: Ask) -> None:
    """A VPC's own group is not made but emptied."""
    _close(ask, ask.id)


def _close(ask: Ask, group: str) -> None:
    (found,) = ask("ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"]
    for rules, operation in (
        ("IpPermissions", "revoke_security_group_ingress"),
        ("IpPermissionsEgress", "revoke_security_group_egress"),
    ):
        if found[rules]:
            ask("ec2", operation, GroupId=group, IpPermissions=found[rules])


def _rule(ask: Ask, operation: str) -> str:
    rule: dict[str, Any] = {"IpProtocol": ask.get("ipProtocol")}
    rule |= {"FromPort": ask.get("fromPort"), "ToPort": ask.get("toPort")}
    said = {"Description": ask.get("description")}
    if ask.get("cidrIpv4"):
        rule["IpRanges"] = [{"CidrIp": ask.get("cidrIpv4"), **said}]
    else:
        rule["UserIdGroupPairs"] = [{"GroupId": ask.get("referencedSecurityGroupId"), **said}]
    answer = ask("ec2", operation, GroupId=ask.get("securityGroupId"), IpPermissions=[rule])
    return str(answer["SecurityGroupRules"][0]["SecurityGroupRuleId"])


def _let_in(ask: Ask) -> str:
    return _rule(ask, "authorize_security_group_ingress")


def _let_out(ask: Ask) -> str:
    return _rule(ask, "authorize_security_group_egress")


def _no_way_in(ask: Ask) -> None:
    rules = {"GroupId": ask.get("securityGroupId"), "SecurityGroupRuleIds": [ask.id]}
    ask("ec2", "revoke_security_group_ingress", **rules)


def _no_way_out(ask: Ask) -> None:
    rules = {"GroupId": ask.get("securityGroupId"), "SecurityGroupRuleIds": [ask.id]}
    ask("ec2", "revoke_security_group_egress", **rules)


def _endpoint(ask: Ask) -> str:
    dns = (ask.get("dnsOptions") or {}).get("privateDnsOnlyForInboundResolverEndpoint")
    return str(
        ask(
            "ec2",
            "create_vpc_endpoint",
            VpcId=ask.get("vpcId"),
            ServiceName=ask.get("serviceName"),
            ServiceRegion=ask.get("serviceRegion"),
            VpcEndpointType=ask.get("vpcEndpointType"),
            SubnetIds=ask.get("subnetIds") or None,
            SecurityGroupIds=ask.get("securityGroupIds") or None,
            RouteTableIds=ask.get("routeTableIds") or None,
            PrivateDnsEnabled=ask.get("privateDnsEnabled"),
            DnsOptions=None if dns is None else {"PrivateDnsOnlyForInboundResolverEndpoint": dns},
            TagSpecifications=_marked(ask, "vpc-endpoint"),
        )["VpcEndpoint"]["VpcEndpointId"]
    )


def _flow(ask: Ask) -> str:
    answer = ask(
        "ec2",
        "create_flow_logs",
        ResourceIds=[ask.get("vpcId")],
        ResourceType="VPC",
        TrafficType=ask.get("trafficType"),
        LogDestinationType=ask.get("logDestinationType"),
        LogDestination=ask.get("logDestination"),
        DeliverLogsPermissionArn=ask.get("iamRoleArn"),
        MaxAggregationInterval=ask.get("maxAggregationInterval"),
        TagSpecifications=_marked(ask, "vpc-flow-log"),
    )
    assert not answer.get("Unsuccessful"), answer["Unsuccessful"]
    return str(answer["FlowLogIds"][0])


CREATES: dict[str, Request] = {
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _closed,
    "aws:ec2/eip:Eip": _address,
    "aws:ec2/flowLog:FlowLog": _flow,
    "aws:ec2/internetGateway:InternetGateway": _internet,
    "aws:ec2/natGateway:NatGateway": _nat,
    "aws:ec2/route:Route": _route,
    "aws:ec2/routeTable:RouteTable": _table,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _placed,
    "aws:ec2/securityGroup:SecurityGroup": _group,
    "aws:ec2/subnet:Subnet": _subnet,
    "aws:ec2/vpc:Vpc": _vpc,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _let_out,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _let_in,
}
DELETES: dict[str, Request] = {
    "aws:ec2/eip:Eip": lambda ask: ask("ec2", "release_address", AllocationId=ask.id),
    "aws:ec2/flowLog:FlowLog": lambda ask: ask("ec2", "delete_flow_logs", FlowLogIds=[ask.id]),
    "aws:ec2/internetGateway:InternetGateway": _no_internet,
    "aws:ec2/natGateway:NatGateway": lambda ask: ask("ec2", "delete_nat_gateway", NatGatewayId=ask.id),
    "aws:ec2/route:Route": _no_route,
    "aws:ec2/routeTable:RouteTable": lambda ask: ask("ec2", "delete_route_table", RouteTableId=ask.id),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": lambda ask: ask(
        "ec2", "disassociate_route_table", AssociationId=ask.id
    ),
    "aws:ec2/securityGroup:SecurityGroup": lambda ask: ask("ec2", "delete_security_group", GroupId=ask.id),
    "aws:ec2/subnet:Subnet": lambda ask: ask("ec2", "delete_subnet", SubnetId=ask.id),
    "aws:ec2/vpc:Vpc": lambda ask: ask("ec2", "delete_vpc", VpcId=ask.id),
    "aws:ec2/vpcEndpoint:VpcEndpoint": lambda ask: ask(
        "ec2", "delete_vpc_endpoints", VpcEndpointIds=[ask.id]
    ),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _no_way_out,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _no_way_in,
}
