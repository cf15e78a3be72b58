"""A model service on a region's cluster: the objects of `pods`, and a role that may read the registry."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from infra.aws import pods
from infra.aws.estate import Estate
from infra.aws.policies.names import role_name
from infra.aws.region import Place
from infra.aws.warrant import release_warrant
from lockstep.local.httproute import backend_name
from lockstep.table import Slot


def service(
    estate: Estate,
    place: Place,
    model: str,
    slot: Slot,
    allowed: pulumi.Output[dict[str, Any]],
    *,
    after: Sequence[pulumi.Resource],
) -> pulumi.Resource:
    """`allowed` is the cell that the gate gave out, with the index of its intent.

    The release reaches the pods through a warrant, which refuses one that no signed record puts here. Gives
    the Deployment, which is there when its pods are ready.
    """
    name = backend_name(model, place.region, slot)
    warranted = release_warrant(estate, place, model, slot, allowed, after=after)
    pod = pods.Pod(
        name=name,
        namespace=place.namespace,
        model=model,
        region=place.region,
        slot=slot,
        release=warranted.release,
        image=pulumi.Output.all(warranted.lock, estate.account).apply(
            lambda told: estate.image(told[0], told[1], place.region)
        ),
        store=estate.store,
        runtime=estate.settings.runtime,
        service=estate.cloud.services[model],
        vpc=estate.cloud.network.cidrs[place.region],
    )
    identity = _identity(estate, place, pod, after)
    inside = place.options(after=[*after, *identity])
    account = kubernetes.core.v1.ServiceAccount(
        name, metadata=pod.metadata(), automount_service_account_token=False, opts=inside
    )
    policy = kubernetes.networking.v1.NetworkPolicy(name, **pods.network_policy(pod), opts=inside)
    kubernetes.core.v1.Service(name, **pods.service(pod), opts=inside)
    deployment = kubernetes.apps.v1.Deployment(
        name,
        **pods.deployment(pod),
        opts=place.options(
            after=[account, policy, *identity],
            custom_timeouts=pulumi.CustomTimeouts(create=pods.PLACED, update=pods.PLACED),
        ),
    )
    behind = place.options(after=[deployment])
    kubernetes.policy.v1.PodDisruptionBudget(name, **pods.disruption_budget(pod), opts=behind)
    kubernetes.apiextensions.CustomResource(
        name, api_version="keda.sh/v1alpha1", kind="ScaledObject", **pods.scaler(pod), opts=behind
    )
    return deployment


def _identity(
    estate: Estate, place: Place, pod: pods.Pod, after: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """The role of this service's pods, by Pod Identity: no key, and nothing but reading releases."""
    role = aws.iam.Role(
        pod.name,
        name=role_name(estate.name(pod.name)),
        assume_role_policy=json.dumps(pods.TRUST),
        permissions_boundary=estate.boundary,
        opts=estate.options(after=after, parent=place.component),
    )
    policy = aws.iam.RolePolicy(
        pod.name,
        role=role.name,
        policy=json.dumps(pods.role_policy(estate.registry.bucket), sort_keys=True),
        opts=estate.options(parent=role),
    )
    association = aws.eks.PodIdentityAssociation(
        pod.name,
        cluster_name=place.cluster.name,
        namespace=pod.namespace,
        service_account=pod.name,
        role_arn=role.arn,
        region=place.region,
        opts=estate.options(after=[policy], parent=place.component),
    )
    return [role, policy, association]
