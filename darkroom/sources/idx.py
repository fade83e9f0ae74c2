"""IDX files, the format of MNIST, Fashion-MNIST and EMNIST.

Names: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…` or `test-…`, plain or `.gz`,
with `.`, `-` or `_` between the words, optionally after the name of the data set. Content: `00 00`,
the number type (08: unsigned bytes), the number of dimensions, each size as a big-endian 32-bit
number, then the values row by row (http://yann.lecun.com/exdb/mnist, "file formats").

EMNIST stores each image transposed, as Matlab does
(https://www.nist.gov/itl/products-and-services/emnist-dataset): images of files whose name contains
`emnist` are transposed back.
"""

# ruff: noqa: PTH118, PTH202
from __future__ import annotations

import gzip
import hashlib
import os
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from darkroom.errors import UserError
from darkroom.sources.arrays import BATCH, DAMAGED, Arrays, Part, damaged, opened, wrong_length
from darkroom.sources.formats import Damaged

if TYPE_CHECKING:
    from darkroom.sources.arrays import Batch, Read

NAME = re.compile(
    r"^(?P<prefix>(?:.*[-_. ])?)(?P<part>train|t10k|test|val|valid|validation)[-_. ]?"
    r"(?P<role>image|label)s?(?P<idx>(?:[-_. ]?(?:idx\d?|ubyte))*)(?:\.gz)?$",
    re.I,
)
PARTS = {"train": "train", "t10k": "test", "test": "test"}
TYPES = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
LARGEST = 1 << 28  # pixels of one image

# (part, `image` or `label`) -> paths of the file and of its copies
Roles = dict[tuple[str, str], list[str]]


def find(root: str, folders: dict[str, dict[str, str]]) -> list[Arrays]:
    """The IDX data sets below a folder, with the header of each file checked.

    Parameters
    ----------
    root : folder of the source.
    folders : folder below `root` -> name of each file in it -> its path below `root`.

    Raises
    ------
    Damaged
        A file is truncated, not of the format that its name implies, or does not match its
        images or labels.
    """
    sets: dict[tuple[str, str], Roles] = defaultdict(lambda: defaultdict(list))
    for folder, names in folders.items():
        for name, path in names.items():
            match = NAME.match(name)
            if not match or not (match["idx"] or _begins_as_idx(root, path)):
                continue  # a name without idx or ubyte may belong to another format
            above, _, last = folder.rpartition("/")
            where = above if NAME.match(last) else folder  # each file in a folder of its name
            part = PARTS.get(match["part"].lower(), "validation")
            role = part, match["role"].lower()
            sets[where, match["prefix"].strip("-_. ")][role].append(path)
    return [
        _one_set(root, "/".join(filter(None, title)), roles)
        for title, roles in _joined(sets).items()
    ]


def _joined(sets: dict[tuple[str, str], Roles]) -> dict[tuple[str, str], Roles]:
    """Join sets whose files are in sibling folders, for example `train/` and `test/`."""
    siblings: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for where, prefix in sets:
        siblings[where.rpartition("/")[0], prefix].append((where, prefix))
    out: dict[tuple[str, str], Roles] = {}
    for above, titles in siblings.items():
        roles = [role for title in titles for role in sets[title]]
        if len(titles) > 1 and len(set(roles)) == len(roles):
            out[above] = {role: paths for title in titles for role, paths in sets[title].items()}
        else:
            out |= {title: sets[title] for title in titles}
    return out


def _one_set(root: str, title: str, roles: Roles) -> Arrays:
    chosen = {role: _same(root, paths) for role, paths in roles.items()}
    emnist = any("emnist" in path.lower() for path in chosen.values())
    parts: dict[str, Part] = {}
    files: list[str] = []
    for part in ("train", "validation", "test"):
        images, labels = chosen.get((part, "image")), chosen.get((part, "label"))
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            has, lacks = ("images", "labels") if labels is None else ("labels", "images")
            raise Damaged(f"{images or labels} has {has}, but the file of their {lacks} is missing")
        count, height, width = _shape(root, images, 3)
        n_labels = _shape(root, labels, 1)[0]
        if count != n_labels:
            raise Damaged(
                f"{images} has {count:,} images but {labels} has {n_labels:,} labels: download both"
                " again"
            )
        read = _reader(root, images, labels, (count, height, width), transposed=emnist)
        parts[part] = Part(count, read)
        files += [images, labels]
    notes = ("images transposed back, as EMNIST stores them transposed",) if emnist else ()
    return Arrays(title, "IDX", tuple(files), None, parts, notes)


def _same(root: str, paths: list[str]) -> str:
    """Choose one of several copies of a file: uncompressed before compressed."""
    paths.sort(key=lambda path: (path.lower().endswith(".gz"), len(path), path))
    if len(paths) > 1 and len({_digest(root, path) for path in paths}) > 1:
        raise Damaged(
            f"{paths[0]} and {paths[1]} should be equal but differ: keep only the right one in the"
            " source"
        )
    return paths[0]


def _digest(root: str, path: str) -> str:
    digest = hashlib.sha256()
    with opened(root, path) as stream:
        while chunk := stream.read(BATCH):
            digest.update(chunk)
    return digest.hexdigest()


def _begins_as_idx(root: str, path: str) -> bool:
    try:
        with opened(root, path) as stream:
            head = stream.read(4)
    except UserError:
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES and head[3] in (1, 3)


def _shape(root: str, path: str, dimensions: int) -> tuple[int, ...]:
    """Sizes in the header of an IDX file; only unsigned bytes are supported."""
    with opened(root, path) as stream:
        head = stream.read(4)
        sizes = stream.read(4 * dimensions)
        plain = not isinstance(stream, gzip.GzipFile)
    items = "images" if dimensions == 3 else "labels"
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES:
        raise Damaged(
            f"{path} is no IDX file, despite its name: it begins with {head.hex(' ') or 'nothing'}"
            f" and not with 00 00 08 {dimensions:02x}"
            + (" (it looks like a web page)" if b"<" in head else "")
        )
    if head[2] != 0x08:
        raise Damaged(f"{path} holds {TYPES[head[2]]}, but {items} must be unsigned bytes")
    if head[3] != dimensions:
        holds = {1: ", as labels do", 3: ", as images do"}.get(head[3], "")
        raise Damaged(
            f"{path} has {head[3]} dimensions{holds}, but {items}, which its name implies, have"
            f" {dimensions}"
        )
    if len(sizes) < 4 * dimensions:
        raise Damaged(f"{path} is truncated within its header: download it again")
    shape = struct.unpack(f">{dimensions}I", sizes)
    total, pixels = shape[0], 1
    for size in shape[1:]:
        pixels *= size
    if not total or not pixels or pixels > LARGEST:
        raise Damaged(f"{path}: its header states {' × '.join(map(str, shape))} {items}")
    if plain:
        length, expected = (
            os.path.getsize(os.path.join(root, path)),
            4 + len(sizes) + total * pixels,
        )
        if length != expected:
            raise wrong_length(path, length < expected, f"{length:,} bytes instead of {expected:,}")
    return shape


def _reader(
    root: str, images: str, labels: str, shape: tuple[int, int, int], *, transposed: bool
) -> Read:
    count, height, width = shape

    def read() -> Iterator[Batch]:
        import numpy as np

        size = max(1, BATCH // (height * width))
        with opened(root, images) as pixels, opened(root, labels) as targets:
            _exactly(pixels, 16, images)
            _exactly(targets, 8, labels)
            for at in range(0, count, size):
                n = min(size, count - at)
                block = np.frombuffer(_exactly(pixels, n * height * width, images), np.uint8)
                block = block.reshape(n, height, width)
                label = np.frombuffer(_exactly(targets, n, labels), np.uint8)
                yield (block.transpose(0, 2, 1) if transposed else block), label
            for stream, path in ((pixels, images), (targets, labels)):
                if _read(stream, 1, path):
                    raise wrong_length(path, False, f"its header states {count:,}")

    return read


def _read(stream: IO[bytes], n: int, path: str) -> bytes:
    """Read from one of two open files, so that an error names the right one."""
    try:
        return stream.read(n)
    except DAMAGED as error:
        raise damaged(path, error) from None


def _exactly(stream: IO[bytes], n: int, path: str) -> bytes:
    parts, missing = [], n
    while missing and (chunk := _read(stream, missing, path)):
        parts.append(chunk)
        missing -= len(chunk)
    if missing:
        raise wrong_length(path, True, f"at least {missing:,} bytes are missing")
    return b"".join(parts)
