"""A source that is on this disk, looked at while the Snakefile is read.

Imports the standard library only.
"""

from __future__ import annotations

from pathlib import Path

from darkroom.sources import published, unpack
from darkroom.sources.addresses import kind, local_path
from darkroom.sources.folders import files, refuse_own


def local_input(source: str) -> str | None:
    """Path of a local archive, for a rule's input; None for other kinds of source."""
    return str(local_path(source)) if kind(source) == "archive" else None


def mark(archive: Path) -> dict[str, int]:
    """Size and modification time of an archive, by which a change is noticed."""
    info = archive.stat()
    return {"size": info.st_size, "mtime_ns": info.st_mtime_ns}


def listing(source: str, limit: int = 200_000) -> list[str] | None:
    """Sorted relative paths of the files of a source, without unpacking.

    Returns
    -------
    None where they are unknown, slow to read, or not yet images: bundled and remote sources, more
    than `limit` files, compressed tar files beyond 10 MB, nested archives, array files.
    """
    what = kind(source)
    paths: list[str] = []
    if what == "archive" and not published.is_packed(source):
        paths = unpack.listing(str(local_path(source)), limit) or []
    elif what == "folder":
        for path, _, _ in files(str(folder(source))):
            if len(paths) >= limit:
                return None
            paths.append(path)
    return sorted(paths) if paths and not published.claimed(paths) else None


def folder(source: str) -> Path:
    """The absolute path of a folder, which must not contain the results."""
    path = local_path(source).absolute()
    refuse_own(path, f"source {source!r}", "images")
    return path
