"""The audit bucket: versitygw on this machine."""

import pulumi

from infra.config import Settings
from infra.resources import AuditBucket


def audit_bucket(settings: Settings) -> AuditBucket:
    """First of all resources: without it nothing can be recorded, so nothing may change.

    Its process is stopped on destroy; the records stay on disk and the next `up` adopts them.
    """
    return AuditBucket("audit", bucket=settings.bucket, port=settings.port, opts=pulumi.ResourceOptions())
