"""The files of a folder, without the litter of file managers, and a digest of their listing.

Imports the standard library only: this runs while the Snakefile is read.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from darkroom.errors import UserError
from darkroom.names import visible

Row = tuple[str, int, int]
"""Relative path with `/`, size in bytes, modification time in ns."""

Identity = tuple[int, int]
"""Device and inode of a folder."""

# Written by file managers; in lower case.
JUNK_FOLDERS = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"}
JUNK_FILES = {
    *(".ds_store", "_ds_store", "icon\r", "icon_"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
}


def is_junk(path: str) -> bool:
    """Whether a path is litter of a file manager, not data; the path of a folder ends with `/`."""
    *folders, name = path.lower().split("/")
    return (
        name in JUNK_FILES
        or name.startswith(("._", "~$"))
        or not JUNK_FOLDERS.isdisjoint([*folders, name])
    )


def printable(name: str) -> str:
    """A printable name: bytes that are no UTF-8 become `\\xff`, a line break `\\n`."""
    if name.isascii() and name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def refuse_own(folder: Path, what: str, give: str) -> None:
    """Refuse a folder that results are written to.

    Parameters
    ----------
    folder : path of the folder.
    what : name of the folder in the message.
    give : name of the contents of the right folder, in the message.

    Raises
    ------
    UserError
        The folder is the current one, or a parent of it.
    """
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(
            f"{what} is the working folder or a parent of it, where results are written too: give the"
            f" folder of the {give}, or run elsewhere (snakemake --directory)"
        )


def walk(root: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files below a folder with their relative paths, in no order.

    Hidden files and folders and litter are left out. A link to a folder is followed, but not into
    a parent; within a folder reached by a link, not into one that was already listed, so folders
    that link to each other have few paths. A broken link counts as a file (that cannot be read).

    Raises
    ------
    UserError
        A folder does not exist, or cannot be read.
    """
    # Of each folder: its path, the folders above it, and whether a link led to it.
    todo = [("", frozenset[Identity](), False)]
    links: list[tuple[str, frozenset[Identity], bool]] = []
    listed: set[Identity] = set()
    while todo or links:
        nested = False
        if not todo:  # real folders first; links in the order of their names
            links.sort(key=lambda link: link[0], reverse=True)
            folder, above, nested = links.pop()
            linked = True
        else:
            folder, above, linked = todo.pop()
        place = Path(root, folder)
        try:
            info = place.stat()
            own = (info.st_dev, info.st_ino)
            if own in above or (nested and own in listed):
                continue
            listed.add(own)
            with os.scandir(place) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith("."):
                        continue
                    if not entry.is_dir():
                        if not is_junk(entry.name):
                            yield path, entry
                    elif not is_junk(f"{entry.name}/"):
                        found = links if entry.is_symlink() else todo
                        found.append((path, above | {own}, linked))
        except FileNotFoundError:
            again = "" if folder else " (--forcerun download_source unpacks a source again)"
            raise UserError(f"{place} cannot be read: there is no such folder{again}") from None
        except OSError as error:
            raise UserError(f"{place} cannot be read: {error.strerror}") from None


def files(root: str) -> Iterator[Row]:
    """Walk a folder: regular files and broken links, in no order.

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
    """The row of `files` for one file below a folder; size and time are 0 for a broken link."""
    try:
        info = Path(root, path).stat()
    except OSError:
        return path, 0, 0
    return path, info.st_size, info.st_mtime_ns


def digest(rows: Iterable[Row]) -> str:
    """sha256 of a sorted listing (64 hexadecimal digits)."""
    value = hashlib.sha256()
    for path, size, time in rows:
        value.update(f"{path}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
    return value.hexdigest()


def survey(root: str) -> tuple[str, list[Row]]:
    """Digest of a folder's listing, and the sorted listing.

    Raises
    ------
    UserError
        The folder is empty, or cannot be read.
    """
    rows = sorted(files(root))
    if not rows:
        raise UserError(f"source {root}: the folder holds no files")
    return digest(rows), rows
