"""Decode every usable file once and resize it into one mapped array."""

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
    """Settings of the stage."""

    dataset: str
    view: View
    decode: Policy


class PrepareShard(PrepareImages):
    """Settings of one shard."""

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

    The result does not depend on the number of threads. Memory holds one image and one block
    of results per thread, and a few columns of the manifest.

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
        No image is usable; a file is missing, has changed its size since it was indexed, or no
        longer decodes; or the disk is full.
    """
    _prepare(source, manifest, usable(manifest), output, cfg, threads)
    # Shards of an earlier run are as large as the new file, and useless.
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
    parts : files of the shards in order, in `shards_of(output)`.
    output : the file to write.
    cfg : the settings.

    Raises
    ------
    UserError
        A shard is missing, damaged, or has other settings.
    """
    n = store.join_images(output, parts)
    log.info("joined %d images of %d shards in %s", n, len(parts), output)
    for other in set(shards_of(output).glob("*.h5")) - {Path(part) for part in parts}:
        other.unlink()  # of a run with more shards


def shards_of(output: str) -> Path:
    """The folder of an image file's shards."""
    return Path(output).with_suffix(".shards")


def _prepare(
    source: str, manifest: str, rows: Rows, output: str, cfg: PrepareImages, threads: int
) -> None:
    root = json.loads(Path(source).read_text(encoding="utf-8"))["root"]
    view, policy = cfg["view"], cfg["decode"]
    if rows.white_level and policy["sixteen_bit"] == "scale":
        policy = policy | {"white_level": rows.white_level}
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
                    workers.next_item()
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
    """All bytes of an indexed file; raises UserError where its size has changed."""
    try:
        # A third of the time of `open`; a named pipe must not wait for a writer.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            data = os.read(file, size + 1)  # one byte more detects a file that grew
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
    """Error for a file that differs from its index entry."""
    return UserError(
        f"{path} has changed since it was indexed ({why}): "
        f"restore it, or delete {manifest} and run again to index anew"
    )
