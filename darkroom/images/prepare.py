"""Prepared images: every usable file decoded once and resized into one mapped array."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np

from darkroom.decode.header import DecodeError
from darkroom.decode.policy import Policy
from darkroom.decode.quiet import quiet
from darkroom.errors import UserError
from darkroom.images import store
from darkroom.images.resize import View, channel_sums, render, size_of
from darkroom.images.rows import Rows, usable
from darkroom.machine import disk, workers

log = logging.getLogger(__name__)


class PrepareImages(TypedDict):
    """What preparing the images of a view reads of the settings."""

    dataset: str
    view: View
    decode: Policy


class PrepareShard(PrepareImages):
    """The same for one shard of the rows."""

    shard: int
    shards: int


class JoinImages(TypedDict):
    """Names, for the log."""

    dataset: str
    view: str


def prepare_images(
    source: str, manifest: str, output: str, *, cfg: PrepareImages, threads: int = 1
) -> None:
    """Decode and resize every usable image once, into `images/{view}.h5`.

    The result does not depend on the number of threads. Memory holds one image and one
    block of results per thread, and what the manifest says of each row.

    Parameters
    ----------
    source : source.json.
    manifest : manifest.parquet.
    output : the file to make.
    cfg : the settings.
    threads : worker processes.

    Raises
    ------
    UserError
        No usable image; a file that is gone, or is not of the size that it was indexed
        with, or no longer decodes; no room on the disk.
    """
    _prepare(source, manifest, usable(manifest), output, cfg, threads)
    # Of a run with shards: as many bytes as the file that is now whole.
    shutil.rmtree(shards_of(output), ignore_errors=True)


def prepare_shard(
    source: str, manifest: str, output: str, *, cfg: PrepareShard, threads: int = 1
) -> None:
    """Decode and resize the images of one shard; see `prepare_images`."""
    rows = usable(manifest).shard(cfg["shard"], cfg["shards"])
    _prepare(source, manifest, rows, output, cfg, threads)


def join_images(parts: Sequence[str], output: str, *, cfg: JoinImages) -> None:
    """Join the shards of a view into `images/{view}.h5`; no pixel is copied.

    Parameters
    ----------
    parts : the shards in their order, in `shards_of(output)`.
    output : the file to make.
    cfg : the settings.

    Raises
    ------
    UserError
        A shard is missing, damaged, or of other settings.
    """
    n = store.join_images(output, parts)
    log.info("joined %d images of %d shards in %s", n, len(parts), output)
    for other in set(shards_of(output).glob("*.h5")) - {Path(part) for part in parts}:
        other.unlink()  # of a run with more shards


def shards_of(output: str) -> Path:
    """The folder of the shards of an images file."""
    return Path(output).with_suffix(".shards")


def _prepare(
    source: str, manifest: str, rows: Rows, output: str, cfg: PrepareImages, threads: int
) -> None:
    root = json.loads(Path(source).read_text(encoding="utf-8"))["root"]
    view, policy = cfg["view"], cfg["decode"]
    shape = size_of(view)
    cv2.setNumThreads(1)

    with store.images_writer(
        output,
        shape,
        rows.row,
        np.zeros(len(rows.row), np.int16),
        rows.label,
        labels=rows.labels,
        view=dict(view) | {"size": list(shape[:2])},
        dataset=rows.dataset,
        decode=dict(policy),
    ) as draft:

        def work(start: int, stop: int) -> None:
            images = np.asarray(draft.map("images", start, stop))
            mean = np.asarray(draft.map("mean", start, stop))
            square = np.asarray(draft.map("mean_square", start, stop))
            paths = [rows.path[i].as_py() for i in rows.place[start:stop].tolist()]
            sizes = rows.bytes[start:stop].tolist()
            with quiet:
                for i, (path, size) in enumerate(zip(paths, sizes, strict=True)):
                    data = _read(f"{root}/{path}", size, manifest)
                    try:
                        render(data, images[i], view=view, policy=policy)
                    except DecodeError as error:
                        raise _changed(f"{root}/{path}", f"{error}", manifest) from None
                    mean[i], square[i] = channel_sums(images[i])

        block = workers.block_size(len(rows.row), int(np.prod(shape)), threads)
        workers.in_blocks(work, len(rows.row), block=block, threads=threads, what="prepare")
    log.info(
        "prepared %d images of %d × %d (%s, %s) in %s",
        len(rows.row),
        *shape[:2],
        view["color"],
        view["resize"],
        output,
    )


def _read(path: str, size: int, manifest: str) -> bytes:
    """All bytes of an indexed file, which must have the size that it was indexed with."""
    try:
        file = os.open(path, os.O_RDONLY)  # a third of the time of `open`
        try:
            data = os.read(file, size + 1)  # the one byte more tells of a grown file
            while len(data) < size and (more := os.read(file, size - len(data))):
                data += more
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in disk.LOST | {errno.EIO}:
            error.filename = path
            raise UserError(str(disk.in_words(error))) from None
        raise _changed(path, error.strerror or "it cannot be read", manifest) from None
    if len(data) != size:
        raise _changed(path, f"it no longer has {size} bytes", manifest)
    return data


def _changed(path: str, why: str, manifest: str) -> UserError:
    """The error of a file that is no longer what the index found."""
    return UserError(
        f"{path} has changed since it was indexed ({why}): "
        f"restore it, or delete {manifest} and run again to index anew"
    )
