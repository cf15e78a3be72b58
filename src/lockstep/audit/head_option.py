"""A head that somebody kept elsewhere, as it is given on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lockstep.audit.note import MAX_HEAD_BYTES, Head, NoteKey, open_note
from lockstep.errors import UsageError


def read_head(text: str, keys: Sequence[NoteKey], origin: str) -> Head:
    """`SIZE:ROOT` (as `up`, the stack output and CI print it), or a file with that or with a signed note.

    Raises UsageError `audit.bad_head` for anything else; a signed note must verify.
    """
    head = Head.read(text.strip(), origin)
    if head is not None:
        return head
    try:
        with Path(text).open("rb") as file:
            data = file.read(MAX_HEAD_BYTES + 1)
    except (OSError, ValueError):
        raise _bad(text) from None
    return Head.read(data.decode("utf-8", "replace").strip(), origin) or open_note(data, keys, origin)


def _bad(text: str) -> UsageError:
    return UsageError(
        f"{text[:100]!r} is no head and no file with one",
        code="audit.bad_head",
        remedy="give SIZE:ROOT as `./lockstep up` printed it, or the file `checkpoint` of an export",
    )
