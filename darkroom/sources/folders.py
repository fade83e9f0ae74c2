"""A folder's files: walked, told apart from litter, and a digest of their listing.

Only the standard library is imported here: this is called while the Snakefile is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from darkroom.errors import UserError

Row = tuple[str, int, int]
"""Relative path with `/`, size in bytes, modification time in ns."""

# What file managers leave, in lower case.
JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information"}
JUNK_FILES = {
    *(".ds_store", "_ds_store", "icon\r", "icon_"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
}


def is_junk(path: str) -> bool:
    """Whether a path is litter that file managers leave, not data; a folder's ends with `/`."""
    *folders, name = path.lower().split("/")
    return (
        name in JUNK_FILES
        or name.startswith(("._", "~$"))
        or not JUNK_FOLDERS.isdisjoint([*folders, name])
    )


def printable(name: str) -> str:
    """A name that any program can write; bytes that are no UTF-8 as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def refuse_own(folder: Path, what: str, give: str) -> None:
    """Refuse a folder that the results are written to.

    Parameters
    ----------
    folder : its path.
    what : words for the folder.
    give : words for what should be given in its place.

    Raises
    ------
    UserError
        The folder is the current one, or above it.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(
            f"{what} is the folder that this runs in, or above it, where results are written too:"
            f" give the folder of the {give}, or run elsewhere (snakemake --directory)"
        )


def walk(root: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files below a folder with their relative paths, in no order.

    Hidden files and folders and litter are left out. Links are followed, a folder within itself
    once. A link to nothing is a file (that cannot be read).

    Raises
    ------
    UserError
        A folder is not there, or cannot be read.
    """
    todo = [("", frozenset[tuple[int, int]]())]
    while todo:
        folder, above = todo.pop()
        place = Path(root, folder)
        try:
            info = place.stat()
            if (info.st_dev, info.st_ino) in above:
                continue
            inside = above | {(info.st_dev, info.st_ino)}
            with os.scandir(place) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith("."):
                        continue
                    if not entry.is_dir():
                        if not is_junk(entry.name):
                            yield path, entry
                    elif not is_junk(f"{entry.name}/"):
                        todo.append((path, inside))
        except FileNotFoundError:
            again = "" if folder else " (--forcerun download_source unpacks a source again)"
            raise UserError(f"{place} cannot be read: there is no such folder{again}") from None
        except OSError as error:
            raise UserError(f"{place} cannot be read: {error.strerror}") from None


def files(root: str) -> Iterator[Row]:
    """Walk a folder: regular files, and links to nothing, in no order.

    Raises
    ------
    UserError
        A folder cannot be read.
    """
    for path, entry in walk(root):
        try:
            info = entry.stat()
        except OSError:
            yield path, 0, 0
            continue
        if stat.S_ISREG(info.st_mode):
            yield path, info.st_size, info.st_mtime_ns


def row(root: str, path: str) -> Row:
    """A file below a folder as `files` gives it; size and time are 0 for a link to nothing."""
    try:
        info = Path(root, path).stat()
    except OSError:
        return path, 0, 0
    return path, info.st_size, info.st_mtime_ns


def digest(rows: Iterable[Row]) -> str:
    """Digest of a listing (64 hexadecimal digits), which should be sorted."""
    found = hashlib.sha256()
    for path, size, time in rows:
        found.update(f"{path}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()


def survey(root: str) -> tuple[str, list[Row]]:
    """Digest of a folder's listing, and the listing, sorted.

    Raises
    ------
    UserError
        The folder is empty, or cannot be read.
    """
    rows = sorted(files(root))
    if not rows:
        raise UserError(f"source {root}: the folder holds no files")
    return digest(rows), rows
