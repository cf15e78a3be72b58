"""The nouns of the stack on one machine: processes on loopback, kept alive by supervisord."""

from infra.local.audit import audit_bucket
from infra.local.ground import ground
from infra.local.region import entry_point, region
from infra.local.route import route
from infra.local.service import service

__all__ = ["audit_bucket", "entry_point", "ground", "region", "route", "service"]
