"""What a stack on one machine stands on: the machine, and nothing to declare."""

from dataclasses import dataclass

from infra.config import Settings


@dataclass(frozen=True)
class Ground:
    settings: Settings


def ground(settings: Settings) -> Ground:
    return Ground(settings)
