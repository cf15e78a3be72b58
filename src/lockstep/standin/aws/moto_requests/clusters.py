"""EKS, and what its nodes are started from."""

from __future__ import annotations

from typing import Any

from lockstep.standin.aws.moto_requests.asked import Ask, Request, capital


def _cluster(ask: Ask) -> None:
    inside = ask.values["vpcConfig"]
    places = ("subnetIds", "securityGroupIds", "endpointPublicAccess", "endpointPrivateAccess")
    network = ask.get("kubernetesNetworkConfig") or {}
    encrypted = ask.get("encryptionConfig")
    ask(
        "eks",
        "create_cluster",
        name=ask.get("name"),
        version=ask.get("version"),
        roleArn=ask.get("roleArn"),
        resourcesVpcConfig={
            **{key: inside.get(key) for key in places},
            "publicAccessCidrs": inside.get("publicAccessCidrs") or None,
        },
        kubernetesNetworkConfig={
            "ipFamily": network.get("ipFamily"),
            "serviceIpv4Cidr": network.get("serviceIpv4Cidr"),
            "elasticLoadBalancing": network.get("elasticLoadBalancing"),
        },
        logging={"clusterLogging": [{"types": ask.get("enabledClusterLogTypes") or [], "enabled": True}]},
        encryptionConfig=[encrypted] if encrypted else None,
        accessConfig=ask.get("accessConfig"),
        bootstrapSelfManagedAddons=ask.get("bootstrapSelfManagedAddons"),
        upgradePolicy=ask.get("upgradePolicy"),
        computeConfig=ask.get("computeConfig"),
        storageConfig=ask.get("storageConfig"),
        deletionProtection=ask.get("deletionProtection"),
        tags=ask.tags,
    )
    _group_of_nodes(ask, inside)


def _group_of_nodes(ask: Ask, inside: dict[str, Any]) -> None:
    """EKS makes a group for nodes and control plane; moto's says only what it would be called."""
    made = ask(
        "ec2",
        "create_security_group",
        GroupName=f"eks-cluster-sg-{ask.get('name')}",
        Description="made by EKS",
        VpcId=inside.get("vpcId"),
    )
    ask.note("vpcConfig.clusterSecurityGroupId", made["GroupId"])


def _no_cluster(ask: Ask) -> None:
    ask("eks", "delete_cluster", name=ask.get("name"))
    ask("ec2", "delete_security_group", GroupId=ask.values["vpcConfig"]["clusterSecurityGroupId"])


def _nodes(ask: Ask) -> None:
    template = ask.get("launchTemplate")
    ask(
        "eks",
        "create_nodegroup",
        clusterName=ask.get("clusterName"),
        nodegroupName=ask.get("nodeGroupName"),
        nodeRole=ask.get("nodeRoleArn"),
        subnets=ask.get("subnetIds"),
        scalingConfig=ask.get("scalingConfig"),
        updateConfig=ask.get("updateConfig"),
        instanceTypes=ask.get("instanceTypes"),
        amiType=ask.get("amiType"),
        capacityType=ask.get("capacityType"),
        labels=ask.get("labels"),
        taints=ask.get("taints"),
        launchTemplate={key: template.get(key) for key in ("id", "version")} if template else None,
        tags=ask.tags,
    )


def _no_nodes(ask: Ask) -> None:
    ask("eks", "delete_nodegroup", clusterName=ask.get("clusterName"), nodegroupName=ask.get("nodeGroupName"))


def _template(ask: Ask) -> str:
    disks = [_disk(each) for each in ask.get("blockDeviceMappings") or []]
    data = {
        "UserData": ask.get("userData"),
        "MetadataOptions": capital(ask.get("metadataOptions")),
        "BlockDeviceMappings": capital(disks) or None,
        "CapacityReservationSpecification": capital(ask.get("capacityReservationSpecification")),
    }
    marked = [{"ResourceType": "launch-template", "Tags": ask.tag_list}] if ask.tag_list else None
    made = ask(
        "ec2",
        "create_launch_template",
        LaunchTemplateName=ask.get("name"),
        LaunchTemplateData=data,
        TagSpecifications=marked,
    )
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def _disk(mapping: dict[str, Any]) -> dict[str, Any]:
    """The SDK has `encrypted` as text."""
    disk = mapping["ebs"]
    return {**mapping, "ebs": {**disk, "encrypted": str(disk.get("encrypted")).lower() == "true"}}


CREATES: dict[str, Request] = {
    "aws:ec2/launchTemplate:LaunchTemplate": _template,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _nodes,
}
DELETES: dict[str, Request] = {
    "aws:ec2/launchTemplate:LaunchTemplate": lambda ask: ask(
        "ec2", "delete_launch_template", LaunchTemplateId=ask.id
    ),
    "aws:eks/cluster:Cluster": _no_cluster,
    "aws:eks/nodeGroup:NodeGroup": _no_nodes,
}
