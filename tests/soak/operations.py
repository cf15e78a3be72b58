"""What a person does to a stack, drawn from a seed, in an order that policy allows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from tests.support.checkout import Checkout

LADDER = (0, 5, 25, 50)
REGIONS = ("local-a", "local-b")


@dataclass
class Operations:
    """status: what `status` said last; whoever changes the stack puts the new one there."""

    checkout: Checkout
    rng: random.Random
    better: str
    status: dict[str, Any]

    @classmethod
    def on(cls, checkout: Checkout, rng: random.Random) -> Operations:
        """A stack that is up, with a candidate in one region; what an earlier test left goes on as it is."""
        checkout.run("up")
        better, status = checkout.releases()["digits-better"], checkout.json("status")
        if not any(region["green"]["release"] for region in status["regions"]):
            checkout.run("promote", "digits", better, "--share", "5", "--region", "local-a")
            status = checkout.json("status")
        return cls(checkout, rng, better, status)

    def next(self, *, without: tuple[str, ...] = ()) -> tuple[str, list[str]]:
        """Name and command line of the next operation; what it needs beforehand is done."""
        shares = {region["name"]: share(region) for region in self.status["regions"]}
        low = [region for region in REGIONS if shares[region] < LADDER[-1]]
        choices = ["up", "up after a power cut"]
        choices += ["promote", "promote", "up with a step"] if low else []
        choices += ["rollback", "rollback"] if any(shares.values()) else ["down"]
        operation = self.rng.choice([each for each in choices if each not in without])
        rises = operation in ("promote", "up with a step")
        # A bar outlives a destroy: what lies in its slot could not be placed there again afterwards.
        if self.better in self.status["barred"] and (rises or operation == "down"):
            self.checkout.run("retry", self.better, "--reason", "another round")
        if rises:
            return operation, self._rise(operation, shares, low)
        if operation == "up after a power cut":
            self.checkout.crash()
        words = {"rollback": ["rollback", "digits"], "down": ["down", "--yes"]}
        return operation, words.get(operation, ["up"])

    def _rise(self, operation: str, shares: dict[str, float], low: list[str]) -> list[str]:
        region = self.rng.choice(low)
        above = LADDER[LADDER.index(int(shares[region])) + 1]
        if operation == "promote":
            both = shares["local-a"] == shares["local-b"] and self.rng.random() < 0.5
            chosen = [] if both else ["--region", region]
            return ["promote", "digits", self.better, "--share", str(above), *chosen]
        green = next(each for each in self.status["regions"] if each["name"] == region)["green"]
        change = {"green_weight": above} if green["release"] else {"green": self.better}
        self.checkout.declare(**{region.replace("-", "_"): change})
        return ["up"]


def share(region: dict[str, Any]) -> float:
    return float((region["live"] or {}).get("green_weight") or 0)
