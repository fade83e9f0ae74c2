"""New pictures: which files a name stands for, and their pixels or what is wrong with them.

`find` and `digest` are called while the Snakefile is read, where predictions are asked for.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import UserError, nearest
from darkroom.index.listing import Listing
from darkroom.sources import folders
from darkroom.sources.addresses import local_path

if TYPE_CHECKING:
    import numpy as np

    from darkroom.decode.policy import Policy
    from darkroom.images.resize import View

CHUNK_BYTES = 32_000_000  # of pixels that are decoded, and then looked at, at a time
BATCH = 64


# ---------------------------------------------------------------- which files


@dataclass(frozen=True)
class Pictures:
    """The pictures that a name stands for.

    Attributes
    ----------
    root : folder. paths : relative to it, with `/`, sorted. left : files there that no
        picture is called like (a README, a table).
    """

    root: str
    paths: list[str]
    left: list[str]


def find(source: str) -> Pictures:
    """The pictures below a folder at any depth, or a picture by itself.

    A file in a folder counts unless its name says that it is something else; hidden files
    and the litter of file managers never count.

    Raises
    ------
    UserError
        No such folder or file; a folder without a picture.
    """
    path = local_path(source)
    if path.is_file():
        return Pictures(str(path.parent), [path.name], [])
    if not path.is_dir():
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, there)
        raise UserError(
            f"{source}: there is no such folder or picture (looked for {path.absolute()})"
            + (near if "did you mean" in near else "")
        )
    listing = Listing(name for name, _ in folders.walk(str(path)))
    paths = sorted(listing.images + listing.unknown)
    if not paths:
        others = f", only {listing.companions[0]} and the like" if listing.companions else ""
        raise UserError(f"{source}: there is no picture in this folder or below it{others}")
    return Pictures(str(path), paths, sorted(listing.companions))


def digest(source: str) -> str:
    """Digest of the pictures' names, sizes and modification times: what tells of a change.

    Raises
    ------
    UserError
        As `find`; or the folder is the one that the results go to.
    """
    path = local_path(source)
    if path.is_dir():
        folders.refuse_own(path, source, "pictures")
    found = find(source)
    return folders.digest(folders.row(found.root, name) for name in found.paths)


# ---------------------------------------------------------------- their pixels


@dataclass(frozen=True)
class Chunk:
    """Some pictures in a row.

    Attributes
    ----------
    start, stop : places in the list of files. pixels : (B, H, W, C) uint8, to be used before
        the next chunk is asked for; zeros for an unusable picture.
    status, reason : of each, as in `manifest.parquet`.
    """

    start: int
    stop: int
    pixels: np.ndarray
    status: list[str]
    reason: list[str]


def batch_of(shape: tuple[int, int, int]) -> int:
    """Pictures that a network sees at a time."""
    height, width, channels = shape
    return max(1, min(BATCH, CHUNK_BYTES // (height * width * channels)))


@contextmanager
def decoding(
    files: list[str], *, view: View, policy: Policy, threads: int
) -> Iterator[Iterator[Chunk]]:
    """Read, check and decode pictures in worker processes while the caller looks at others.

    The workers start when the `with` begins: a library with threads of its own (TensorFlow)
    is to be imported within it. Three chunks are in memory, however many pictures there
    are. What is wrong with a file, a crash of the decoder too, is that file's reason.

    Parameters
    ----------
    files : paths. view : size, color, resize, filter. policy : the settings `decode`.
    threads : worker processes.
    """
    import cv2
    import numpy as np

    from darkroom.images.resize import size_of
    from darkroom.machine import workers
    from darkroom.train import batches

    cv2.setNumThreads(1)
    shape = size_of(view)
    one, n, batch = int(np.prod(shape)), len(files), batch_of(shape)
    size = min(batch * max(1, CHUNK_BYTES // (one * batch)), -(-n // batch) * batch)
    buffer = mmap.mmap(-1, 3 * size * one)  # shared with the processes that are forked later
    slots = np.frombuffer(buffer, np.uint8).reshape(3, size, *shape)

    def work(start: int, stop: int) -> list[tuple[str, str]]:
        place = slots[start // size % 3]
        return [
            examine(files[i], place[i % size], view=view, policy=policy) for i in range(start, stop)
        ]

    def crashed(start: int, how: str) -> list[tuple[str, str]]:
        slots[start // size % 3, start % size] = 0
        return [("unusable", f"crashed: the decoder ended by {how}")]

    def chunks(pool: workers.Pool) -> Iterator[Chunk]:
        for first in range(0, n, size):
            last = min(first + size, n)
            block = workers.block_size(last - first, one, threads)
            blocks = [(i, min(i + block, last)) for i in range(first, last, block)]
            examined: list[tuple[str, str]] = [("", "")] * (last - first)
            for start, stop, answer in pool.each(blocks):
                examined[start - first : stop - first] = answer
            yield Chunk(
                first,
                last,
                slots[first // size % 3, : last - first],
                [status for status, _ in examined],
                [reason for _, reason in examined],
            )

    with (
        workers.Pool(work, max(1, min(threads, n)), crashed) as pool,
        batches.ahead(chunks(pool), depth=1) as ready,
    ):
        yield ready


def examine(path: str, out: np.ndarray, *, view: View, policy: Policy) -> tuple[str, str]:
    """Read a picture's file, then `examine_bytes`; a file that cannot be read is unusable."""
    from darkroom.decode.file import trouble_of
    from darkroom.index.examine import read_file
    from darkroom.machine import workers

    workers.next_item()
    try:
        data, _, _ = read_file(path)
    except (OSError, ValueError, MemoryError) as error:
        out[:] = 0
        return "unusable", trouble_of(error)
    return examine_bytes(data, Path(path).name, out, view=view, policy=policy)


def examine_bytes(
    data: bytes, name: str, out: np.ndarray, *, view: View, policy: Policy
) -> tuple[str, str]:
    """Check all of a picture, as the index does, and decode it as `prepare` does.

    Parameters
    ----------
    data : content of the file.
    name : file name, for its suffix.
    out : (H, W, C) uint8, filled; with zeros where the picture cannot be used.

    Returns
    -------
    status (`ok`, `converted`, `unusable`) and the reason in words. It never raises for what
    is in the file.
    """
    from darkroom.decode.file import trouble_of
    from darkroom.decode.policy import FULL
    from darkroom.decode.quiet import quiet
    from darkroom.images.resize import render_checked

    policy = {"white_level": FULL} | policy  # of a data set without 16-bit files
    try:
        with quiet:
            status, reason = render_checked(data, name, out, view=view, policy=policy)
    except (OSError, ValueError, MemoryError) as error:
        status, reason = "unusable", trouble_of(error)
    if status == "unusable":
        out[:] = 0
    return status, reason
