"""Images that are published as arrays in a few large files, written out as PNG class folders.

`darkroom.sources.idx` and `darkroom.sources.cifar` know the formats, `darkroom.sources.published` finds them. `write`
makes `train/<class>/<number>.png` and `test/<class>/<number>.png`, where the number is the image's
place in its file (in all training batches one after another). Classes have the names that come
with the files, and else their labels as they are: `0`, `1`, …
"""

# ruff: noqa: PTH118, PTH123
from __future__ import annotations

import gzip
import logging
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.sources.formats import Damaged
from darkroom.sources.unpack import Unpacked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]
    Read = Callable[[], Iterator[Batch]]

log = logging.getLogger(__name__)

VERSION = 1
"""Of what `write` makes: folders written by another one are made anew."""

BATCH = 1 << 22
"""Bytes that are read at a time."""

DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""What gzip raises on data that is damaged or ends too soon."""


@dataclass(frozen=True)
class Part:
    """Training or test images: how many, and how they are read.

    `read` gives batches: (n, height, width) grey or (n, height, width, 3) RGB uint8, and n labels.
    """

    count: int
    read: Read


@dataclass(frozen=True)
class Arrays:
    """One data set of array files: its name where there are several, and its parts."""

    name: str
    form: str
    files: tuple[str, ...]
    classes: tuple[str, ...] | None
    parts: dict[str, Part]
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What images were written from, for source.json and the log."""
        counts = ", ".join(f"{part} {self.parts[part].count:,}" for part in self.parts)
        return "; ".join([f"{self.form}: {', '.join(self.files)} ({counts})", *self.notes])


@contextmanager
def opened(root: str, path: str) -> Iterator[IO[bytes]]:
    """Open a file to be read, unpacked where it is packed by gzip, whatever its name says.

    Raises
    ------
    Damaged
        It is cut short or damaged, found while it is read.
    UserError
        It cannot be read.
    """
    try:
        with open(os.path.join(root, path), "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if packed else raw as stream:
                yield cast("IO[bytes]", stream)
    except DAMAGED as error:
        raise damaged(path, error) from None
    except OSError as error:
        raise UserError(f"{Path(root, path)} cannot be read: {error.strerror}") from None


def damaged(path: str, error: Exception) -> Damaged:
    """The error for a file that gzip cannot read to its end."""
    return Damaged(f"{path} is damaged or cut short ({error}): get it again")


def wrong_length(path: str, short: bool, why: str) -> Damaged:
    """The error for a file that ends too soon, or too late."""
    how = "is cut short" if short else "goes on after its last image or label"
    return Damaged(f"{path} {how} ({why}): get it again")


def write(found: Arrays, target: str, *, max_bytes: int, max_files: int) -> Unpacked:
    """Write each image of a data set as a PNG file, `<part>/<class>/<number>.png`.

    Compression is the fastest: pixels are read again once, and files take whole blocks of the
    disc whatever their size.

    Parameters
    ----------
    target : folder, made where missing; not atomic: give one that is renamed in the end.
    max_bytes, max_files : limits on what is written.

    Raises
    ------
    UserError
        Beyond the limits, or no space.
    Damaged
        Found while reading: cut short, too long, a label without a class.
    """
    import cv2
    import numpy as np

    total = sum(part.count for part in found.parts.values())
    if total > max_files:
        raise _too_much(f"{max_files:,} files", "max_files")
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    size = 0
    with (
        disk.full_disc_in_words(str(Path(target).parent)),
        progress("Writing images", total) as bar,
    ):
        for name, part in found.parts.items():
            number, digits = 0, max(5, len(str(part.count - 1)))
            folders: dict[int, str] = {}
            for images, labels in part.read():
                if images.ndim == 4:
                    images = images[..., ::-1]  # OpenCV has blue first
                images = np.ascontiguousarray(images)
                for image, label in zip(images, labels.tolist(), strict=True):
                    folder = folders.get(label)
                    if folder is None:
                        folder = os.path.join(target, name, _class_of(found, name, label))
                        folders[label] = folder
                        Path(folder).mkdir(parents=True, exist_ok=True)
                    data = cv2.imencode(".png", image, settings)[1]
                    with open(f"{folder}/{number:0{digits}d}.png", "wb") as file:
                        file.write(data.tobytes())
                    size += len(data)
                    number += 1
                bar.update(len(images))
                if size > max_bytes:
                    raise _too_much(f"{max_bytes / 1e9:g} GB", "max_gb")
    return Unpacked(total, size, {})


def _class_of(found: Arrays, part: str, label: int) -> str:
    if found.classes is None:
        return str(label)
    if label >= len(found.classes):
        raise Damaged(
            f"the {part} images of {found.form} have the label {label}, and {found.files[-1]} names"
            f" {len(found.classes)} classes: get both again"
        )
    return found.classes[label]


def _too_much(limit: str, key: str) -> UserError:
    return UserError(
        f"written out, the images of the array files are more than {limit}: if that is meant,"
        f" raise limits: {{{key}: …}} of the data set"
    )
