"""The way in: Route 53, certificates and load balancers."""

from __future__ import annotations

from typing import Any

from lockstep.standin.aws.moto_requests.asked import Ask, Request, capital


def _zone(ask: Ask) -> str:
    made = ask("route53", "create_hosted_zone", Name=ask.get("name"), CallerReference=ask.own["zoneId"])
    named = str(made["HostedZone"]["Id"]).rsplit("/", 1)[-1]
    ask.note("zoneId", named)
    return named


def _record(ask: Ask) -> None:
    if ask.own["zoneId"] not in ask.names:
        _somebodys_zone(ask)
    _change(ask, "UPSERT" if ask.get("allowOverwrite") else "CREATE")


def _no_record(ask: Ask) -> None:
    _change(ask, "DELETE")


def _somebodys_zone(ask: Ask) -> None:
    """A zone that the stack does not declare is there already. What it is called nobody has said, so it is
    taken for that of the last two labels."""
    domain = ".".join(ask.values["name"].rstrip(".").split(".")[-2:])
    made = ask("route53", "create_hosted_zone", Name=domain, CallerReference=ask.own["zoneId"])
    ask.note("zoneId", str(made["HostedZone"]["Id"]).rsplit("/", 1)[-1])


def _change(ask: Ask, action: str) -> None:
    record: dict[str, Any] = {
        "Name": ask.get("name"),
        "Type": ask.get("type"),
        "TTL": ask.get("ttl") or None,
        "ResourceRecords": [{"Value": value} for value in ask.get("records") or []] or None,
        "SetIdentifier": ask.get("setIdentifier") or None,
        "HealthCheckId": ask.get("healthCheckId") or None,
    }
    for alias in ask.get("aliases") or []:
        record["AliasTarget"] = {
            "HostedZoneId": alias["zoneId"],
            "DNSName": alias["name"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        }
    for policy in ask.get("latencyRoutingPolicies") or []:
        record["Region"] = policy["region"]
    zone = ask.names[ask.own["zoneId"]]
    changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    ask("route53", "change_resource_record_sets", HostedZoneId=zone, ChangeBatch=changes)


def _health(ask: Ask) -> str:
    wanted = {
        "Type": ask.get("type"),
        "FullyQualifiedDomainName": ask.get("fqdn"),
        "Port": ask.get("port"),
        "ResourcePath": ask.get("resourcePath"),
        "RequestInterval": ask.get("requestInterval"),
        "FailureThreshold": ask.get("failureThreshold"),
        "EnableSNI": ask.get("enableSni"),
    }
    made = ask("route53", "create_health_check", CallerReference=ask.id, HealthCheckConfig=wanted)
    return str(made["HealthCheck"]["Id"])


def _certificate(ask: Ask) -> str:
    return str(
        ask(
            "acm",
            "request_certificate",
            DomainName=ask.get("domainName"),
            SubjectAlternativeNames=ask.get("subjectAlternativeNames") or None,
            ValidationMethod=ask.get("validationMethod"),
            Tags=ask.tag_list,
        )["CertificateArn"]
    )


def _balancer(ask: Ask) -> str:
    made = ask(
        "elbv2",
        "create_load_balancer",
        Name=ask.get("name"),
        Type=ask.get("loadBalancerType"),
        Scheme="internal" if ask.get("internal") else "internet-facing",
        IpAddressType=ask.get("ipAddressType"),
        Subnets=ask.get("subnets"),
        SecurityGroups=ask.get("securityGroups") or None,
        Tags=ask.tag_list,
    )["LoadBalancers"][0]["LoadBalancerArn"]
    _attributes(ask, str(made))
    return str(made)


def _attributes(ask: Ask, balancer: str) -> None:
    wanted = {
        "deletion_protection.enabled": ask.get("enableDeletionProtection"),
        "load_balancing.cross_zone.enabled": ask.get("enableCrossZoneLoadBalancing"),
    }
    attributes = [{"Key": key, "Value": str(bool(value)).lower()} for key, value in wanted.items()]
    ask("elbv2", "modify_load_balancer_attributes", LoadBalancerArn=balancer, Attributes=attributes)


def _targets(ask: Ask) -> str:
    health = ask.get("healthCheck") or {}
    made = ask(
        "elbv2",
        "create_target_group",
        Name=ask.get("name"),
        TargetType=ask.get("targetType"),
        Protocol=ask.get("protocol"),
        Port=ask.get("port"),
        VpcId=ask.get("vpcId"),
        HealthCheckProtocol=health.get("protocol"),
        HealthCheckPort=health.get("port"),
        Tags=ask.tag_list,
    )["TargetGroups"][0]["TargetGroupArn"]
    if ask.get("deregistrationDelay"):
        wanted = [
            {"Key": "deregistration_delay.timeout_seconds", "Value": str(ask.get("deregistrationDelay"))}
        ]
        ask("elbv2", "modify_target_group_attributes", TargetGroupArn=made, Attributes=wanted)
    return str(made)


def _listener(ask: Ask) -> str:
    certificate = ask.get("certificateArn")
    actions = [
        {key: each.get(key) for key in ("type", "targetGroupArn")} for each in ask.values["defaultActions"]
    ]
    return str(
        ask(
            "elbv2",
            "create_listener",
            LoadBalancerArn=ask.get("loadBalancerArn"),
            Protocol=ask.get("protocol"),
            Port=ask.get("port"),
            SslPolicy=ask.get("sslPolicy"),
            Certificates=[{"CertificateArn": certificate}] if certificate else None,
            DefaultActions=capital(actions),
            Tags=ask.tag_list,
        )["Listeners"][0]["ListenerArn"]
    )


CREATES: dict[str, Request] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:lb/listener:Listener": _listener,
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:lb/targetGroup:TargetGroup": _targets,
    "aws:route53/healthCheck:HealthCheck": _health,
    "aws:route53/record:Record": _record,
    "aws:route53/zone:Zone": _zone,
}
UPDATES: dict[str, Request] = {"aws:lb/loadBalancer:LoadBalancer": lambda ask: _attributes(ask, ask.id)}
DELETES: dict[str, Request] = {
    "aws:acm/certificate:Certificate": lambda ask: ask("acm", "delete_certificate", CertificateArn=ask.id),
    "aws:lb/listener:Listener": lambda ask: ask("elbv2", "delete_listener", ListenerArn=ask.id),
    "aws:lb/loadBalancer:LoadBalancer": lambda ask: ask(
        "elbv2", "delete_load_balancer", LoadBalancerArn=ask.id
    ),
    "aws:lb/targetGroup:TargetGroup": lambda ask: ask("elbv2", "delete_target_group", TargetGroupArn=ask.id),
    "aws:route53/healthCheck:HealthCheck": lambda ask: ask(
        "route53", "delete_health_check", HealthCheckId=ask.id
    ),
    "aws:route53/record:Record": _no_record,
    "aws:route53/zone:Zone": lambda ask: ask("route53", "delete_hosted_zone", Id=ask.id),
}
