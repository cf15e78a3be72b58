"""What a stack file says of a stack in the cloud: `values` is what it means, `read` how it is checked."""

from infra.cloud.read import BUCKET, KEYS, NAMESPACE, cloud_of
from infra.cloud.values import Capacity, Cloud, Cluster, Entry, Identity, Network, Replica, Service

__all__ = [
    "BUCKET",
    "KEYS",
    "NAMESPACE",
    "Capacity",
    "Cloud",
    "Cluster",
    "Entry",
    "Identity",
    "Network",
    "Replica",
    "Service",
    "cloud_of",
]
