"""Opening a release store by its URL."""

from __future__ import annotations

from pathlib import Path

from lockstep.release.store import Store
from lockstep.release.url import FolderPlace, parse_url


def open_store(url: str) -> Store:
    """The store at a URL (see lockstep.release.url). Nothing is made or asked before the first use.

    Raises UsageError `release.store_url` for other URLs.
    """
    place = parse_url(url)
    if isinstance(place, FolderPlace):
        from lockstep.release.folder import FolderStore

        return FolderStore(place.path)
    from lockstep.boto import BotoObjects
    from lockstep.release.s3 import S3Store

    return S3Store(BotoObjects(place), place.prefix)


def url_of(configured: str, folder: Path) -> str:
    """The URL that a stack's config gives; where it gives none, that of the checkout's own store."""
    return configured or folder.absolute().as_uri()
