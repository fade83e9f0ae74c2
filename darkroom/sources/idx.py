"""IDX files, the format of MNIST, Fashion-MNIST and EMNIST.

`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-…` or `test-…`, each plain or `.gz`, with
`.`, `-` or `_` between the words, and perhaps a data set's name in front. A file is `00 00`, the
type of its numbers (08: unsigned bytes), the number of dimensions, each size as a big-endian
32-bit number, then the numbers row by row (http://yann.lecun.com/exdb/mnist, "file formats").

EMNIST stores each image transposed, as Matlab does: where a file's name says `emnist`, each image
is turned back. Its own page says so: https://www.nist.gov/itl/products-and-services/emnist-dataset.
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
    r"(?P<what>image|label)s?(?P<says>(?:[-_. ]?(?:idx\d?|ubyte))*)(?:\.gz)?$",
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

# (part, image or label) -> paths of the file in it, and of its copies
Roles = dict[tuple[str, str], list[str]]


def find(root: str, folders: dict[str, dict[str, str]]) -> list[Arrays]:
    """Every data set of IDX files below a folder, the header of each file checked.

    Parameters
    ----------
    root : folder. folders : folder below it -> name of a file there -> its path below `root`.

    Raises
    ------
    Damaged
        A file is not what its name says, is cut short, or does not fit the one beside it.
    """
    sets: dict[tuple[str, str], Roles] = defaultdict(lambda: defaultdict(list))
    for folder, names in folders.items():
        for name, path in names.items():
            match = NAME.match(name)
            if not match or not (match["says"] or _begins_as_one(root, path)):
                continue  # without idx or ubyte in its name, a file may be anything
            above, _, last = folder.rpartition("/")
            where = above if NAME.match(last) else folder  # each file in a folder of its name
            part = PARTS.get(match["part"].lower(), "validation")
            role = part, match["what"].lower()
            sets[where, match["prefix"].strip("-_. ")][role].append(path)
    return [
        _one_set(root, "/".join(filter(None, title)), roles)
        for title, roles in _joined(sets).items()
    ]


def _joined(sets: dict[tuple[str, str], Roles]) -> dict[tuple[str, str], Roles]:
    """One set where its files lie in folders side by side, `train/` and `test/` for example."""
    beside: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for where, prefix in sets:
        beside[where.rpartition("/")[0], prefix].append((where, prefix))
    out: dict[tuple[str, str], Roles] = {}
    for above, titles in beside.items():
        roles = [role for title in titles for role in sets[title]]
        if len(titles) > 1 and len(set(roles)) == len(roles):
            out[above] = {role: paths for title in titles for role, paths in sets[title].items()}
        else:
            out |= {title: sets[title] for title in titles}
    return out


def _one_set(root: str, title: str, roles: Roles) -> Arrays:
    one = {role: _same(root, paths) for role, paths in roles.items()}
    emnist = any("emnist" in path.lower() for path in one.values())
    parts: dict[str, Part] = {}
    files: list[str] = []
    for part in ("train", "validation", "test"):
        images, labels = one.get((part, "image")), one.get((part, "label"))
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            has, lacks = ("images", "labels") if labels is None else ("labels", "images")
            raise Damaged(
                f"{images or labels} has {has}, and the file of their {lacks} is missing beside it"
            )
        count, height, width = _shape(root, images, 3)
        marked = _shape(root, labels, 1)[0]
        if count != marked:
            raise Damaged(
                f"{images} has {count:,} images and {labels} has {marked:,} labels: they do not"
                " belong together, get both again"
            )
        read = _reader(root, images, labels, (count, height, width), turned=emnist)
        parts[part] = Part(count, read)
        files += [images, labels]
    notes = ("each image turned back, which EMNIST stores transposed",) if emnist else ()
    return Arrays(title, "IDX", tuple(files), None, parts, notes)


def _same(root: str, paths: list[str]) -> str:
    """One of several copies of a file, plain before packed."""
    paths.sort(key=lambda path: (path.lower().endswith(".gz"), len(path), path))
    if len(paths) > 1 and len({_digest(root, path) for path in paths}) > 1:
        raise Damaged(
            f"{paths[0]} and {paths[1]} should be the same and differ: leave the right one alone"
            " in the source"
        )
    return paths[0]


def _digest(root: str, path: str) -> str:
    digest = hashlib.sha256()
    with opened(root, path) as stream:
        while chunk := stream.read(BATCH):
            digest.update(chunk)
    return digest.hexdigest()


def _begins_as_one(root: str, path: str) -> bool:
    try:
        with opened(root, path) as stream:
            head = stream.read(4)
    except UserError:
        return False
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES and head[3] in (1, 3)


def _shape(root: str, path: str, dimensions: int) -> tuple[int, ...]:
    """Sizes in the header of an IDX file, which must be one of unsigned bytes."""
    with opened(root, path) as stream:
        head = stream.read(4)
        sizes = stream.read(4 * dimensions)
        plain = not isinstance(stream, gzip.GzipFile)
    what = "images" if dimensions == 3 else "labels"
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in TYPES:
        page = b"<" in head
        raise Damaged(
            f"{path} is no IDX file, as its name says: it begins with {head.hex(' ') or 'nothing'}"
            f" and not with 00 00 08 {dimensions:02x}"
            + (" (it looks like a web page)" if page else "")
        )
    if head[2] != 0x08:
        raise Damaged(f"{path} holds {TYPES[head[2]]}, and {what} should be unsigned bytes")
    if head[3] != dimensions:
        holds = {1: ", as labels do", 3: ", as images do"}.get(head[3], "")
        raise Damaged(
            f"{path} has {head[3]} dimensions{holds}, and {what}, as its name says, have"
            f" {dimensions}"
        )
    if len(sizes) < 4 * dimensions:
        raise Damaged(f"{path} is cut short within its header: get it again")
    shape = struct.unpack(f">{dimensions}I", sizes)
    total, pixels = shape[0], 1
    for size in shape[1:]:
        pixels *= size
    if not total or not pixels or pixels > LARGEST:
        raise Damaged(f"{path}: its header tells of {' × '.join(map(str, shape))} {what}")
    if plain:
        length, wanted = os.path.getsize(os.path.join(root, path)), 4 + len(sizes) + total * pixels
        if length != wanted:
            raise wrong_length(path, length < wanted, f"{length:,} bytes in place of {wanted:,}")
    return shape


def _reader(
    root: str, images: str, labels: str, shape: tuple[int, int, int], *, turned: bool
) -> Read:
    count, height, width = shape

    def read() -> Iterator[Batch]:
        import numpy as np

        size = max(1, BATCH // (height * width))
        with opened(root, images) as pixels, opened(root, labels) as marks:
            _exactly(pixels, 16, images)
            _exactly(marks, 8, labels)
            for at in range(0, count, size):
                n = min(size, count - at)
                block = np.frombuffer(_exactly(pixels, n * height * width, images), np.uint8)
                block = block.reshape(n, height, width)
                label = np.frombuffer(_exactly(marks, n, labels), np.uint8)
                yield (block.transpose(0, 2, 1) if turned else block), label
            for stream, path in ((pixels, images), (marks, labels)):
                if _read(stream, 1, path):
                    raise wrong_length(path, False, f"its header tells of {count:,}")

    return read


def _read(stream: IO[bytes], n: int, path: str) -> bytes:
    """Read of one of two open files, whose damage must be told by its own name."""
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
        raise wrong_length(path, True, f"{missing:,} bytes are missing at the least")
    return b"".join(parts)
