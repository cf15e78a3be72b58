"""What moto is asked for each type of resource: a module for a group of services, a function for a type."""

from lockstep.standin.aws.moto_requests import (
    buckets,
    clusters,
    identity,
    network,
    services,
    traffic,
    unanswered,
)
from lockstep.standin.aws.moto_requests.asked import Ask, Request, given

ANSWERED: dict[str, Request] = {
    **buckets.CREATES,
    **clusters.CREATES,
    **identity.CREATES,
    **network.CREATES,
    **services.CREATES,
    **traffic.CREATES,
}
CREATES: dict[str, Request] = {**ANSWERED, **unanswered.HELD}
UPDATES: dict[str, Request] = {**buckets.UPDATES, **identity.UPDATES, **services.UPDATES, **traffic.UPDATES}
DELETES: dict[str, Request] = {
    **buckets.DELETES,
    **clusters.DELETES,
    **identity.DELETES,
    **network.DELETES,
    **services.DELETES,
    **traffic.DELETES,
}
UNANSWERED = unanswered.REASONS
"""Type -> why moto is not asked."""

__all__ = ["ANSWERED", "CREATES", "DELETES", "UNANSWERED", "UPDATES", "Ask", "Request", "given"]
