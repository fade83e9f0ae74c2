"""Read each file once, hash it, and decode it in a worker process.

No file ends the run: damage, a crash of the decoder or an unreadable path become the file's
`trouble`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import cv2
import numpy as np

from darkroom.decode.file import THUMBNAIL, Probe, probe, trouble_of
from darkroom.decode.header import DecodeError
from darkroom.decode.policy import Policy
from darkroom.machine import disk, workers
from darkroom.machine.progress import progress

T = TypeVar("T")

MAX_BYTES = 1 << 30
"""Largest allowed file, in bytes: each file is read into memory."""

BLOCK = 128
"""Most files in one task of a worker."""

NUMBERS = ("width", "height", "bit_depth", "frames", "orientation", "maximum")


# ---------------------------------------------------------------- one file


@dataclass(slots=True)
class Block:
    """Results of a worker for some files, one list per column."""

    size: list[int] = field(default_factory=list)
    inode: list[tuple[int, int]] = field(default_factory=list)
    sha256: list[bytes] = field(default_factory=list)
    numbers: list[tuple[int, ...]] = field(default_factory=list)
    kinds: list[tuple[str | None, str | None]] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    conversions: list[str] = field(default_factory=list)
    thumbnails: np.ndarray = field(
        default_factory=lambda: np.zeros((0, THUMBNAIL, THUMBNAIL), np.uint8)
    )


class Findings:
    """Results for all files, one column per field; about 1,200 bytes a file. -1: unknown."""

    def __init__(self, n: int) -> None:
        self.size = np.zeros(n, np.int64)
        self.inode = np.zeros((n, 2), np.uint64)
        self.sha256 = np.zeros((n, 32), np.uint8)
        self.hashed = np.zeros(n, bool)
        self.numbers = np.tile(np.array([-1, -1, -1, 1, 1, -1], np.int32), (n, 1))
        self.kinds: list[tuple[str | None, str | None]] = [(None, None)] * n
        self.trouble = [""] * n
        self.conversions = [""] * n
        self.thumbnails = np.zeros((n, THUMBNAIL, THUMBNAIL), np.uint8)
        self._same: dict[Any, Any] = {}

    def put(self, places: list[int], block: Block) -> None:
        """Store a worker's results for the files at these positions."""
        self.size[places] = block.size
        self.inode[places] = block.inode
        digests = b"".join(d or bytes(32) for d in block.sha256)
        self.sha256[places] = np.frombuffer(digests, np.uint8).reshape(-1, 32)
        self.hashed[places] = [bool(d) for d in block.sha256]
        self.numbers[places] = block.numbers
        self.thumbnails[places] = block.thumbnails
        for k, i in enumerate(places):
            self.kinds[i] = self.same(block.kinds[k])
            self.trouble[i] = self.same(block.trouble[k])
            self.conversions[i] = self.same(block.conversions[k])

    def same(self, value: T) -> T:
        """One shared object for equal values, which saves memory."""
        return cast("T", self._same.setdefault(value, value))


def examine(root: str, paths: list[str], policy: Policy) -> Block:
    """Read, hash and decode some files; a damaged or unreadable file raises nothing.

    Raises
    ------
    OSError
        A listed file, or its file server, is gone.
    """
    block = Block()
    thumbnails = np.zeros((len(paths), THUMBNAIL, THUMBNAIL), np.uint8)
    for k, path in enumerate(paths):
        size, inode, digest = 0, (0, 0), b""
        workers.next_item()
        try:
            data, size, inode = read_file(f"{root}/{path}")
            digest = hashlib.sha256(data).digest() if data else b""
            found = probe(data, path, policy)
        except (OSError, ValueError, MemoryError) as error:
            if _went_away(error, f"{root}/{path}"):
                raise
            found = Probe(trouble=trouble_of(error))
        block.size.append(size)
        block.inode.append(inode)
        block.sha256.append(digest)
        numbers = [getattr(found, name) for name in NUMBERS]
        block.numbers.append(tuple(-1 if number is None else number for number in numbers))
        block.kinds.append((found.mode, found.format))
        block.trouble.append(found.trouble)
        block.conversions.append(found.conversions)
        if found.thumbnail is not None:
            thumbnails[k] = found.thumbnail
    block.thumbnails = thumbnails
    return block


def _went_away(error: Exception, path: str) -> bool:
    """Whether a listed file is gone; a broken link does not count."""
    number = getattr(error, "errno", None)
    return number in disk.LOST or (number == errno.ENOENT and not Path(path).is_symlink())


def read_file(path: str) -> tuple[bytes, int, tuple[int, int]]:
    """All bytes, the size in bytes, and the file's identity (device and inode).

    Raises
    ------
    DecodeError
        Not a regular file, or larger than `MAX_BYTES`.
    OSError, ValueError
        The file cannot be opened or read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a named pipe must not wait for a writer
    try:
        info = os.fstat(file)
        identity = (info.st_dev, info.st_ino)
        if not stat.S_ISREG(info.st_mode):
            raise DecodeError("cannot be read: not a regular file")
        if info.st_size > MAX_BYTES:
            raise DecodeError(f"too large: {info.st_size:,} bytes; a file may have {MAX_BYTES:,}")
        parts = []
        while part := os.read(file, max(info.st_size, 1 << 16) + 1):
            parts.append(part)
    finally:
        os.close(file)
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return data, len(data), identity


# ---------------------------------------------------------------- all files


def examine_all(
    root: str, paths: list[str], trouble: list[str], policy: Policy, threads: int
) -> Findings:
    """Examine files in worker processes; rows already marked missing are skipped.

    After a worker dies, the files of its block are retried one by one, so only the file that
    crashes the decoder (or exhausts memory) is marked unusable.
    """
    found = Findings(len(paths))
    places = [i for i, text in enumerate(trouble) if not text.startswith("missing")]
    n = len(places)
    size = max(1, min(BLOCK, -(-n // (8 * threads))))
    blocks = [(start, min(start + size, n)) for start in range(0, n, size)]
    cv2.setNumThreads(1)

    def work(start: int, stop: int) -> Block:
        return examine(root, [paths[i] for i in places[start:stop]], policy)

    def crashed(start: int, cause: str) -> str:
        return f"crashed: the decoder ended by {cause}"

    with (
        progress("index", n, "files") as bar,
        workers.Pool(work, min(threads, len(blocks)), crashed) as pool,
    ):
        for start, stop, answer in pool.each(blocks):
            if isinstance(answer, str):
                found.trouble[places[start]] = answer
            else:
                found.put(places[start:stop], answer)
            bar.update(stop - start)
    return found
