"""What moto cannot be asked, and why. The form of the call is judged all the same, by what AWS says of it."""

from __future__ import annotations

from typing import Any

from lockstep.standin.aws.moto_requests.asked import Ask, Request, capital

NO_SERVICE = "moto has no Global Accelerator"
NO_CALL_OF_EKS = "moto has clusters, node groups and Fargate profiles of EKS, and nothing else"
REASONS = {
    "aws:acm/certificateValidation:CertificateValidation": "no call: the provider waits for the certificate",
    "aws:autoscaling/attachment:Attachment": "moto's node groups have no scaling group behind their names",
    "aws:eks/accessEntry:AccessEntry": NO_CALL_OF_EKS,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": NO_CALL_OF_EKS,
    "aws:eks/addon:Addon": NO_CALL_OF_EKS,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": NO_CALL_OF_EKS,
    "aws:globalaccelerator/accelerator:Accelerator": NO_SERVICE,
    "aws:globalaccelerator/endpointGroup:EndpointGroup": NO_SERVICE,
    "aws:globalaccelerator/listener:Listener": NO_SERVICE,
}
ONCE = "0123456789abcdef"
"""What makes a repeated call harmless; AWS wants some word there."""


def _attachment(ask: Ask) -> None:
    ask.hold(
        "autoscaling",
        "attach_load_balancer_target_groups",
        AutoScalingGroupName=ask.get("autoscalingGroupName"),
        TargetGroupARNs=[ask.get("lbTargetGroupArn")],
    )


def _entry(ask: Ask) -> None:
    ask.hold(
        "eks",
        "create_access_entry",
        clusterName=ask.get("clusterName"),
        principalArn=ask.get("principalArn"),
        kubernetesGroups=ask.get("kubernetesGroups"),
        type=ask.get("type"),
        tags=ask.tags,
    )


def _rights(ask: Ask) -> None:
    ask.hold(
        "eks",
        "associate_access_policy",
        clusterName=ask.get("clusterName"),
        principalArn=ask.get("principalArn"),
        policyArn=ask.get("policyArn"),
        accessScope=ask.get("accessScope"),
    )


def _addon(ask: Ask) -> None:
    ask.hold(
        "eks",
        "create_addon",
        clusterName=ask.get("clusterName"),
        addonName=ask.get("addonName"),
        configurationValues=ask.get("configurationValues"),
        resolveConflicts=ask.get("resolveConflictsOnCreate"),
        tags=ask.tags,
    )


def _pod_identity(ask: Ask) -> None:
    ask.hold(
        "eks",
        "create_pod_identity_association",
        clusterName=ask.get("clusterName"),
        namespace=ask.get("namespace"),
        serviceAccount=ask.get("serviceAccount"),
        roleArn=ask.get("roleArn"),
        tags=ask.tags,
    )


def _accelerator(ask: Ask) -> None:
    wanted = {
        "Name": ask.get("name"),
        "IpAddressType": ask.get("ipAddressType"),
        "Enabled": ask.get("enabled"),
    }
    _globally(ask, "create_accelerator", **wanted, Tags=ask.tag_list)


def _listener(ask: Ask) -> None:
    _globally(
        ask,
        "create_listener",
        AcceleratorArn=ask.get("acceleratorArn"),
        Protocol=ask.get("protocol"),
        PortRanges=capital(ask.get("portRanges")),
        ClientAffinity=ask.get("clientAffinity"),
    )


def _group(ask: Ask) -> None:
    spelled = {"clientIpPreservationEnabled": "ClientIPPreservationEnabled"}
    _globally(
        ask,
        "create_endpoint_group",
        ListenerArn=ask.get("listenerArn"),
        EndpointGroupRegion=ask.get("endpointGroupRegion"),
        EndpointConfigurations=capital(ask.get("endpointConfigurations"), spelled),
        HealthCheckProtocol=ask.get("healthCheckProtocol"),
        HealthCheckIntervalSeconds=ask.get("healthCheckIntervalSeconds"),
        ThresholdCount=ask.get("thresholdCount"),
    )


def _globally(ask: Ask, operation: str, **parameters: Any) -> None:
    ask.hold("globalaccelerator", operation, **parameters, IdempotencyToken=ONCE)


HELD: dict[str, Request] = {
    "aws:autoscaling/attachment:Attachment": _attachment,
    "aws:eks/accessEntry:AccessEntry": _entry,
    "aws:eks/accessPolicyAssociation:AccessPolicyAssociation": _rights,
    "aws:eks/addon:Addon": _addon,
    "aws:eks/podIdentityAssociation:PodIdentityAssociation": _pod_identity,
    "aws:globalaccelerator/accelerator:Accelerator": _accelerator,
    "aws:globalaccelerator/endpointGroup:EndpointGroup": _group,
    "aws:globalaccelerator/listener:Listener": _listener,
}
