"""Reading one mapping of a stack file: what is wrong is said with its key, and all at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288)
"""The retentions that CloudWatch Logs knows, in days."""


class Section:
    """One mapping of the config, read key by key; what is wrong is said with the key, and all at once."""

    def __init__(self, key: str, value: object, known: Sequence[str], problems: list[str]) -> None:
        self.key, self.problems = key, problems
        self.values: dict[str, Any] = {}
        if not isinstance(value, dict):
            problems.append(f"{key}: must be a mapping, is {value!r}")
            return
        for name in value.keys() - set(known):
            problems.append(f"{key}.{name}: unknown key; known: {', '.join(known)}")
        self.values = value

    def wrong(self, name: str, said: str) -> None:
        self.problems.append(f"{self.key}.{name}: {said}")

    def text(self, name: str, pattern: re.Pattern[str], what: str, default: str | None = None) -> str:
        value = self.values.get(name, default)
        if value == default and default is not None:
            return default
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.wrong(name, f"{value!r} is not {what}")
            return ""
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        value = self.values.get(name, default)
        if value not in allowed:
            self.wrong(name, f"{value!r} is not one of {', '.join(allowed)}")
            return default
        return str(value)

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.wrong(name, f"{value!r} is not a whole number from {low} to {high}")
            return default
        return value

    def days(self, name: str, default: int) -> int:
        """How long CloudWatch Logs keeps something."""
        value = self.values.get(name, default)
        if isinstance(value, bool) or value not in LOG_DAYS:
            self.wrong(name, f"{value!r} is not one of {', '.join(map(str, LOG_DAYS))}")
            return default
        return int(value)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.wrong(name, f"{value!r} is not a number from {low:g} to {high:g}")
            return default
        return value

    def texts(self, name: str, pattern: re.Pattern[str], what: str) -> tuple[str, ...]:
        value = self.values.get(name, [])
        if not isinstance(value, list):
            self.wrong(name, f"must be a list, is {value!r}")
            return ()
        for item in value:
            if not isinstance(item, str) or pattern.fullmatch(item) is None:
                self.wrong(name, f"{item!r} is not {what}")
        return tuple(str(item) for item in value)
