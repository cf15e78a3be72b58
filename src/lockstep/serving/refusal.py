"""A request that is not served, and how the reason travels out to the client.

BentoML turns every exception of an API into its own body. So the reason is noted on the exchange,
and the guard, which sees each answer last, writes the body.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass

from lockstep.errors import UsageError


class Refused(UsageError):
    """This request cannot be answered. `status`: the HTTP status; `message` is shown to the client."""

    def __init__(self, message: str, *, code: str, status: int) -> None:
        super().__init__(message, code=code)
        self.status = status

    def bare(self) -> Refused:
        """The same without its traceback, whose frames hold the body and all that was made of it.

        Kept on the exchange it would be a circle, and the memory only free again when the collector comes.
        """
        return Refused(self.message, code=self.code, status=self.status)


def error_body(code: str, message: str) -> bytes:
    """The one form in which a client is told that it is not served."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


@dataclass
class Exchange:
    """One request under way; `refused` is why it failed, once that is known."""

    refused: Refused | None = None


current: ContextVar[Exchange] = ContextVar("lockstep.serving.exchange")


def note(refused: Refused) -> Refused:
    """Record the reason for the guard, and return it to be raised."""
    exchange = current.get(None)
    if exchange is not None:
        exchange.refused = refused.bare()
    return refused
