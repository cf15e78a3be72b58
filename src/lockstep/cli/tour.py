"""`./lockstep tour`: the whole story on the running stack, with real images and real records."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import click

from lockstep.cli.context import Context, open_context
from lockstep.errors import LockstepError, UsageError
from lockstep.table import cells, share, short
from lockstep.workspace import LOCAL

IMAGES = 400
MODEL = "digits"


@click.command(epilog="\b\nExample:\n  ./lockstep tour")
def command() -> None:
    """Walk through a promotion, three refusals, a rollback and the proof of it all; a few minutes."""
    context = open_context(LOCAL)
    candidate = _prepare(context)
    _act_one(candidate)
    _act_two(context, candidate)
    _act_three(candidate)
    _act_four()
    _chapter(
        "The end",
        "The stack is as it was before, and the log has the whole story: ./lockstep audit show --last 20",
    )
    _cli("retry", candidate, "--reason", "the tour is over; the release may try again")


def _prepare(context: Context) -> str:
    """The stack up and settled, with nothing but what stands taking traffic; the candidate's digest."""
    from lockstep.stores import open_store, url_of

    file = context.workspace.file
    if file.path.exists() and file.store():  # a fresh checkout has no stack file: `up` writes it
        raise UsageError(
            "the tour changes a byte of a release, and this stack's releases are in a store of others, too",
            code="tour.shared_store",
            remedy="take lockstep:store out of the stack file for the tour",
        )
    if "entry" not in context.local.alive():
        _chapter("First", "Nothing runs yet, so the stack is brought up.")
        _cli("up")
    settings = context.settings
    store = open_store(url_of("", context.workspace.paths.store))
    state = context.ledger.state(fresh=True)
    standing = {} if state is None else state.standing.get(MODEL, {})
    stands = set(standing.values())
    for model, region, cell in cells(settings.table):
        if model == MODEL and share(cell, standing.get(region, "")) != 100:
            raise UsageError(
                f"a promotion is under way in {region}, and the tour starts from a settled stack",
                code="tour.not_settled",
                remedy=f"finish it or run `./lockstep rollback {MODEL}`, then start the tour again",
            )
    others = [entry.digest for entry in store.list(MODEL) if entry.digest not in stands]
    if not others:
        raise UsageError(
            "the store has no second release of digits",
            code="tour.no_candidate",
            remedy="run `./lockstep release build --variant better`",
        )
    if state is not None and others[-1] in state.barred:
        _chapter(
            "First", "The candidate was rolled back from before; somebody lets it try again, on the record."
        )
        _cli("retry", others[-1], "--reason", "for the tour")
    return others[-1]


def _act_one(candidate: str) -> None:
    _chapter(
        "1. A candidate gets 5 %",
        f"Release {short(candidate)} is new. Its files are verified, its signed evaluation is read, and\n"
        "policy is asked. It goes into the free slot of both regions without traffic, and only when it\n"
        "is ready there does it get 5 % of real images: one region after the other, each step recorded.",
    )
    _cli("promote", MODEL, candidate, "--share", "5")
    _traffic()
    _chapter("2. Then a little more", "The next allowed step for one region.")
    _cli("promote", MODEL, candidate, "--share", "10", "--region", "local-a")
    _traffic()


def _act_two(context: Context, candidate: str) -> None:
    _chapter(
        "3. A step that is too large",
        "Somebody is in a hurry: from 5 % to 80 %. Policy refuses, says which rule, why, and what to do\n"
        "instead. Nothing was changed; the refusal itself is in the log.",
    )
    _cli("promote", MODEL, candidate, "--share", "80", "--region", "local-b", expect=5)
    _chapter(
        "4. Weights that were tampered with",
        "One bit of the candidate's weights is flipped in the release store. Every step reads every file\n"
        "again and compares it with its name, so the next step is refused.",
    )
    with _Tampered(context, candidate):
        _cli("promote", MODEL, candidate, "--share", "10", "--region", "local-b", expect=5)
    click.echo("(the bit is put back)")


def _act_three(candidate: str) -> None:
    _chapter(
        "5. Back to the release that stood before",
        "A rollback is an update like any other: gated, recorded, all regions at once. It moves weights\n"
        "only; the old release was kept warm, so it is quick.",
    )
    _cli("rollback", MODEL, "--reason", "the tour shows a rollback")
    _traffic()
    _chapter(
        "6. What was rolled back stays out",
        "A forgetful pipeline applies the candidate again. It is refused until a person says otherwise,\n"
        "on the record, with `./lockstep retry`.",
    )
    _cli("promote", MODEL, candidate, "--share", "5", expect=5)


def _act_four() -> None:
    _chapter(
        "7. The proof",
        "Every record is signed and lies in an object-locked bucket under a Merkle tree. Anyone with the\n"
        "public key can check all of it, offline.",
    )
    _cli("audit", "verify")
    with tempfile.TemporaryDirectory(prefix="lockstep-tour-") as folder:
        copy = Path(folder) / "export"
        _cli("audit", "export", str(copy))
        record = sorted((copy / "record").iterdir())[1]
        data = bytearray(record.read_bytes())
        data[len(data) // 2] ^= 1
        record.chmod(0o600)
        record.write_bytes(bytes(data))
        _chapter(
            "8. One byte", f"In a copy of the log, one bit of {record.parent.name}/{record.name} is changed."
        )
        _cli("audit", "verify", "--from", str(copy), expect=1)


class _Tampered:
    """The candidate's weights with one bit flipped, for as long as the block lasts."""

    def __init__(self, context: Context, release: str) -> None:
        from lockstep.stores import open_store, url_of

        store = context.workspace.paths.store
        blob = open_store(url_of("", store)).manifest(release).blob("model.safetensors").digest
        self._file = store / "blobs" / "sha256" / blob.removeprefix("sha256:")
        self._aside = self._file.with_name(self._file.name + ".tour")

    def __enter__(self) -> None:
        data = bytearray(self._file.read_bytes())
        data[len(data) // 2] ^= 1
        os.link(self._file, self._aside)
        beside = self._file.with_name(self._file.name + ".new")
        beside.write_bytes(bytes(data))
        beside.replace(self._file)

    def __exit__(self, *_: object) -> None:
        self._aside.replace(self._file)


def _chapter(title: str, words: str) -> None:
    click.echo("\n" + click.style(title, bold=True) + "\n" + words + "\n")


def _cli(*words: str, expect: int = 0) -> None:
    """Run a command as a user would, showing it and what it prints. Raises if it ends otherwise."""
    click.echo(click.style("$ ./lockstep " + shlex.join(words), fg="cyan"))
    done = subprocess.run([sys.executable, "-m", "lockstep.cli", *words], check=False)
    if done.returncode != expect:
        raise LockstepError(
            f"`./lockstep {' '.join(words)}` ended with {done.returncode}, the tour expected {expect}",
            code="tour.unexpected",
            remedy="read what it printed above; `./lockstep status` shows where things are",
        )


def _traffic() -> None:
    """Send held-out images through the entry point and show who answered, as a bar for each release."""
    from models.digits.dataset import held_out_png

    port = open_context(LOCAL).settings.port
    images = [held_out_png(index)[0] for index in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: _ask(port, images[n % len(images)]), range(IMAGES)))
    failed = sum(1 for answer in answers if answer is None)
    counts = Counter(
        (answer["region"], answer["slot"], answer["release"]) for answer in answers if answer is not None
    )
    per_region = Counter(key[0] for key in counts.elements())
    click.echo(f"\n{IMAGES} real images through the entry point, {failed} failed:")
    for (region, slot, release), count in sorted(counts.items()):
        percent = 100 * count / per_region[region]
        click.echo(
            f"  {region} {slot:<5} {short(release)} {percent:5.1f} %  {'█' * max(1, round(percent / 2.5))}"
        )


def _ask(port: int, image: bytes) -> dict[str, Any] | None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", f"/v1/models/{MODEL}/predict", image, {"Content-Type": "image/png"})
        response = connection.getresponse()
        body = response.read()
        return dict(json.loads(body)) if response.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()
