"""Every effect has a record before it and after it: where gate, log and live stack meet."""

from lockstep.ledger.ledger import Ledger
from lockstep.ledger.reader import waits

__all__ = ["Ledger", "waits"]
