"""JSON that others have written, and that may be anything: whatever cannot be read is a ValueError."""

from __future__ import annotations

import json
from typing import Any


def from_json(data: str | bytes) -> Any:
    """What json.loads gives. Raises ValueError, also for what is nested deeper than Python follows."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
