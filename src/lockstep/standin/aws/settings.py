"""The provider's own settings, which the SDK sends as text where they are not."""

from __future__ import annotations

import json
from typing import Any

from lockstep.standin.aws import constraints
from lockstep.standin.aws.behaviour import Behaviour
from lockstep.standin.aws.sdk import Sdk
from lockstep.standin.aws.shape import problems
from lockstep.standin.provider import Failure
from lockstep.standin.wire import UNKNOWN, Values


def decoded(config: Values) -> Values:
    """Lists, objects and booleans as what they are."""
    return {key: _decoded(value) for key, value in config.items() if key != "version"}


def refused(config: Values, sdk: Sdk) -> list[Failure]:
    """What is wrong with the settings: types, and a region that is missing or is none."""
    settings = decoded(config)
    failures = [
        failure
        for failure in problems(sdk.provider(), settings)
        if not _is_number_as_text(settings.get(failure.path))
    ]
    region = settings.get("region")
    if region is None:
        failures.append(Failure("region", "the provider aws needs the property 'region'"))
    elif region is not UNKNOWN:
        failures += constraints.refused(Behaviour(), {}, region)
    return failures


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in '{["tf':
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _is_number_as_text(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip("-").isdigit()
