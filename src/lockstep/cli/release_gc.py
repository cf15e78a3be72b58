"""`./lockstep release gc`: remove what nothing in this checkout refers to, after showing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from lockstep.cli.context import confirm_or_stop, dry_run_option
from lockstep.cli.output import emit, output_option, say
from lockstep.errors import UsageError
from lockstep.paths import Paths, cache, here
from lockstep.references import referred, stacks, unchanged
from lockstep.release import bundles, gc
from lockstep.release.folder import FolderStore
from lockstep.release.gc import Garbage
from lockstep.release.url import FolderPlace, parse_url
from lockstep.table import short
from lockstep.workspace import LOCAL, Workspace


def checkout() -> Paths:
    """The folders that the caller put into the context, or those of this checkout."""
    return click.get_current_context().find_object(Paths) or here()


@dataclass(frozen=True)
class Unused:
    """Everything that would go, or went. bundles: by the folder that they are in, path -> bytes."""

    garbage: Garbage
    bundles: dict[Path, dict[Path, int]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(self.garbage.blobs.values()) + sum(sum(each.values()) for each in self.bundles.values())

    @property
    def folders(self) -> list[Path]:
        return sorted(path for each in self.bundles.values() for path in each)

    def __bool__(self) -> bool:
        return bool(self.garbage.entries or self.garbage.blobs or self.folders)


@click.command(
    "gc",
    epilog="\b\nExamples:\n  ./lockstep release gc --dry-run\n  ./lockstep release gc\n"
    "  ./lockstep release gc --yes --output json",
)
@click.option("--store", "url", metavar="URL", help="[default: the local stack's]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@output_option
def command(url: str | None, yes: bool, dry_run: bool, output: str) -> None:
    """Remove releases that no record and no slot refers to.

    Looks at every record of every stack of this checkout and at every Pulumi.<stack>.yaml: what was ever
    placed is in a record and stays. Evidence, unpacked bundles and half-written files go with their
    releases. Refuses where a log does not verify, a stack file cannot be read, or the store is shared.
    Serving environments stay: they are in the user's cache, for all checkouts.
    """
    paths = checkout()
    store = _own_store(url, paths)
    refers = referred(paths)
    found = _survey(paths, store, refers)
    removed = Unused(Garbage())
    if found and not dry_run:
        say(_text(found, "to be removed"))
        confirm_or_stop(f"Remove {_amount(found)}?", yes=yes)
        removed = _remove(paths, store, found)
    shown = found if dry_run else removed
    emit(
        output,
        "release-gc",
        {**_document(shown, paths), "kept": len(refers), "dry_run": dry_run},
        lambda: _text(shown, "would be removed" if dry_run else "removed"),
    )


def _own_store(url: str | None, paths: Paths) -> FolderStore:
    """This checkout's store. Raises UsageError `release.gc_shared` for one that others may use."""
    place = parse_url(url or Workspace(paths, LOCAL).store_url)
    if not isinstance(place, FolderPlace) or place.path.resolve() != paths.store.resolve():
        raise UsageError(
            "only the store in this checkout's state folder can be cleaned: who else uses another "
            "one, and what their records refer to, is not known here",
            code="release.gc_shared",
            remedy="a team's bucket needs a rule that its owners agree on; for this checkout's own "
            f"store: --store {paths.store.as_uri()}",
        )
    return FolderStore(place.path)


def _bundle_folders(paths: Paths) -> list[Path]:
    return [paths.stack(stack).run / "bundles" for stack in stacks(paths)]


def _survey(paths: Paths, store: FolderStore, refers: frozenset[str]) -> Unused:
    found = {folder: bundles.unused(folder, refers) for folder in _bundle_folders(paths)}
    return Unused(gc.survey(store, refers), {folder: each for folder, each in found.items() if each})


def _remove(paths: Paths, store: FolderStore, shown: Unused) -> Unused:
    """What was shown and is still unused, with no command changing a stack meanwhile."""
    with unchanged(paths):
        refers = referred(paths)
        garbage = Garbage()
        if shown.garbage.entries or shown.garbage.blobs:
            garbage = gc.remove(store, shown.garbage, refers, lambda _: None)
        gone = {folder: bundles.remove(folder, each, refers) for folder, each in shown.bundles.items()}
    return Unused(garbage, gone)


def _document(unused: Unused, paths: Paths) -> dict[str, Any]:
    return {
        "releases": [
            {"digest": entry.digest, "name": entry.name, "created": entry.created}
            for entry in unused.garbage.releases
        ],
        "attached": sorted(unused.garbage.attached),
        "blobs": len(unused.garbage.blobs),
        "bundles": [str(path.relative_to(paths.state)) for path in unused.folders],
        "bytes": unused.size,
        "environments": str(cache() / "envs"),
    }


def _text(unused: Unused, verb: str) -> str:
    if not unused:
        return f"nothing {verb}: records or slots refer to every release"
    lines = [f"{short(entry.digest)}  {entry.name:<20}  {entry.created}" for entry in unused.garbage.releases]
    lines += [f"unpacked   {path}" for path in unused.folders]
    return "\n".join([*lines, f"{verb}: {_amount(unused)}"])


def _amount(unused: Unused) -> str:
    garbage = unused.garbage
    return (
        f"{len(garbage.releases)} releases, {len(garbage.attached)} attached statements, "
        f"{len(garbage.blobs)} blobs, {len(unused.folders)} unpacked folders: {unused.size:,} bytes"
    )
