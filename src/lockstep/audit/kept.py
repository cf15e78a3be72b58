"""The heads that this machine keeps outside the bucket, so that a bucket put back to an older copy shows.

    <stack folder>/head        SIZE:ROOT, written after every append
    Pulumi's state             the stack output `head`, as the last update left it
    <stack folder>/head.lost   SIZE:ROOT lines that a person has given up: after a loss that is real, a kept
                               head named here binds nobody any more (docs/adr/0014)

Whoever can put back all of them at once is caught only by a head that was kept on another machine.
"""

from __future__ import annotations

from pathlib import Path

from lockstep.audit.note import Head
from lockstep.errors import IntegrityError
from lockstep.files import NoRegularFile, read_regular, write_atomic
from lockstep.jsontext import from_json
from lockstep.paths import Paths, StackPaths


def kept_heads(paths: Paths, stack: str, origin: str) -> tuple[Head, ...]:
    """What the log of this stack must go on from, by everything that was kept here.

    Raises IntegrityError `audit.kept_head` when the file that was kept is something else.
    """
    lost = _lines(_lost(paths.stack(stack)))
    found = [_from_file(paths.stack(stack), origin), _from_state(paths.backend, stack, origin)]
    return tuple(head for head in found if head is not None and str(head) not in lost)


def keep_head(stack: StackPaths, head: Head) -> None:
    """Keep a head that was just covered or found, unless a later one is kept already."""
    before = _from_file(stack, head.origin)
    given_up = before is not None and str(before) in _lines(_lost(stack))
    if before is None or given_up or before.size < head.size:
        stack.root.mkdir(parents=True, exist_ok=True)  # a stack elsewhere has no other file here
        write_atomic(_file(stack), f"{head}\n".encode())


def _file(stack: StackPaths) -> Path:
    return stack.root / "head"


def _lost(stack: StackPaths) -> Path:
    return stack.root / "head.lost"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").split()
    except FileNotFoundError:
        return []


def _from_file(stack: StackPaths, origin: str) -> Head | None:
    lines = _lines(_file(stack))
    if not _file(stack).exists():
        return None
    head = Head.read(lines[0], origin) if len(lines) == 1 else None
    if head is None:
        raise IntegrityError(
            f"{_file(stack)} is not a head",
            code="audit.kept_head",
            remedy="compare the log with a head from elsewhere (`./lockstep audit verify --head SIZE:ROOT`), "
            "then remove the file",
        )
    return head


def _from_state(backend: Path, stack: str, origin: str) -> Head | None:
    """The stack output `head` in Pulumi's state. A state that is not there or not whole says nothing here:
    the engine reads it first and says so."""
    path = backend / ".pulumi" / "stacks" / "lockstep" / f"{stack}.json"
    try:
        state = from_json(read_regular(path))
        resources = ((state.get("checkpoint") or {}).get("latest") or {}).get("resources") or []
        outputs = [one.get("outputs") or {} for one in resources if one["type"] == "pulumi:pulumi:Stack"]
        said = outputs[0].get("head") if outputs else None
    except (FileNotFoundError, NoRegularFile, ValueError, AttributeError, KeyError, TypeError):
        return None
    return Head.read(said, origin) if isinstance(said, str) else None
