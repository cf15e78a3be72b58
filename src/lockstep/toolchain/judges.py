"""The judges: real programs, and real schemas, that tests ask about what Lockstep writes.

`egctl` is Envoy Gateway's own translator; `kube-apiserver` with `etcd` is a Kubernetes control plane; the
`*-crds` are folders of schemas. They are pinned and made like the programs of `lockstep.toolchain`, in the
same per-user folder, but each on its own and only when a test asks for it: a build takes minutes, and no
command that deploys something needs one. No checkout remembers their digests: they decide no change.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import UsageError
from lockstep.paths import cache, here
from lockstep.toolchain import bin_folder
from lockstep.toolchain.progress import Progress
from lockstep.toolchain.versions import Judges, load_judges


def names() -> tuple[str, ...]:
    """Every judge that is pinned, in the order of the file."""
    return tuple(_pinned().programs)


def ensure(wanted: Sequence[str], progress: Progress) -> dict[str, Path]:
    """Name -> the program, or the folder of CRDs; what is missing or changed is made.

    Says what it makes through `progress`, and nothing when nothing is to do. Raises UsageError
    `toolchain.judge` for a name that is not pinned, Unavailable `toolchain.*` when one cannot be made.
    """
    pinned, root = _pinned(), cache() / "toolchain"
    unknown = sorted(set(wanted) - pinned.programs.keys())
    if unknown:
        raise UsageError(
            f"no judge is called {', '.join(unknown)}",
            code="toolchain.judge",
            remedy=f"toolchain/judges/versions.toml pins {', '.join(pinned.programs)}",
        )
    found = {}
    for program in (pinned.programs[name] for name in wanted):
        home = bin_folder.home_of(program, root)
        if not bin_folder.is_whole(home):
            with bin_folder.one_at_a_time(root / "judges.lock", progress):
                bin_folder.ensure_program(program, pinned.go_minimum, root, progress)
        found[program.name] = home / program.name
    return found


def _pinned() -> Judges:
    return load_judges(here().root / "toolchain" / "judges")
