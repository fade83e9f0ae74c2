"""What a folder holds: every file with its size and time, and a digest of all that.

Hidden files and the litter of file managers do not count; links are followed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from darkroom.errors import UserError
from darkroom.sources import unpack


def files(root: str) -> Iterator[tuple[str, int, int]]:
    """Walk a folder: relative path with `/`, size in bytes, modification time in ns.

    Hidden files and folders and litter are left out; links to files and folders are followed,
    a folder within itself only once; a link to nothing has size 0 and time 0. The order is not
    defined.

    Raises
    ------
    UserError
        A folder cannot be read.
    """
    todo = [("", frozenset[tuple[int, int]]())]
    while todo:
        folder, above = todo.pop()
        try:
            here = Path(root, folder).stat()
            identity = (here.st_dev, here.st_ino)
            if identity in above:
                continue
            with os.scandir(Path(root, folder)) as entries:
                for entry in entries:
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith(".") or unpack.is_junk(path):
                        continue
                    if entry.is_dir():
                        todo.append((path, above | {identity}))
                        continue
                    try:
                        info = entry.stat()
                    except OSError:
                        yield path, 0, 0
                        continue
                    if stat.S_ISREG(info.st_mode):
                        yield path, info.st_size, info.st_mtime_ns
        except OSError as error:
            raise UserError(f"{Path(root, folder)} cannot be read: {error.strerror}") from None


def survey(root: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Digest of a folder's listing (64 hexadecimal digits), and the listing, sorted.

    Raises
    ------
    UserError
        The folder is empty, or cannot be read.
    """
    rows = sorted(files(root))
    if not rows:
        raise UserError(f"source {root}: the folder holds no files")
    digest = hashlib.sha256()
    for path, size, time in rows:
        digest.update(f"{path}\0{size}\0{time}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), rows
