"""The audit bucket: versitygw on this machine."""

import pulumi

from infra.local.ground import Ground
from infra.resources import AuditBucket


def audit_bucket(ground: Ground) -> AuditBucket:
    """First of all resources: without it nothing can be recorded, so nothing may change.

    Its process is stopped on destroy; the records stay on disk and the next `up` adopts them.
    """
    settings = ground.settings
    return AuditBucket("audit", bucket=settings.bucket, port=settings.port, opts=pulumi.ResourceOptions())
