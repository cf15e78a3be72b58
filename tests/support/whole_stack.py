"""All of AWS that a stack declares, without what needs a log."""

from __future__ import annotations

from infra.aws import service, target
from infra.aws.estate import Estate
from infra.aws.pods import Pod
from infra.aws.region import Place
from infra.config import Settings


def whole_stack(settings: Settings) -> Estate:
    """With a service in each region; without gate, warrants and receipt, which need a log and declare nothing
    of AWS, and without routes, which declare nothing of it either."""
    ground = target.ground(settings)
    bucket = target.audit_bucket(ground)
    places = {name: target.region(ground, name, after=[bucket]) for name in settings.regions}
    target.entry_point(ground, places)
    for place in places.values():
        for model in settings.table:
            pod = _pod(ground, place, model)
            service._identity(ground, place, pod, [bucket])
    return ground


def _pod(ground: Estate, place: Place, model: str) -> Pod:
    return Pod(
        name=f"{model}-{place.region}-blue",
        namespace=place.namespace,
        model=model,
        region=place.region,
        slot="blue",
        release="",
        image="",
        store=ground.store,
        runtime=ground.settings.runtime,
        service=ground.cloud.services[model],
        vpc=ground.cloud.network.cidrs[place.region],
    )
