"""What a model service is made of on Kubernetes, as plain objects. Pure: values in, objects out.

A pod gets its release by an init step that fetches it by digest from the registry and verifies every byte;
the server verifies it again before it listens, and is ready when the model has answered a warm-up. Nothing
runs as root, nothing can be written but two empty folders, and no token of the cluster is mounted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.aws.capacity_pools import GPU, TAINT
from infra.aws.charts import charts
from infra.cloud import Service
from lockstep.local.httproute import ANNOTATION, SERVICE_PORT

Json = dict[str, Any]

PORT = 3000
USER = 65532
DRAIN_S = 15
"""Five seconds until the gateways no longer send anything, and the server's own five to end."""
WARM_UP_S = 600
"""How long a pod may take to fetch, verify and warm up before it is started anew."""
PLACED = "20m"
"""How long the engine waits for a placement: a GPU node is made first, then image and release are fetched."""
DNS = 53
RESOLVERS = ("172.20.0.0/16", "10.100.0.0/16", "169.254.0.0/16")
"""Where the cluster's DNS is asked, beside the VPC: the two ranges that EKS gives services their addresses
from, and what a node answers itself. Auto Mode runs DNS on each node, not in pods that a rule could name."""
POD_IDENTITY = "169.254.170.23/32"
"""Where the Pod Identity agent hands out credentials, on each node."""
GATEWAY_NAMESPACE = str(charts()["gateway"]["namespace"])
SCALER_NAMESPACE = str(charts()["keda"]["namespace"])


@dataclass(frozen=True)
class Pod:
    """One model in one region and slot. release, image: text or something that becomes text later."""

    name: str
    namespace: str
    model: str
    region: str
    slot: str
    release: Any
    image: Any
    store: str
    runtime: str
    service: Service
    vpc: str
    """The block where the endpoints of S3 and STS are."""

    @property
    def labels(self) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/part-of": "lockstep",
            ANNOTATION + "model": self.model,
            ANNOTATION + "slot": self.slot,
        }

    @property
    def selector(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": self.name}

    def metadata(self, **more: Any) -> Any:
        return {"name": self.name, "namespace": self.namespace, "labels": self.labels, **more}


def _locked_down() -> Json:
    """What Pod Security `restricted` asks of a container, and a root file system that cannot be written."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def cpu_quantity(cpu: float) -> str:
    """As an API server writes it: any other way it would read back otherwise, and be a change for ever."""
    milli = round(cpu * 1000)
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def _resources(pod: Pod) -> Json:
    amount: Json = {"cpu": cpu_quantity(pod.service.cpu), "memory": f"{pod.service.memory_gib}Gi"}
    if pod.service.gpus:
        amount[GPU] = str(pod.service.gpus)
    return {"requests": amount, "limits": {key: value for key, value in amount.items() if key != "cpu"}}


def _fetch(pod: Pod) -> Json:
    return {
        "name": "release",
        "image": pod.image,
        "command": ["/opt/fetch/bin/python", "-m", "lockstep.fetch"],
        "args": ["--store", pod.store, "--release", pod.release, "--to", "/release"],
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": _locked_down(),
        "volumeMounts": [{"name": "release", "mountPath": "/release"}, {"name": "tmp", "mountPath": "/tmp"}],
    }


def _serve(pod: Pod) -> Json:
    def probe(path: str, **more: int) -> Json:
        return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 2, **more}

    return {
        "name": "server",
        "image": pod.image,
        "command": ["/opt/serving/bin/python", "-m", "lockstep.serving"],
        "args": [
            *("--bundle", "/release/bundle", "--release", pod.release, "--runtime", pod.runtime),
            *("--model", pod.model, "--region", pod.region, "--slot", pod.slot),
            *("--address", "0.0.0.0", "--port", str(PORT)),
        ],
        "env": [
            {"name": "PYTHONPATH", "value": "/release/bundle"},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": "BENTOML_HOME", "value": "/tmp/bentoml"},
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": _resources(pod),
        "securityContext": _locked_down(),
        "volumeMounts": [
            {"name": "release", "mountPath": "/release", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "startupProbe": probe("/readyz", periodSeconds=5, failureThreshold=WARM_UP_S // 5),
        "readinessProbe": probe("/readyz", periodSeconds=5, failureThreshold=2),
        "livenessProbe": probe("/livez", periodSeconds=10, failureThreshold=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }


def _spread(pod: Pod) -> list[Json]:
    def over(key: str, otherwise: str) -> Json:
        return {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": otherwise,
            "labelSelector": {"matchLabels": pod.selector},
        }

    return [
        over("topology.kubernetes.io/zone", "ScheduleAnyway"),
        over("kubernetes.io/hostname", "ScheduleAnyway"),
    ]


def deployment(pod: Pod) -> Json:
    """The Deployment. It names no number of replicas: that is the scaler's."""
    template = {
        "metadata": {"labels": pod.labels},
        "spec": {
            "serviceAccountName": pod.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": DRAIN_S,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [_fetch(pod)],
            "containers": [_serve(pod)],
            "tolerations": [{**TAINT, "operator": "Exists"}],
            "topologySpreadConstraints": _spread(pod),
            "volumes": [
                {"name": "release", "emptyDir": {"sizeLimit": "20Gi"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
            ],
        },
    }
    return {
        "metadata": pod.metadata(),
        "spec": {
            "selector": {"matchLabels": pod.selector},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": WARM_UP_S + 300,
            "revisionHistoryLimit": 3,
            "template": template,
        },
    }


def service(pod: Pod) -> Json:
    return {
        "metadata": pod.metadata(),
        "spec": {
            "type": "ClusterIP",
            "selector": pod.selector,
            "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def disruption_budget(pod: Pod) -> Json:
    """One pod at a time: with a single replica a node can still be drained, by starting its successor."""
    return {
        "metadata": pod.metadata(),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": pod.selector}},
    }


def scaler(pod: Pod) -> Json:
    """A KEDA ScaledObject on requests in flight, read from the pods themselves: no metrics server between."""
    trigger = {
        "type": "metrics-api",
        "metricType": "AverageValue",
        "metadata": {
            "url": f"http://{pod.name}.{pod.namespace}.svc.cluster.local:{SERVICE_PORT}/metrics",
            "format": "prometheus",
            "valueLocation": "lockstep_in_flight",
            "aggregateFromKubeServiceEndpoints": "true",
            "aggregationType": "sum",
            "targetValue": str(pod.service.in_flight),
        },
    }
    return {
        "metadata": pod.metadata(),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": pod.name},
            "minReplicaCount": pod.service.min,
            "maxReplicaCount": pod.service.max,
            "pollingInterval": 10,
            "cooldownPeriod": 300,
            "fallback": {"failureThreshold": 3, "replicas": pod.service.max},
            "triggers": [trigger],
        },
    }


def network_policy(pod: Pod) -> Json:
    """In: the gateway, and the scaler that reads the metrics. Out: names, credentials, and the endpoints
    inside the VPC; nothing else, so a release that phones home reaches nobody."""
    resolvers: list[Json] = [{"ipBlock": {"cidr": cidr}} for cidr in (*RESOLVERS, pod.vpc)]

    def namespace(name: str) -> Json:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}

    def ports(*numbers: int, protocol: str = "TCP") -> list[Json]:
        return [{"protocol": protocol, "port": number} for number in numbers]

    return {
        "metadata": pod.metadata(),
        "spec": {
            "podSelector": {"matchLabels": pod.selector},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [namespace(GATEWAY_NAMESPACE), namespace(SCALER_NAMESPACE)], "ports": ports(PORT)}
            ],
            "egress": [
                {
                    "to": [namespace("kube-system"), *resolvers],
                    "ports": [*ports(DNS, protocol="UDP"), *ports(DNS)],
                },
                {"to": [{"ipBlock": {"cidr": POD_IDENTITY}}], "ports": ports(80)},
                {"to": [{"ipBlock": {"cidr": pod.vpc}}], "ports": ports(443)},
            ],
        },
    }


def role_policy(registry: str) -> Json:
    """What a pod may do in the account: read the bucket of releases, and nothing more."""
    arn = f"arn:aws:s3:::{registry}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "ReadReleases", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{arn}/*"]},
            {"Sid": "FindReleases", "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [arn]},
        ],
    }


TRUST: Mapping[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "PodIdentity",
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    ],
}
