"""The nouns of a stack in the cloud: regions with clusters, services and routes on AWS."""

import pulumi

from infra.aws import audit
from infra.aws.entry import entry_point
from infra.aws.estate import Estate, estate
from infra.aws.identity import identity
from infra.aws.region import region
from infra.aws.route import route
from infra.aws.service import service

__all__ = ["audit_bucket", "entry_point", "ground", "region", "route", "service"]

ground = estate


def audit_bucket(estate: Estate) -> pulumi.Resource:
    """The records, and who may read and add to them."""
    records = audit.audit_bucket(estate)
    identity(estate, records)
    return records.resource
