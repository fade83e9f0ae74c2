"""Whether a folder still holds what it held when `source.json` was written.

Files that were touched or copied again have other times and the same content, and nothing is
to be made again for them. So the listing of a folder is kept beside `source.json`, with the
digest of each file that the index does not read as an image (it has those of the images); a
file is read again only where its time has changed.

Imports the standard library only: this runs while the Snakefile is read.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.sources.folders import Row, printable

LISTING = ".listing.json"  # in the folder of source.json


def sha256_of(path: str | Path) -> str:
    """sha256 of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_listing(place: Path, root: str, digest: str, rows: Iterable[Row]) -> None:
    """Keep a listing: path, size, time, and the sha256 of a file that is not named like an image.

    Parameters
    ----------
    place : the JSON file.
    root : the folder.
    digest : of the listing, as `source.json` has it.
    rows : the listing.
    """
    files: list[tuple[str, int, int, str | None]] = []
    for path, size, time in rows:
        image = (mimetypes.guess_type(path, strict=False)[0] or "").startswith("image/")
        try:
            sha256 = None if image else sha256_of(Path(root, path))
        except OSError:  # the index lists it with its reason
            sha256 = None
        files.append((path, size, time, sha256))
    with disk.whole(place) as part, part.open("w", encoding="utf-8") as file:
        json.dump({"sha256": digest, "files": files}, file)


def same(
    place: Path,
    root: str,
    digest: str,
    rows: list[Row],
    images: Callable[[], Mapping[str, str | None]],
) -> bool:
    """Whether files with other times have the same names and content as before.

    Parameters
    ----------
    place : of the listing that was kept.
    root : the folder.
    digest : of the listing that `source.json` was written from.
    rows : the present listing.
    images : gives the sha256 of each image that the index read, by printable path; None for
        one that could not be read.
    """
    kept = disk.read_json(str(place))
    if kept.get("sha256") != digest:
        return False
    before = kept["files"]
    if [(path, size) for path, size, _, _ in before] != [(path, size) for path, size, _ in rows]:
        return False
    touched = [
        (path, sha256)
        for (path, _, time, sha256), (_, _, now) in zip(before, rows, strict=True)
        if time != now
    ]
    read = images()
    with progress("comparing touched files", len(touched), "files") as bar:
        for path, sha256 in touched:
            bar.update(1)
            wanted = sha256 or read.get(printable(path), "")
            # what the index did not read counts by its name alone
            if wanted is None or (wanted and wanted != _readable(Path(root, path))):
                return False
    return True


def _readable(path: Path) -> str | None:
    """sha256 of a file; None where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return None
