"""A look at some images of a source before anything runs, to know their size."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from darkroom.decode import header
from darkroom.errors import UserError
from darkroom.sources import addresses, cifar, folders, formats, local, published, unpack

LOOKED_AT = 24  # images, from the whole listing: classes lie side by side in it
TAR_BYTES = 64_000_000  # read of a tar file at most: it has no table of contents


class Sample(NamedTuple):
    """What images looked at have in common.

    Attributes
    ----------
    looked_at : how many; 0: array files, whose names tell.
    width, height : medians, in pixels.
    gray : whether none has colour.
    images : of the source, by their names; None: array files.
    """

    looked_at: int
    width: int
    height: int
    gray: bool
    images: int | None = None


def sample(source: str) -> Sample | None:
    """The size of a source's images, by the headers of a few.

    Returns
    -------
    None where they are not on this disk, or not to be read without unpacking.
    """
    kind = addresses.kind(source)
    if kind == "bundled":
        return Sample(0, 8, 8, True)
    if kind not in ("folder", "archive"):
        return None
    paths = _paths(source, kind)
    if published.claimed(paths):
        if any(map(published.is_packed, paths)):
            return _first_of_arrays(source, kind, paths)
        color = any(cifar.members([Path(path).name for path in paths]))
        return Sample(0, 32, 32, False) if color else Sample(0, 28, 28, True)
    pictures = [path for path in paths if path.lower().endswith(published.PICTURES)]
    found = _of_headers(_contents(source, kind, spread(pictures, LOOKED_AT)))
    return found and found._replace(images=len(pictures))


def _of_headers(files: Iterable[tuple[str, bytes]]) -> Sample | None:
    found = []
    for name, data in files:
        with contextlib.suppress(header.DecodeError):
            found.append(header.read_header(data, name))
    if not found:
        return None
    return Sample(
        len(found),
        round(statistics.median(one.width for one in found)),
        round(statistics.median(one.height for one in found)),
        all(one.mode in ("gray", "bilevel") for one in found),
    )


def _first_of_arrays(source: str, kind: str, paths: Sequence[str]) -> Sample | None:
    """Of the first images in NumPy archives or Parquet files; their stage says what is wrong in them."""
    place = addresses.local_path(source)
    if kind == "archive" and not published.is_packed(source):
        return None  # to be unpacked first
    with contextlib.suppress(UserError):
        data = published.find(str(place if kind == "folder" else place.parent), paths)
        for part in data.parts.values() if data else ():
            images, _ = next(part.read())
            if isinstance(images, list):
                return _of_headers(
                    (f"image {i}", image) for i, image in enumerate(images[:LOOKED_AT])
                )
            return Sample(0, images.shape[2], images.shape[1], images.ndim == 3)
    return None


def spread(paths: Sequence[str], count: int) -> list[str]:
    """So many paths of a listing, at equal distances."""
    step = max(1, len(paths) / count)
    return [paths[int(i * step)] for i in range(min(count, len(paths)))]


def _paths(source: str, kind: str) -> list[str]:
    if kind == "archive" and published.is_packed(source):
        return [addresses.local_path(source).name]
    if kind == "archive":
        return sorted(unpack.listing(str(addresses.local_path(source))) or [])
    return sorted(path for path, _, _ in folders.files(str(local.folder(source))))


def _contents(source: str, kind: str, chosen: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes of some files of a source; fewer where they cannot be read."""
    place = addresses.local_path(source)
    with contextlib.suppress(OSError, KeyError, formats.Broken, *formats.DAMAGED):
        if kind == "folder":
            for path in chosen:
                yield path, (place / path).read_bytes()
        elif zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                for path in chosen:
                    yield path, archive.read(path)
        else:
            yield from _first_of_tar(place)


def _first_of_tar(place: Path) -> Iterator[tuple[str, bytes]]:
    """The first pictures of a tar file."""
    read = 0
    with formats.open_tar(str(place), formats.recognise(str(place)) or "tar") as (archive, _):
        files = (entry for entry in archive if entry.isfile())
        pictures = (e for e in files if e.name.lower().endswith(published.PICTURES))
        for entry in itertools.islice(pictures, LOOKED_AT):
            read += entry.size
            content = archive.extractfile(entry)
            if content is None or read > TAR_BYTES:
                return
            yield entry.name, content.read()
