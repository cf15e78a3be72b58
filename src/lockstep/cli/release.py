"""`./lockstep release`: build a release, list what the store holds, look at one, check one, clean up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from lockstep.cli.context import dry_run_option
from lockstep.cli.output import emit, output_option, say
from lockstep.cli.release_gc import checkout
from lockstep.cli.release_gc import command as gc
from lockstep.errors import IntegrityError, UsageError
from lockstep.release.bundle import Manifest
from lockstep.release.store import Store
from lockstep.stores import open_store
from lockstep.table import short

store_option = click.option(
    "--store", "url", metavar="URL", help="file:///folder or s3://bucket/prefix. [default: the local stack's]"
)
digest_argument = click.argument("release")


def _url(url: str | None) -> str:
    from lockstep.workspace import LOCAL, Workspace

    return url or Workspace(checkout(), LOCAL).store_url


def _open(url: str | None) -> Store:
    return open_store(_url(url))


@click.group("release")
def command() -> None:
    """Releases: immutable bundles of a model, named by their digest.

    RELEASE is a digest, sha256:..., or the first digits of one (four at least).
    """


command.add_command(gc)


@command.command()
@click.option("--model", default="digits", show_default=True, help="A folder of models/.")
@click.option(
    "--variant",
    type=click.Choice(["plain", "better"]),
    default="plain",
    show_default=True,
    help="Which of the model's recipes.",
)
@store_option
@dry_run_option
@output_option
def build(model: str, variant: str, url: str | None, dry_run: bool, output: str) -> None:
    """Train, bundle, store and evaluate a release.

    The same inputs give the same digest. The held-out evaluation is attached to the release, signed with
    this checkout's builder key.

    \b
    Examples:
      ./lockstep release build
      ./lockstep release build --variant better --output json
      ./lockstep release build --dry-run
    """
    from lockstep.evidence.keys import Signer, ensure_local_keys
    from lockstep.release.build import build as build_release
    from lockstep.release.build import describe

    here = checkout()
    if dry_run:
        name = f"{describe(here.root / 'models' / model)['name']}-{variant}"
        there = [entry.digest for entry in _open(url).list(model) if entry.name == name]
        emit(
            output,
            "release-build",
            {"name": name, "store": _url(url), "there": there, "dry_run": True},
            lambda: (
                f"would train, store and evaluate {name}\nstore: {_url(url)}\n"
                f"there by this name: {', '.join(there) or 'none'}"
            ),
        )
        return
    ensure_local_keys(here)
    built = build_release(
        here.root / "models" / model,
        variant,
        _open(url),
        Signer.load(here.keys / "builder.pem"),
        now=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        progress=say,
    )
    document = {"digest": built.digest, "evaluation": built.evaluation_digest, "accuracy": built.accuracy}
    emit(
        output,
        "release-build",
        document,
        lambda: (
            f"{built.digest}\n  {built.accuracy:.1%} of the held-out images right, signed evaluation attached"
        ),
    )


@command.command("key")
@output_option
def key(output: str) -> None:
    """Print the public key that this checkout signs evaluations with, as an environment is told to trust it.

    A stack in the cloud takes a release when a person of its environment evaluated it. The line goes into
    policies/data/roles.json, right after "people": { of the environment, in a change that others review.

    \b
    Examples:
      ./lockstep release key
      ./lockstep release key --output json
    """
    from lockstep.evidence.keys import Signer, ensure_local_keys
    from lockstep.evidence.signer import as_line, person

    here = checkout()
    ensure_local_keys(here)
    signer = Signer.load(here.keys / "builder.pem")
    name, builder = f"builder-{signer.keyid[:8]}", person("builder", signer.keyid, signer.public_pem)
    emit(output, "release-key", {"people": {name: builder}}, lambda: as_line(name, builder))


@command.command("list")
@click.option("--model", help="Only this model's releases.")
@store_option
@output_option
def list_releases(model: str | None, url: str | None, output: str) -> None:
    """The releases in the store, oldest first.

    \b
    Examples:
      ./lockstep release list
      ./lockstep release list --model digits --output json
    """
    entries = _open(url).list(model)
    document = {
        "releases": [
            {"digest": entry.digest, "model": entry.model, "name": entry.name, "created": entry.created}
            for entry in entries
        ]
    }

    def text() -> str:
        rows = [f"{short(entry.digest)}  {entry.name:<20}  {entry.created}" for entry in entries]
        return "\n".join(rows) or "no releases yet; make one: ./lockstep release build"

    emit(output, "release-list", document, text)


@command.command()
@digest_argument
@store_option
@output_option
def show(release: str, url: str | None, output: str) -> None:
    """What a release is made of, and the evidence about it.

    \b
    Examples:
      ./lockstep release show sha256:1f0c
      ./lockstep release show 1f0c --output json
    """
    store = _open(url)
    manifest = store.manifest(store.resolve(release))
    evaluation, reason = _evidence(store, manifest.digest)
    document = {
        "digest": manifest.digest,
        "model": manifest.model,
        "name": manifest.name,
        "size": sum(blob.size for blob in manifest.blobs),
        "files": [{"title": blob.title, "digest": blob.digest, "size": blob.size} for blob in manifest.blobs],
        "evaluation": evaluation,
        "evaluation_reason": reason,
    }
    emit(output, "release-show", document, lambda: _describe(manifest, evaluation, reason))


def _evidence(store: Store, digest: str) -> tuple[dict[str, Any] | None, str | None]:
    from lockstep.evidence import collect
    from lockstep.evidence.keys import load_trust

    try:
        found = collect(store, digest, load_trust(checkout().policies, "local"))
    except UsageError as error:  # no keys in this checkout yet: a release can be looked at all the same
        return None, f"{error.message}; {error.remedy}"
    return found.evaluation, found.reason


def _describe(manifest: Manifest, evaluation: dict[str, Any] | None, reason: str | None) -> str:
    lines = [f"{manifest.name}  {manifest.digest}", f"model {manifest.model}", "", "files"]
    lines += [f"  {blob.size:>9,}  {short(blob.digest)}  {blob.title}" for blob in manifest.blobs]
    lines += [f"  {sum(blob.size for blob in manifest.blobs):>9,}  bytes in all", "", "evaluation"]
    if evaluation is None:
        return "\n".join([*lines, f"  none that counts: {reason}"])
    worst = min(evaluation["per_class"], key=lambda label: evaluation["per_class"][label], default=None)
    lines.append(f"  {evaluation['accuracy']:.1%} of {evaluation['images']} held-out images right")
    if worst is not None:
        lines.append(f"  lowest for {worst}: {evaluation['per_class'][worst]:.1%}")
    lines.append(
        f"  signed by {evaluation['person']} ({', '.join(evaluation['roles'])}), {evaluation['time']}"
    )
    return "\n".join(lines)


@command.command()
@digest_argument
@store_option
@output_option
def verify(release: str, url: str | None, output: str) -> None:
    """Hash every byte of a release and of what is attached to it.

    Exits with 1 and names the file when one is not what the digest says.

    \b
    Examples:
      ./lockstep release verify sha256:1f0c
    """
    store = _open(url)
    digest = store.resolve(release)
    store.verify(digest)
    attached = store.referrers(digest)
    for referrer in attached:
        if referrer.problem is not None:
            raise IntegrityError(
                f"evidence {referrer.digest} of release {digest}: {referrer.problem}",
                code="release.corrupt",
                remedy="build the release again to attach a new evaluation",
            )
    files = len(store.manifest(digest).blobs)
    emit(
        output,
        "release-verify",
        {"digest": digest, "ok": True, "files": files, "attached": len(attached)},
        lambda: f"{digest}\n  {files} files and {len(attached)} attached statements are what they say",
    )
