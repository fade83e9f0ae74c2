"""CIFAR-10 and CIFAR-100 in their published formats (https://www.cs.toronto.edu/~kriz/cifar.html).

- Binary versions: records of one label (CIFAR-100: a coarse and a fine one) and 3072 bytes, the
  red, green and blue plane row by row, in `data_batch_1.bin` …, `test_batch.bin` and
  `batches.meta.txt`; or `train.bin`, `test.bin` and `fine_label_names.txt`.
- Python versions: the same data as pickled dictionaries, in `data_batch_1` …, `test_batch` and
  `batches.meta`; or `train`, `test` and `meta`.

CIFAR-100 gets its fine labels; `classes:` in the config merges them.

A pickle can run code. Here an unpickler creates only bytes, numbers, lists, dictionaries and our
own array type, and refuses everything else: no function that the file names is called.
"""

# ruff: noqa: PTH118, PTH202
from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.errors import UserError
from darkroom.sources.arrays import BATCH, Arrays, Part, opened, wrong_length
from darkroom.sources.formats import Damaged
from darkroom.sources.names import safe_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from darkroom.sources.arrays import Batch, Read

TRAINING = re.compile(r"^data_batch_(\d+)(\.bin)?$")
SIDE = 32
PIXELS = 3 * SIDE * SIDE


def members(names: Iterable[str]) -> list[str]:
    """The CIFAR files among the file names of one folder, sorted; empty if the set is incomplete."""
    present = set(names)
    chosen = {n for n in present if TRAINING.match(n)}
    if chosen:
        chosen |= present & {"test_batch", "test_batch.bin", "batches.meta", "batches.meta.txt"}
    if _is_binary_100(present):
        chosen |= present & {
            "train.bin",
            "test.bin",
            "fine_label_names.txt",
            "coarse_label_names.txt",
        }
    if present >= {"meta", "train", "test"}:
        chosen |= {"meta", "train", "test"}
    return sorted(chosen)


def find(root: str, folder: str, names: dict[str, str]) -> list[Arrays]:
    """The CIFAR data sets in a folder, with the size of each file checked.

    Parameters
    ----------
    root : folder of the source.
    folder : folder below `root`.
    names : name of each file in `folder` -> its path below `root`.

    Raises
    ------
    UserError
        A pickle could run code.
    Damaged
        A file is missing, truncated, or not of the format that its name implies.
    """
    readers = (_binary_10, _binary_100, _python_10, _python_100)
    data_sets = [reader(root, folder, names) for reader in readers]
    return [data for data in data_sets if data is not None]


def _is_binary_100(names: Iterable[str]) -> bool:
    return "fine_label_names.txt" in names and not {"train.bin", "test.bin"}.isdisjoint(names)


# ---------------------------------------------------------------- binary versions


def _binary_10(root: str, folder: str, names: dict[str, str]) -> Arrays | None:
    batches = _batches(names, ".bin")
    if not batches:
        return None
    meta = names.get("batches.meta.txt")
    classes = _lines(root, meta) if meta else None
    files = {"train": batches, "test": [names[n] for n in ("test_batch.bin",) if n in names]}
    return _binary(root, folder, "CIFAR-10, binary version", files, classes, meta, labels=1)


def _binary_100(root: str, folder: str, names: dict[str, str]) -> Arrays | None:
    if not _is_binary_100(names):
        return None
    meta = names["fine_label_names.txt"]
    files = {part: [names[n] for n in (f"{part}.bin",) if n in names] for part in ("train", "test")}
    classes = _lines(root, meta)
    return _binary(root, folder, "CIFAR-100, binary version", files, classes, meta, labels=2)


def _batches(names: dict[str, str], suffix: str) -> list[str]:
    """Paths of the training batches in order.

    Raises
    ------
    Damaged
        A batch between others is missing.
    """
    matches = {name: TRAINING.match(name) for name in names}
    paths = {int(m[1]): names[n] for n, m in matches.items() if m and (m[2] or "") == suffix}
    for number in range(1, max(paths, default=0)):
        if number not in paths:
            raise Damaged(f"data_batch_{number}{suffix} is missing beside {paths[max(paths)]}")
    return [paths[number] for number in sorted(paths)]


def _notes(classes: tuple[str, ...] | None) -> tuple[str, ...]:
    return () if classes else ("no file names the classes, so they are numbers",)


def _lines(root: str, path: str) -> tuple[str, ...]:
    with opened(root, path) as stream:
        text = stream.read(1 << 20).decode("utf-8", "replace")
    return _class_names([line.strip() for line in text.splitlines() if line.strip()], path)


def _class_names(names: list[str], path: str) -> tuple[str, ...]:
    for name in names:
        if re.search(r"^\.|[/\\]", name) or safe_name(name) != name:
            raise Damaged(f"{path}: {name!r} cannot be the name of a class folder")
    if len({name.casefold() for name in names}) < max(len(names), 2):
        raise Damaged(f"{path} must name each class once, but names {', '.join(names) or 'none'}")
    return tuple(names)


def _binary(
    root: str,
    folder: str,
    form: str,
    files: dict[str, list[str]],
    classes: tuple[str, ...] | None,
    meta: str | None,
    labels: int,
) -> Arrays:
    record = labels + PIXELS
    parts = {}
    for part, paths in files.items():
        counts = []
        for path in paths:
            size = os.path.getsize(os.path.join(root, path))
            if not size or size % record:
                raise Damaged(
                    f"{path} is truncated or of another format: its {size:,} bytes are no multiple"
                    f" of the record size of {record:,}"
                )
            counts.append(size // record)
        if paths:
            _check_equal(paths, counts)
            parts[part] = Part(sum(counts), _binary_reader(root, paths, labels))
    every = [*files["train"], *files["test"], *([meta] if meta else [])]
    return Arrays(folder, form, tuple(every), classes, parts, _notes(classes))


def _check_equal(paths: list[str], counts: list[int]) -> None:
    for path, count in zip(paths, counts, strict=True):
        if count < max(counts):
            raise Damaged(
                f"{path} is truncated: it has {count:,} images, but another batch has"
                f" {max(counts):,}: download it again"
            )


def _binary_reader(root: str, paths: list[str], labels: int) -> Read:
    def read() -> Iterator[Batch]:
        import numpy as np

        record = labels + PIXELS
        for path in paths:
            with opened(root, path) as stream:
                while data := stream.read(BATCH // record * record):
                    if len(data) % record:
                        raise wrong_length(path, True, "within an image")
                    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
                    yield _upright(rows[:, labels:]), rows[:, labels - 1]

    return read


def _upright(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 3072) red, green and blue planes to (n, 32, 32, 3)."""
    return planes.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


# ---------------------------------------------------------------- python versions


def _python_10(root: str, folder: str, names: dict[str, str]) -> Arrays | None:
    batches = _batches(names, "")
    if not batches:
        return None
    files = {"train": batches, "test": [names[n] for n in ("test_batch",) if n in names]}
    meta = names.get("batches.meta")
    return _python(root, folder, "CIFAR-10, python version", files, meta, "")


def _python_100(root: str, folder: str, names: dict[str, str]) -> Arrays | None:
    if not {"meta", "train", "test"} <= names.keys():
        return None
    if not all(_begins_as_pickle(root, names[name]) for name in ("meta", "train", "test")):
        return None  # other files may have such plain names
    files = {part: [names[part]] for part in ("train", "test")}
    return _python(root, folder, "CIFAR-100, python version", files, names["meta"], "fine_")


def _begins_as_pickle(root: str, path: str) -> bool:
    with opened(root, path) as stream:
        head = stream.read(3)
    return head[:1] == b"\x80" and head[1:2] <= b"\x05"


def _python(
    root: str,
    folder: str,
    form: str,
    files: dict[str, list[str]],
    meta: str | None,
    prefix: str,
) -> Arrays:
    classes = None
    if meta:
        named = _unpickled(root, meta).get(f"{prefix}label_names")
        if not isinstance(named, list) or not all(isinstance(n, bytes | str) for n in named):
            raise Damaged(f"{meta} holds no {prefix}label_names")
        classes = _class_names([_text(n) for n in named], meta)
    parts = {}
    for part, paths in files.items():
        counts = [len(_python_batch(root, path, prefix)[1]) for path in paths]
        if paths:
            _check_equal(paths, counts)
            parts[part] = Part(sum(counts), _python_reader(root, paths, prefix))
    every = [*files["train"], *files["test"], *([meta] if meta else [])]
    return Arrays(folder, form, tuple(every), classes, parts, _notes(classes))


def _python_reader(root: str, paths: list[str], prefix: str) -> Read:
    def read() -> Iterator[Batch]:
        import numpy as np

        for path in paths:
            data, labels = _python_batch(root, path, prefix)
            planes = np.frombuffer(data, np.uint8).reshape(-1, PIXELS)
            yield _upright(planes), np.array(labels)

    return read


def _python_batch(root: str, path: str, prefix: str) -> tuple[bytes, list[int]]:
    """Pixels and labels of one pickled batch."""
    batch = _unpickled(root, path)
    data, labels = batch.get("data"), batch.get(f"{prefix}labels")
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise Damaged(f"{path} lacks data or {prefix}labels, which a batch of CIFAR has")
    if not labels or not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise Damaged(f"{path}: its {prefix}labels are not numbers from 0 to 255")
    if data.shape != (len(labels), PIXELS) or len(data.raw) != len(labels) * PIXELS:
        raise Damaged(
            f"{path} has {len(labels):,} labels but pixels of shape {data.shape}: download it again"
        )
    return data.raw, labels


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


@dataclass
class _Type:
    """Stand-in for a NumPy dtype in a pickle: the bytes that name it."""

    code: Any

    def __setstate__(self, state: Any) -> None:
        """Ignore the byte order and the like: a single byte has none."""


@dataclass
class _Array:
    """Stand-in for a NumPy array in a pickle."""

    shape: tuple[Any, ...] = ()
    raw: bytes = b""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Type) or kind.code not in (b"u1", "u1"):
            raise ValueError("an array that is not of unsigned bytes")
        if fortran or not isinstance(raw, bytes) or not isinstance(shape, tuple):
            raise ValueError("an array that is not stored row by row")
        self.shape, self.raw = shape, raw


def _new_array(*_: Any) -> _Array:
    return _Array()


def _new_type(code: Any, *_: Any) -> _Type:
    return _Type(code)


class _Refused(Exception):
    """A pickle names a type or function that a CIFAR batch does not use."""


class _Unpickler(pickle.Unpickler):
    """Reads bytes, numbers, lists, dictionaries, and arrays of bytes as our stand-ins.

    A pickle can call only what `find_class` returns: here two harmless functions in place of
    NumPy's, and a string for the array class.
    """

    ALLOWED = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): _new_array,
        ("numpy._core.multiarray", "_reconstruct"): _new_array,
        ("numpy", "dtype"): _new_type,
        ("numpy", "ndarray"): "ndarray",
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, _: Any) -> Any:
        raise _Refused("an external object")


def _unpickled(root: str, path: str) -> dict[str, Any]:
    with opened(root, path) as stream:
        data = stream.read()
    try:
        value = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except _Refused as error:
        raise UserError(
            f"{path} is a pickle that names {error}, which no CIFAR batch uses and which could"
            " run code, so it is refused; use the binary version (cifar-10-binary.tar.gz,"
            " cifar-100-binary.tar.gz)"
        ) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise Damaged(
            f"{path} is no complete pickle of CIFAR's python version ({error}): download it again, or use"
            " the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)"
        ) from None
    if not isinstance(value, dict):
        raise Damaged(f"{path} is a pickle, but not of a dictionary, as a CIFAR batch is")
    return {_text(key): inner for key, inner in value.items()}
