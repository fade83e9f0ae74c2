"""Small data sets in the true files of published ones, for tests.

- IDX, the format of MNIST, Fashion-MNIST and EMNIST (yann.lecun.com/exdb/mnist): big-endian
  magic `00 00 08 dimensions`, sizes, then unsigned bytes row by row.
- CIFAR-10 and CIFAR-100, binary and python versions (cs.toronto.edu/~kriz/cifar.html): records
  of one label (CIFAR-100: coarse, fine) and 3072 bytes, red, green and blue planes row by row;
  and the same as dictionaries pickled by Python 2.

Labels go round (0, 1, 2, … 9, 0, …), so that any ten images in a row have each class once. The
pictures are of shapes that a small network can tell apart.
"""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

CIFAR10 = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""The classes of CIFAR-10 in the order of their labels."""

IMAGES = {"train": 100, "test": 40}
"""Images that a part has where a test asks for no other number."""


# ---------------------------------------------------------------- pictures


def digits(count: int, *, seed: int = 0, side: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """White digits on black: (count, side, side) uint8, and labels 0..9, (count,) uint8."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 10).astype(np.uint8)
    images = rng.integers(0, 40, (count, side, side), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        x, y = side // 5 + int(rng.integers(-2, 3)), 4 * side // 5 + int(rng.integers(-2, 3))
        cv2.putText(image, str(label), (x, y), cv2.FONT_HERSHEY_SIMPLEX, side / 34, 255, 2)
    return images, labels


def objects(
    count: int, *, seed: int = 0, side: int = 32, classes: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """A disc each, whose colour tells its class, on noise.

    Returns
    -------
    Images (count, side, side, 3) uint8 in RGB; labels 0 .. classes - 1, (count,) uint8.
    """
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % classes).astype(np.uint8)
    images = rng.integers(0, 60, (count, side, side, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        hue = np.uint8([[[179 * int(label) // classes, 220, 240]]])
        colour = [int(c) for c in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0]]
        x, y = (side // 2 + int(rng.integers(-4, 5)) for _ in range(2))
        cv2.circle(image, (x, y), side // 4, colour, -1)
    return images, labels


# ---------------------------------------------------------------- IDX


def idx(values: np.ndarray) -> bytes:
    """An array of unsigned bytes as an IDX file."""
    assert values.dtype == np.uint8
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


def mnist_idx(
    folder: Path,
    *,
    images: Mapping[str, int] = IMAGES,
    packed: bool = True,
    dotted: bool = False,
    prefix: str = "",
    seed: int = 0,
) -> list[Path]:
    """Write MNIST's files: images and labels of `train`, then of `test` (`t10k`).

    Parameters
    ----------
    folder : made where missing.
    images : images of each part; a part that is left out has no files.
    packed : by gzip, as the official pages have them: `train-images-idx3-ubyte.gz`.
    dotted : `train-images.idx3-ubyte` in place of `train-images-idx3-ubyte`.
    prefix : before each name; with `emnist` in it, the names say `test` for `t10k` and each
        image is stored transposed, as EMNIST does.

    Returns
    -------
    The files in that order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    emnist = "emnist" in prefix
    files = []
    for number, (part, count) in enumerate(images.items()):
        pixels, labels = digits(count, seed=1000 * seed + number)
        if emnist:
            pixels = pixels.transpose(0, 2, 1)
        stem = "t10k" if part == "test" and not emnist else part
        for what, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            name = f"{prefix}{stem}-{what}-ubyte"
            if dotted:
                name = name.replace("-idx", ".idx")
            data = idx(np.ascontiguousarray(values))
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(data, mtime=0) if packed else data)
            files.append(path)
    return files


# ---------------------------------------------------------------- CIFAR


def cifar10_binary(
    path: Path, *, images: Mapping[str, int] = IMAGES, seed: int = 0, batches: int = 5
) -> Path:
    """Write `cifar-10-binary.tar.gz`, or a folder of its files where the path has no suffix.

    Parameters
    ----------
    path : its folder is made where missing.
    images : images of `train` (a multiple of `batches`) and `test`.
    """
    files = {"batches.meta.txt": "\n".join([*CIFAR10, "", ""]).encode(), "readme.html": b"<html>"}
    for name, pixels, labels in _batches(images, seed, batches):
        files[f"{name}.bin"] = _records(pixels, labels)
    return _put(path, "cifar-10-batches-bin", files)


def cifar100_binary(
    path: Path, *, images: Mapping[str, int] = IMAGES, seed: int = 0, classes: int = 10
) -> Path:
    """Write `cifar-100-binary.tar.gz`, or a folder: `classes` fine labels, two to a coarse one."""
    fine, coarse = _names_of_100(classes)
    files = {
        "fine_label_names.txt": "\n".join([*fine, ""]).encode(),
        "coarse_label_names.txt": "\n".join([*coarse, ""]).encode(),
    }
    for number, (part, count) in enumerate(images.items()):
        pixels, labels = objects(count, seed=1000 * seed + number, classes=classes)
        files[f"{part}.bin"] = _records(pixels, labels // 2, labels)
    return _put(path, "cifar-100-binary", files)


def cifar10_python(
    path: Path, *, images: Mapping[str, int] = IMAGES, seed: int = 0, batches: int = 5
) -> Path:
    """Write `cifar-10-python.tar.gz`, or a folder: the same images as `cifar10_binary`."""
    size = images["train"] // batches
    files = {
        "batches.meta": pickled_by_python_2(
            {"num_cases_per_batch": size, "label_names": CIFAR10, "num_vis": 3072}
        )
    }
    for name, pixels, labels in _batches(images, seed, batches):
        files[name] = pickled_by_python_2(
            {
                "batch_label": f"batch {name}",
                "labels": [int(v) for v in labels],
                "data": _planes(pixels),
                "filenames": [f"{name}_{i}.png" for i in range(len(labels))],
            }
        )
    return _put(path, "cifar-10-batches-py", files)


def cifar100_python(
    path: Path, *, images: Mapping[str, int] = IMAGES, seed: int = 0, classes: int = 10
) -> Path:
    """Write `cifar-100-python.tar.gz`, or a folder: the same images as `cifar100_binary`."""
    fine, coarse = _names_of_100(classes)
    files = {"meta": pickled_by_python_2({"fine_label_names": fine, "coarse_label_names": coarse})}
    for number, (part, count) in enumerate(images.items()):
        pixels, labels = objects(count, seed=1000 * seed + number, classes=classes)
        files[part] = pickled_by_python_2(
            {
                "filenames": [f"{part}_{i}.png" for i in range(count)],
                "batch_label": f"{part} batch 1 of 1",
                "fine_labels": [int(v) for v in labels],
                "coarse_labels": [int(v) // 2 for v in labels],
                "data": _planes(pixels),
            }
        )
    return _put(path, "cifar-100-python", files)


def _names_of_100(classes: int) -> tuple[list[str], list[str]]:
    fine = [f"fine_{i:02d}" for i in range(classes)]
    return fine, [f"coarse_{i:02d}" for i in range((classes + 1) // 2)]


def _batches(
    images: Mapping[str, int], seed: int, batches: int
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    assert images["train"] % batches == 0
    pixels, labels = objects(images["train"], seed=1000 * seed)
    size = len(labels) // batches
    out = [
        (f"data_batch_{i + 1}", pixels[i * size :][:size], labels[i * size :][:size])
        for i in range(batches)
    ]
    return [*out, ("test_batch", *objects(images["test"], seed=1000 * seed + 1))]


def _planes(pixels: np.ndarray) -> np.ndarray:
    """(n, 32, 32, 3) to (n, 3072): red, green, blue."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(len(pixels), -1)


def _records(pixels: np.ndarray, *labels: np.ndarray) -> bytes:
    return np.hstack([*(v[:, None] for v in labels), _planes(pixels)]).tobytes()


def _put(path: Path, inner: str, files: Mapping[str, bytes]) -> Path:
    if not path.suffix:
        path.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (path / name).write_bytes(data)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"{inner}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


# ---------------------------------------------------------------- Python 2


def pickled_by_python_2(value: Mapping[str, object]) -> bytes:
    """A dictionary as `cPickle.dump(…, protocol=2)` of Python 2 and NumPy 1 wrote it.

    Python 3 cannot write it: there `str` is text, and was bytes.
    """
    return b"\x80\x02" + _python_2(value) + b"."


def _python_2(value: object) -> bytes:
    if isinstance(value, Mapping):
        inside = b"".join(_python_2(k) + _python_2(v) for k, v in value.items())
        return b"}(" + inside + b"u"
    if isinstance(value, np.ndarray):
        dtype = (
            b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
            b"J\xff\xff\xff\xffK\x00tb"
        )
        shape = b"".join(_python_2(n) for n in value.shape) + b"\x86"
        made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        return made + b"(K\x01" + shape + dtype + b"\x89" + _python_2(value.tobytes()) + b"tb"
    if isinstance(value, str):
        return _python_2(value.encode())
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)
    assert isinstance(value, Sequence)
    return b"](" + b"".join(_python_2(v) for v in value) + b"e"
