"""Images published as arrays in a few large files, written as PNG class folders.

`idx`, `cifar`, `npz` and `parquet` read the formats, `published` recognises them. `write` writes
`train/<class>/<number>.png` (images that are encoded already: as they are) and `test/<class>/<number>.png`; the number is the position of the
image in its file (in all training batches, in order). A class has the name given in the files, or
else its label: `0`, `1`, …
"""

# ruff: noqa: PTH118, PTH123
from __future__ import annotations

import gzip
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.sources.formats import Damaged
from darkroom.sources.names import safe_name
from darkroom.sources.unpack import Unpacked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Batch = tuple[NDArray[np.uint8] | list[bytes], NDArray[np.integer[Any]]]
    Read = Callable[[], Iterator[Batch]]

log = logging.getLogger(__name__)

VERSION = 1
"""Version of the output of `write`: folders of another version are written again."""

PARTS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation",
    "val": "validation", "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip

SUFFIXES = {
    b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp",
    b"II*\0": ".tif", b"MM\0*": ".tif",
}  # fmt: skip
"""How encoded images begin, and the suffix of their file."""

BATCH = 1 << 22
"""Bytes read at a time."""

DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile)
"""Errors that gzip raises on damaged or truncated data."""


@dataclass(frozen=True)
class Part:
    """Training or test images: their number, and a function that reads them.

    `read` yields batches: (n, height, width) grey or (n, height, width, 3) RGB uint8, or n encoded
    images; and n labels.
    """

    count: int
    read: Read


@dataclass(frozen=True)
class Arrays:
    """One data set of array files.

    `name` is its folder (and prefix) below the source, `form` the format, `classes` the class names
    (None: the labels are the names), `parts` the images of `train`, `validation` and `test`.
    """

    name: str
    form: str
    files: tuple[str, ...]
    classes: tuple[str, ...] | None
    parts: dict[str, Part]
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Format, files and image counts, for source.json and the log."""
        counts = ", ".join(f"{part} {self.parts[part].count:,}" for part in self.parts)
        return "; ".join([f"{self.form}: {', '.join(self.files)} ({counts})", *self.notes])


def part_of(word: str) -> str | None:
    """`train`, `validation` or `test` of a usual word for it; else None."""
    return PARTS.get(word.lower())


def folder_names(classes: Iterable[object]) -> tuple[str, ...]:
    """The names of classes as names of folders.

    Raises
    ------
    UserError
        Two would be the same folder.
    """
    names = [re.sub(r"[/\\]", "-", str(name)).strip().lstrip(".") for name in classes]
    names = [safe_name(name) or "" for name in names]
    if not all(names) or len({name.casefold() for name in names}) < len(names):
        raise UserError(
            f"the classes {', '.join(map(repr, classes))} cannot all be folders of their own: rename those "
            "that are empty or differ in their case alone"
        )
    return tuple(names)


@contextmanager
def opened(root: str, path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, decompressed if its content is gzip.

    Parameters
    ----------
    root : folder of the source.
    path : path of the file below `root`.

    Raises
    ------
    Damaged
        The file proves truncated or damaged while it is read.
    UserError
        The file cannot be read.
    """
    try:
        with open(os.path.join(root, path), "rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with gzip.open(raw) if compressed else raw as stream:
                yield cast("IO[bytes]", stream)
    except DAMAGED as error:
        raise damaged(path, error) from None
    except OSError as error:
        raise UserError(f"{Path(root, path)} cannot be read: {error.strerror}") from None


def damaged(path: str, error: Exception) -> Damaged:
    """The error for a file that gzip cannot read to the end."""
    return Damaged(f"{path} is damaged or truncated ({error}): download it again")


def wrong_length(path: str, short: bool, why: str) -> Damaged:
    """The error for a file that is too short, or too long."""
    problem = "is truncated" if short else "continues after its last image or label"
    return Damaged(f"{path} {problem} ({why}): download it again")


def write(data: Arrays, target: str, *, max_bytes: int, max_files: int) -> Unpacked:
    """Write each image of a data set as a file, `<part>/<class>/<number>.png`.

    PNG compression is at its fastest level: each file is read once more, and takes whole disk
    blocks anyway.

    Parameters
    ----------
    data : the data set.
    target : output folder, created if missing; not atomic, so pass one that is renamed afterwards.
    max_bytes : limit on the bytes written.
    max_files : limit on the files written.

    Returns
    -------
    Counts of files and bytes.

    Raises
    ------
    UserError
        A limit is exceeded, or the disk is full.
    Damaged
        A file is truncated or too long, or a label has no class.
    """
    import cv2
    import numpy as np

    total = sum(part.count for part in data.parts.values())
    if total > max_files:
        raise _too_much(f"{max_files:,} files", "max_files")
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    size = 0
    with (
        disk.full_disk_in_words(str(Path(target).parent)),
        progress("Writing images", total) as bar,
    ):
        for name, part in data.parts.items():
            number, digits = 0, max(5, len(str(part.count - 1)))
            folders: dict[int, str] = {}
            for images, labels in part.read():
                if not isinstance(images, list):
                    images = (
                        images[..., ::-1] if images.ndim == 4 else images
                    )  # OpenCV has blue first
                    images = np.ascontiguousarray(images)
                for image, label in zip(images, labels.tolist(), strict=True):
                    folder = folders.get(label)
                    if folder is None:
                        folder = os.path.join(target, name, _class_of(data, name, label))
                        folders[label] = folder
                        Path(folder).mkdir(parents=True, exist_ok=True)
                    suffix = ".png"
                    if isinstance(image, bytes):
                        content = image
                        suffix = next(
                            (s for start, s in SUFFIXES.items() if image.startswith(start)), ""
                        )
                    else:
                        content = cv2.imencode(".png", image, settings)[1].tobytes()
                    with open(f"{folder}/{number:0{digits}d}{suffix}", "wb") as file:
                        file.write(content)
                    size += len(content)
                    number += 1
                bar.update(len(images))
                if size > max_bytes:
                    raise _too_much(f"{max_bytes / 1e9:g} GB", "max_gb")
    return Unpacked(total, size, {})


def _class_of(data: Arrays, part: str, label: int) -> str:
    if data.classes is None:
        return str(label)
    if not 0 <= label < len(data.classes):
        raise Damaged(
            f"the {part} images of {data.form} have the label {label}, and {data.files[-1]} names"
            f" {len(data.classes)} classes: download both again"
        )
    return data.classes[label]


def _too_much(limit: str, key: str) -> UserError:
    return UserError(
        f"the images of the array files exceed {limit} as PNG files: if this is intended,"
        f" raise limits: {{{key}: …}} of the data set"
    )
