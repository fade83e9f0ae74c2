"""NumPy archives of images and labels, such as MedMNIST's and Keras' mnist.npz.

A `.npz` file is a zip of arrays. Images and labels of a part are two of them: `train_images` and
`train_labels` (MedMNIST, https://medmnist.com), `x_train` and `y_train` (Keras), or `images` and
`labels` without parts. Images are (n, height, width), (n, height, width, 1) or (n, height, width, 3)
of unsigned bytes. Labels are (n) or (n, 1) numbers or texts, or (n, classes) with a single 1 in
each row.

Arrays of Python objects are refused: reading them could run code.
"""

# ruff: noqa: PTH118
from __future__ import annotations

import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from darkroom.errors import UserError
from darkroom.sources.arrays import BATCH, Arrays, Part, damaged, folder_names, part_of
from darkroom.sources.formats import DAMAGED, Damaged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from darkroom.sources.arrays import Batch, Read

SUFFIX = ".npz"
_ROLES = {
    **dict.fromkeys(("images", "image", "imgs", "img", "x"), "images"),
    **dict.fromkeys(("labels", "label", "y", "targets", "target"), "labels"),
}

# part -> `images` or `labels` -> name of the array in the file
Keys = dict[str, dict[str, str]]


def find(root: str, path: str) -> Arrays | None:
    """The data set in one file; None where none of its arrays are named images and labels.

    Parameters
    ----------
    root : folder of the source.
    path : path of the file below `root`.

    Raises
    ------
    Damaged
        The file is damaged, or its images and labels differ in number.
    UserError
        Its arrays are of another kind: not of bytes, volumes, several labels for an image.
    """
    try:
        with zipfile.ZipFile(os.path.join(root, path)) as archive:
            keys = _keys([name.removesuffix(".npy") for name in archive.namelist()])
            if not keys:
                return None
            labels = {part: _labels(archive, path, roles["labels"]) for part, roles in keys.items()}
            shapes = {part: _shape(archive, path, roles["images"]) for part, roles in keys.items()}
    except (*DAMAGED, OSError) as error:
        raise damaged(path, error) from None
    every = sorted({value for one in labels.values() for value in one.tolist()})
    number = {value: i for i, value in enumerate(every)}
    parts: dict[str, Part] = {}
    for part, roles in keys.items():
        if len(labels[part]) != shapes[part][0]:
            raise Damaged(
                f"{path}: {roles['images']} has {shapes[part][0]:,} images but {roles['labels']} has "
                f"{len(labels[part]):,} labels"
            )
        numbers = [number[value] for value in labels[part].tolist()]
        parts[part] = Part(shapes[part][0], _reader(root, path, roles["images"], numbers))
    used = ", ".join(f"{roles['images']} and {roles['labels']}" for roles in keys.values())
    name = path[: -len(SUFFIX)]
    return Arrays(name, "NumPy archive", (path,), folder_names(every), parts, (f"arrays {used}",))


def _keys(names: list[str]) -> Keys:
    found: Keys = defaultdict(dict)
    for name in names:
        words = [word for word in re.split(r"[^a-z]+", name.lower()) if word]
        roles = [_ROLES[word] for word in words if word in _ROLES]
        parts = [part for word in words if (part := part_of(word))]
        if len(roles) == 1 and len(words) == 1 + len(parts) and len(parts) < 2:
            found[parts[0] if parts else ""].setdefault(roles[0], name)
    whole = {part: roles for part, roles in found.items() if len(roles) == 2}
    if len(whole) > 1:
        whole.pop("", None)
    order = ("train", "validation", "test", "")
    return {part or "train": whole[part] for part in order if part in whole}


def _labels(archive: zipfile.ZipFile, path: str, name: str) -> NDArray[Any]:
    """(n) integers or texts."""
    import numpy as np

    with archive.open(f"{name}.npy") as stream:
        if _header(stream)[2].hasobject:
            raise UserError(
                f"{path}: {name} holds Python objects, whose reading could run code: save it as numbers or as "
                "texts (array.astype(str))"
            )
    with archive.open(f"{name}.npy") as stream:
        values = np.lib.format.read_array(stream, allow_pickle=False)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    elif values.ndim == 2 and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all():
        values = values.argmax(1)
    if values.ndim != 1:
        raise UserError(
            f"{path}: {name} has the shape {values.shape}, but an image has one label here: write a "
            "file with one label for each image"
        )
    whole = values.dtype.kind == "f" and (values == np.round(values)).all()
    if values.dtype.kind not in "iubU" and not whole:
        raise UserError(
            f"{path}: {name} holds {values.dtype}, but labels are whole numbers or texts"
        )
    return values.astype(np.int64) if values.dtype.kind in "fb" else values


def _shape(archive: zipfile.ZipFile, path: str, name: str) -> tuple[int, ...]:
    with archive.open(f"{name}.npy") as stream:
        shape, fortran, dtype = _header(stream)
    if dtype != "uint8" or fortran:
        raise UserError(
            f"{path}: {name} holds {dtype}{' in column order' if fortran else ''}, but images are read as "
            "unsigned bytes, row by row: write them so (0 black, 255 white)"
        )
    if len(shape) < 3 or (len(shape) == 4 and shape[3] not in (1, 3)) or len(shape) > 4:
        raise UserError(
            f"{path}: {name} has the shape {shape}, but images are (n, height, width) or (n, height, width, 3)"
        )
    return shape


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    import numpy as np

    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    return (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(stream)


def _reader(root: str, path: str, name: str, labels: list[int]) -> Read:
    def read() -> Iterator[Batch]:
        import numpy as np

        try:
            with (
                zipfile.ZipFile(os.path.join(root, path)) as archive,
                archive.open(f"{name}.npy") as stream,
            ):
                shape, _, _ = _header(stream)
                if len(shape) == 4 and shape[3] == 1:
                    shape = shape[:3]
                each = int(np.prod(shape[1:]))
                size = max(1, BATCH // each)
                for at in range(0, shape[0], size):
                    n = min(size, shape[0] - at)
                    block = np.frombuffer(stream.read(n * each), np.uint8)
                    yield block.reshape(n, *shape[1:]), np.array(labels[at : at + n])
        except (*DAMAGED, OSError) as error:
            raise damaged(path, error) from None

    return read
