"""Prepared images: every usable file decoded once and resized into one mapped array."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from darkroom.decode.file import decode
from darkroom.decode.header import DecodeError
from darkroom.decode.policy import Policy
from darkroom.decode.quiet import quiet
from darkroom.errors import UserError
from darkroom.images import store
from darkroom.index import shards
from darkroom.machine import disk, workers

log = logging.getLogger(__name__)

PRECISE = {"auto": None, "area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


def size_of(view: dict[str, Any]) -> tuple[int, int, int]:
    """(height, width, channels) of a view's images."""
    size = view["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width), 3 if view["color"] == "rgb" else 1


def resize_into(image: np.ndarray, out: np.ndarray, *, how: str, kernel: str) -> None:
    """Resize one image into the place that it is given.

    Parameters
    ----------
    image : (H, W, C) uint8. out : (h, w, C) uint8, filled.
    how : `squash` ignores the aspect ratio; `pad` keeps it and adds black borders;
        `crop` keeps it and takes the largest centred part of the wanted shape.
    kernel : `area` averages the pixels that fall together (`cv2.INTER_AREA`), `linear`
        takes the nearest four (`cv2.INTER_LINEAR`) and aliases when it shrinks;
        `auto` averages along an axis that shrinks, interpolates along one that grows.
    """
    height, width = image.shape[:2]
    h, w = out.shape[:2]
    if how == "crop":
        high = min(height, max(1, round(width * h / w)))
        wide = min(width, max(1, round(height * w / h)))
        top, left = (height - high) // 2, (width - wide) // 2
        image = image[top : top + high, left : left + wide]
    elif how == "pad":
        scale = min(h / height, w / width)
        high = min(h, max(1, round(height * scale)))
        wide = min(w, max(1, round(width * scale)))
        top, left = (h - high) // 2, (w - wide) // 2
        if (high, wide) != (h, w):
            out[:] = 0
            out = out[top : top + high, left : left + wide]
    _squash(image, out, PRECISE[kernel])


def _squash(image: np.ndarray, out: np.ndarray, method: int | None) -> None:
    height, width = image.shape[:2]
    h, w = out.shape[:2]
    if (height, width) == (h, w):
        out[:] = image
        return
    if method is None:
        if height >= h and width >= w:
            method = cv2.INTER_AREA
        elif height <= h and width <= w:
            method = cv2.INTER_LINEAR
        else:  # one axis shrinks, and does so first: less is left to interpolate
            image = _resized(image, min(width, w), min(height, h), cv2.INTER_AREA)
            method = cv2.INTER_LINEAR
    plane = out[:, :, 0] if out.shape[2] == 1 else out
    if cv2.resize(image, (w, h), dst=plane, interpolation=method) is not plane:
        raise RuntimeError("the image was not written into its place")


def _resized(image: np.ndarray, w: int, h: int, method: int) -> np.ndarray:
    return np.asarray(cv2.resize(image, (w, h), interpolation=method)).reshape(h, w, -1)


def render(data: bytes, out: np.ndarray, *, view: dict[str, Any], policy: Policy) -> None:
    """Decode and resize the bytes of an image file into the place that it is given.

    The one way from a file to pixels: of the images of a data set and of new pictures alike.

    Parameters
    ----------
    out : (h, w, C) uint8, filled. view : color, resize, filter. policy : the settings `decode`.

    Raises
    ------
    DecodeError
        The file cannot be decoded, or the policy refuses it.
    """
    # The plain linear filter is kept exact; the others may start from a JPEG that the
    # decoder has averaged down already.
    target = None if view["filter"] == "linear" else (out.shape[0], out.shape[1])
    image = decode(data, color=view["color"], policy=policy, target=target)
    resize_into(image, out, how=view["resize"], kernel=view["filter"])


def channel_sums(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each channel, (C,), and of its square, of an (H, W, C) uint8 image."""
    mean, deviation = cv2.meanStdDev(image)
    mean = mean[:, 0]
    return mean, deviation[:, 0] ** 2 + mean**2


class Rows(NamedTuple):
    """The usable rows of a manifest."""

    row: np.ndarray  # (n,) int64
    label: np.ndarray  # (n,) int32, index into labels
    bytes: np.ndarray  # (n,) int64, size of the file when it was indexed
    place: np.ndarray  # (n,) int64, index into path
    path: Any  # pyarrow strings of the whole manifest: a quarter of the memory of Python's
    labels: list[str]
    dataset: str

    def shard(self, number: int, count: int) -> Rows:
        """The rows of one of `count` shards, 1 … `count`."""
        part = slice(*shards.bounds(len(self.row), number, count))
        names = ("row", "label", "bytes", "place")
        return self._replace(**{name: getattr(self, name)[part] for name in names})


def usable(manifest: str) -> Rows:
    """Read the usable rows of a manifest.

    Raises
    ------
    UserError
        There is none.
    """
    import pyarrow.parquet as pq

    # Arrow's filters and `to_numpy` would load its compute library and pandas, which
    # takes as long as a thousand images; and no threads: workers are forked later.
    file = pq.ParquetFile(manifest, read_dictionary=["label", "status"], pre_buffer=False)
    table = file.read(["row", "path", "label", "bytes", "status"], use_threads=False)
    table = table.unify_dictionaries().combine_chunks()
    meta = json.loads(table.schema.metadata[b"darkroom"])
    place = np.zeros(0, np.int64)
    if table.num_rows:
        status = table["status"].chunk(0)
        good = np.array([name != "unusable" for name in status.dictionary.to_pylist()])
        place = np.flatnonzero(good[np.from_dlpack(status.indices)])
    if not len(place):
        raise UserError(f"{manifest} lists no usable image: its `reason` column tells why")
    label = table["label"].chunk(0)
    number = {name: i for i, name in enumerate(meta["labels"])}
    codes = np.array([number.get(name, -1) for name in label.dictionary.to_pylist()], np.int32)
    # An unusable row may have no label: its code is never read.
    codes_of = np.frombuffer(label.indices.buffers()[1], np.int32, len(label), label.offset)
    return Rows(
        row=np.from_dlpack(table["row"].chunk(0))[place],
        label=codes[codes_of[place]],
        bytes=np.from_dlpack(table["bytes"].chunk(0))[place],
        place=place,
        path=table["path"].chunk(0),
        labels=list(meta["labels"]),
        dataset=str(meta["dataset"]),
    )


def write_images(
    source: str, manifest: str, output: str, *, cfg: dict[str, Any], threads: int = 1
) -> None:
    """Decode and resize every usable image once, into `images/{view}.h5`.

    The result does not depend on the number of threads. Memory holds one image and one
    block of results per thread, and what the manifest says of each row.

    Parameters
    ----------
    source : source.json. manifest : manifest.parquet. output : the file to make.
    cfg : `view` (size, color, resize, filter) and `decode` (the policy); for one shard of the
        rows `shard` and `shards` too.
    threads : worker processes.

    Raises
    ------
    UserError
        No usable image; a file that is gone, or is not of the size that it was indexed
        with, or no longer decodes; no room on the disk.
    """
    root = json.loads(Path(source).read_text(encoding="utf-8"))["root"]
    rows = usable(manifest)
    if "shard" in cfg:
        rows = rows.shard(cfg["shard"], cfg["shards"])
    view, policy = dict(cfg["view"]), cfg["decode"]
    shape = size_of(view)
    view["size"] = list(shape[:2])
    cv2.setNumThreads(1)

    with store.images_writer(
        output,
        shape,
        rows.row,
        np.zeros(len(rows.row), np.int16),
        rows.label,
        labels=rows.labels,
        view=view,
        dataset=rows.dataset,
        decode=policy,
    ) as draft:

        def work(start: int, stop: int) -> None:
            images = np.asarray(draft.map("images", start, stop))
            mean = np.asarray(draft.map("mean", start, stop))
            square = np.asarray(draft.map("mean_square", start, stop))
            paths = [rows.path[i].as_py() for i in rows.place[start:stop].tolist()]
            sizes = rows.bytes[start:stop].tolist()
            with quiet:
                for i, (path, size) in enumerate(zip(paths, sizes, strict=True)):
                    data = read(f"{root}/{path}", size, manifest)
                    try:
                        render(data, images[i], view=view, policy=policy)
                    except DecodeError as error:
                        raise changed(f"{root}/{path}", f"{error}", manifest) from None
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
    if "shard" not in cfg:  # of a run with shards: as many bytes as the file that is now whole
        shutil.rmtree(shards_of(output), ignore_errors=True)


def shards_of(output: str) -> Path:
    """The folder of the shards of an images file."""
    return Path(output).with_suffix(".shards")


def join(parts: Sequence[str], output: str) -> None:
    """Join the shards of a view into `images/{view}.h5`; no pixel is copied.

    Parameters
    ----------
    parts : the shards in their order, in `shards_of(output)`. output : the file to make.

    Raises
    ------
    UserError
        A shard is missing, damaged, or of other settings.
    """
    n = store.join_images(output, parts)
    log.info("joined %d images of %d shards in %s", n, len(parts), output)
    for other in set(shards_of(output).glob("*.h5")) - {Path(part) for part in parts}:
        other.unlink()  # of a run with more shards


def read(path: str, size: int, manifest: str) -> bytes:
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
        raise changed(path, error.strerror or "it cannot be read", manifest) from None
    if len(data) != size:
        raise changed(path, f"it no longer has {size} bytes", manifest)
    return data


def changed(path: str, why: str, manifest: str) -> UserError:
    """The error of a file that is no longer what the index found."""
    return UserError(
        f"{path} has changed since it was indexed ({why}): "
        f"restore it, or delete {manifest} and run again to index anew"
    )
