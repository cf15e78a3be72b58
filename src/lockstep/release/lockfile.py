"""Which lock file a release names for a runtime: what its serving environment, or its image, is made from."""

from __future__ import annotations

from lockstep.errors import UsageError
from lockstep.release.bundle import corrupt, read_canonical
from lockstep.release.store import Store


def lock_digest(store: Store, release: str, runtime: str) -> str:
    """The digest of that lock file. Reads the manifest and the config, and no weights.

    Raises UsageError `release.unknown`, `release.no_lock`; IntegrityError `release.corrupt`; Unavailable.
    """
    manifest = store.manifest(release)
    runtimes = read_canonical(store.read_blob(manifest.config.digest), f"config of {release}").get("runtimes")
    if not isinstance(runtimes, dict):
        raise corrupt(f"config of {release} names no runtimes")
    title = runtimes.get(runtime)
    if title is None:
        raise UsageError(
            f"release {release} names no lock file for the runtime {runtime!r}",
            code="release.no_lock",
            remedy=f"set lockstep:runtime to one of: {', '.join(sorted(runtimes))}",
        )
    return manifest.blob(str(title)).digest
