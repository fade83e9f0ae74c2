"""HDF5 files of images and of features: made, checked, mapped.

Every large array is contiguous and allocated at once, so that its place in the file is
known before a number is written: writers (several processes, if need be) and readers
map it, and no HDF5 handle crosses a fork. A file is made as a hidden one beside its
place, and takes its name when whole.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from darkroom import __version__
from darkroom.errors import UserError
from darkroom.images.joined import Array, Shards
from darkroom.machine import disk

PAGE = 4096  # arrays start on a page, so that a mapped block touches no other array
# Version 2 of the file header knows the file's length, so a cut file does not open, and
# holds attributes above 64 kB (the names of thousands of classes); version 3 would add
# a mark of "open for writing" that outlives a killed writer.
LIBVER = (h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
# Virtual datasets came with 1.10.
LIBVER_VIRTUAL = (h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)


@dataclass(frozen=True)
class Images:
    """An open images file (`images/{view}.h5` or `augmented/{view}.h5`).

    Attributes
    ----------
    images : (N, H, W, C) uint8, read-only, mapped: indexing reads only what it takes. Of
        joined shards a `Shards`, which is indexed alike.
    row : (N,) int64, row of the manifest (of the parent, for a variant).
    variant : (N,) int16, 0 for the image itself, else an index into `variants`.
    label : (N,) int32, index into `labels`.
    mean, mean_square : (N, C) float64, of each image's pixels, in 0..255 and 0..65025.
    labels : the source's labels. variants : names; the first is `original`.
    view, decode : the settings that the file was made with. dataset : its name.
    """

    path: str
    images: Array
    row: np.ndarray
    variant: np.ndarray
    label: np.ndarray
    mean: np.ndarray
    mean_square: np.ndarray
    labels: list[str]
    variants: list[str]
    view: dict[str, Any]
    decode: dict[str, Any]
    dataset: str

    def __len__(self) -> int:
        return len(self.row)

    def block(self, start: int, stop: int) -> np.ndarray:
        """Map images [start, stop) anew: a reader that drops each block holds a block."""
        if not isinstance(self.images, Shards):
            return _again(self.images, start, stop)
        found = [_again(part, a, b) for part, a, b in self.images.within(start, stop)]
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else self.images[:0]


@dataclass(frozen=True)
class Features:
    """An open features file.

    Attributes
    ----------
    features : (M, D) float32, read-only, mapped. row : (M,) int64. variant : (M,) int16.
    name : of the feature set. layer : of the network it was read from, or what made it.
    made : how one makes the same of another image: `kind` (`network`, `pixels`, `hog`,
        `backbone`), `view`, `decode`, and what else the kind needs.
    """

    path: str
    features: np.ndarray
    row: np.ndarray
    variant: np.ndarray
    name: str
    layer: str
    made: dict[str, Any]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Draft:
    """A file under construction: its arrays have their places and are to be filled.

    It holds no open handle and may be handed to other processes.
    """

    path: str
    arrays: dict[str, tuple[int, tuple[int, ...], str]]

    def map(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Map entries [start, stop) of one array for writing.

        Dropping the result unmaps it: a writer that maps block by block holds a block.
        """
        offset, shape, dtype = self.arrays[name]
        stop = shape[0] if stop is None else stop
        one = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize
        return _map(self.path, offset + start * one, (stop - start, *shape[1:]), dtype, "r+")


def _again(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Map rows of a mapped array anew."""
    if not isinstance(array, np.memmap):
        return array[start:stop]
    one = int(np.prod(array.shape[1:])) * array.itemsize
    shape = (stop - start, *array.shape[1:])
    return _map(str(array.filename), array.offset + start * one, shape, str(array.dtype), "r")


def _map(path: str, offset: int, shape: tuple[int, ...], dtype: str, mode: Any) -> np.ndarray:
    if not np.prod(shape, dtype=np.int64):  # nothing to map
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype=dtype, mode=mode, offset=offset, shape=shape)


@contextmanager
def draft(
    path: str,
    reserve: dict[str, tuple[tuple[int, ...], str]],
    columns: dict[str, np.ndarray],
    attributes: dict[str, str],
    virtual: dict[str, h5py.VirtualLayout] | None = None,
) -> Iterator[Draft]:
    """Make an HDF5 file: the body of the `with` fills its reserved arrays.

    Parameters
    ----------
    path : where the file stands in the end; after an error nothing does.
    reserve : name to (shape, dtype) of the arrays to be filled through `Draft.map`.
    columns : small arrays, written at once. attributes : of the file.
    virtual : arrays that lie in other files.

    Raises
    ------
    UserError
        There is no room for the file.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.part")
    # A killed run's file goes first: a straggler of that run then writes to a lost file.
    part.unlink(missing_ok=True)
    # HDF5 that cannot write to the end crashes when it closes the file: try the room before.
    small = sum(np.asarray(v).nbytes + 2 * PAGE for v in columns.values())
    small += sum(2 * len(text) + PAGE for text in attributes.values()) + 16 * PAGE
    try:
        _occupy(part, final, small)
        arrays = _create(part, reserve, columns, attributes, virtual or {})
        _occupy(part, final)
        yield Draft(str(part), arrays)
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # the name must not reach the disk before the bytes
        part.replace(final)
    except OSError as error:
        if said := disk.in_words(error, [str(final.parent)]):
            raise UserError(said) from None
        raise
    finally:
        part.unlink(missing_ok=True)


def _create(
    part: Path,
    reserve: dict[str, tuple[tuple[int, ...], str]],
    columns: dict[str, np.ndarray],
    attributes: dict[str, str],
    virtual: dict[str, h5py.VirtualLayout],
) -> dict[str, tuple[int, tuple[int, ...], str]]:
    """Write everything but the reserved arrays, and tell where those lie."""
    arrays = {}
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(*(LIBVER_VIRTUAL if virtual else LIBVER))
    # The name is our own, so nobody else opens it, and many network file systems refuse locks.
    access.set_file_locking(False, True)
    access.set_alignment(PAGE, PAGE)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)  # equal contents, equal bytes
    handle = h5py.h5f.create(os.fsencode(part), h5py.h5f.ACC_TRUNC, creation, access)
    with h5py.File(handle) as file:
        for name, (shape, dtype) in reserve.items():
            layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            layout.set_layout(h5py.h5d.CONTIGUOUS)
            layout.set_obj_track_times(False)
            layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            array = h5py.h5d.create(
                file.id,
                name.encode(),
                h5py.h5t.py_create(np.dtype(dtype), logical=True),
                h5py.h5s.create_simple(shape),
                layout,
            )
            arrays[name] = (array.get_offset() or 0, shape, dtype)
        for name, layout in virtual.items():
            file.create_virtual_dataset(name, layout)
        for name, values in columns.items():
            file.create_dataset(name, data=values)
        for name, text in attributes.items():
            file.attrs[name] = text
    return arrays


def _occupy(part: Path, final: Path, size: int | None = None) -> None:
    """Take the room on the disk now: a mapped write to a full disk kills the writer.

    Parameters
    ----------
    part : the file; made where it is not there. size : bytes; unset: those that it has.
    """
    with part.open("ab") as file:
        size = size or os.fstat(file.fileno()).st_size
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            # The file system cannot promise room. Of a file that is opened to append the C library
            # says EBADF then; of another it would write a byte into every page.
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF):
                return
            if error.errno in disk.FULL:
                said = disk.in_words(OSError(error.errno, "", str(final)))
                raise UserError(f"{said} ({final.name} needs {disk.size_text(size)})") from None
            raise


@contextmanager
def images_writer(
    path: str,
    shape: tuple[int, int, int],
    row: np.ndarray,
    variant: np.ndarray,
    label: np.ndarray,
    *,
    labels: Sequence[str],
    view: dict[str, Any],
    dataset: str,
    variants: Sequence[str] = ("original",),
    decode: dict[str, Any] | None = None,
) -> Iterator[Draft]:
    """Make an images file; the body fills `images`, `mean` and `mean_square`.

    Parameters
    ----------
    path : the file. shape : (H, W, C) of one image.
    row, variant, label : (N,), ascending by (`row`, `variant`); see `Images`.
    labels, view, dataset, variants, decode : attributes; see `Images`.

    Raises
    ------
    UserError
        There is no room for the file.
    """
    n, channels = len(row), shape[2]
    reserve = {
        "images": ((n, *shape), "u1"),
        "mean": ((n, channels), "f8"),
        "mean_square": ((n, channels), "f8"),
    }
    columns: dict[str, np.ndarray] = {
        "row": np.asarray(row, np.int64),
        "variant": np.asarray(variant, np.int16),
        "label": np.asarray(label, np.int32),
    }
    attributes = {
        "view": json.dumps(view),
        "labels": json.dumps(list(labels)),
        "dataset": dataset,
        "darkroom": __version__,
        "variants": json.dumps(list(variants)),
        "decode": json.dumps(decode or {}),
    }
    with draft(path, reserve, columns, attributes) as made:
        yield made


def join_images(path: str, parts: Sequence[str]) -> int:
    """Join images files whose rows follow each other; no pixel is copied.

    The file has every column whole, and `images` as a virtual dataset over the parts, which
    must stay where they are, relative to it. HDF5 gives zeros for a part that is gone;
    `open_images` refuses it.

    Parameters
    ----------
    path : the file to make. parts : images files in the order of their rows.

    Returns
    -------
    How many images there are.

    Raises
    ------
    UserError
        The parts were not made with the same settings, or their rows do not follow each other.
    """
    opened = [open_images(part) for part in parts]
    first = opened[0]
    for one in opened:
        if _made(one) != _made(first):
            raise UserError(f"{one.path} and {first.path} are of different settings: {_REMAKE}")
    names = ("row", "variant", "label", "mean", "mean_square")
    columns = {name: np.concatenate([getattr(o, name) for o in opened]) for name in names}
    if (np.diff(columns["row"]) < 0).any():
        raise UserError(f"the rows of {parts[0]} … {parts[-1]} do not ascend: {_REMAKE}")
    n, shape = len(columns["row"]), first.images.shape[1:]
    layout = h5py.VirtualLayout((n, *shape), "u1")
    layout.dcpl.set_obj_track_times(False)  # equal contents, equal bytes
    start = 0
    for one in opened:
        if len(one):  # of nothing there is no place in a layout
            name = os.path.relpath(one.path, Path(path).parent)
            source = h5py.VirtualSource(name, "images", shape=one.images.shape, dtype="u1")
            layout[start : start + len(one)] = source
        start += len(one)
    attributes = {
        "view": json.dumps(first.view),
        "labels": json.dumps(first.labels),
        "dataset": first.dataset,
        "darkroom": __version__,
        "variants": json.dumps(first.variants),
        "decode": json.dumps(first.decode),
    }
    with draft(path, {}, columns, attributes, {"images": layout}):
        pass
    return n


_REMAKE = "delete them and run again"


def _made(images: Images) -> tuple[Any, ...]:
    """What shards of one file have in common."""
    of = images
    return of.images.shape[1:], of.view, of.decode, of.labels, of.variants, of.dataset


@contextmanager
def features_writer(
    path: str,
    m: int,
    d: int,
    row: np.ndarray,
    variant: np.ndarray,
    *,
    name: str,
    layer: str,
    made: dict[str, Any] | None = None,
) -> Iterator[np.ndarray]:
    """Make a features file; the body fills the (m, d) float32 array that it is given.

    The array is mapped, so it may be larger than memory. See `Features` for the rest.
    """
    if not len(row) == len(variant) == m:
        raise ValueError(f"{m} rows of features, but {len(row)} rows, {len(variant)} variants")
    columns: dict[str, np.ndarray] = {
        "row": np.asarray(row, np.int64),
        "variant": np.asarray(variant, np.int16),
    }
    attributes = {
        "name": name,
        "layer": layer,
        "made": json.dumps(made or {}),
        "darkroom": __version__,
    }
    with draft(path, {"features": ((m, d), "f4")}, columns, attributes) as drafted:
        array = drafted.map("features")
        yield array
        if isinstance(array, np.memmap):
            array.flush()


def write_features(
    path: str,
    features: np.ndarray,
    row: np.ndarray,
    variant: np.ndarray,
    *,
    name: str,
    layer: str,
) -> None:
    """Write (M, D) features that are in memory; see `Features`."""
    m, d = features.shape
    with features_writer(path, m, d, row, variant, name=name, layer=layer) as array:
        array[:] = features


def open_images(path: str) -> Images:
    """Open an images file, checked and mapped.

    Raises
    ------
    UserError
        The file is missing, cut short, or no images file.
    """
    with _reading(path, "images") as file:
        row = file["row"][:]
        n = len(row)
        images: Array
        if file["images"].is_virtual:
            images = _shards(path, file["images"], row)
        else:
            images = _mapped(path, file["images"], "u1", 4, n)
        channels = images.shape[3]
        return Images(
            path=str(path),
            images=images,
            row=row,
            variant=_column(file, "variant", (n,)),
            label=_column(file, "label", (n,)),
            mean=_column(file, "mean", (n, channels)),
            mean_square=_column(file, "mean_square", (n, channels)),
            labels=json.loads(file.attrs["labels"]),
            variants=json.loads(file.attrs["variants"]),
            view=json.loads(file.attrs["view"]),
            decode=json.loads(file.attrs["decode"]),
            dataset=str(file.attrs["dataset"]),
        )


def open_features(path: str) -> Features:
    """Open a features file, checked and mapped.

    Raises
    ------
    UserError
        The file is missing, cut short, or no features file.
    """
    with _reading(path, "features") as file:
        row = file["row"][:]
        return Features(
            path=str(path),
            features=_mapped(path, file["features"], "f4", 2, len(row)),
            row=row,
            variant=_column(file, "variant", (len(row),)),
            name=str(file.attrs["name"]),
            layer=str(file.attrs["layer"]),
            made=json.loads(file.attrs.get("made", "{}")),
        )


@contextmanager
def _reading(path: str, what: str) -> Iterator[h5py.File]:
    """Open a finished file; say in one sentence what is wrong with another one."""
    if not Path(path).is_file():
        raise UserError(f"{path} is missing: run again to make it")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is no whole {what} file ({error}): delete it and run again"
        ) from error


def _mapped(path: str, array: Any, dtype: str, dimensions: int, n: int) -> np.ndarray:
    if array.dtype != np.dtype(dtype) or array.ndim != dimensions or len(array) != n:
        raise ValueError(f"{array.name} is {array.dtype} of shape {array.shape}")
    offset = array.id.get_offset()
    if offset is None and array.size:
        raise ValueError(f"{array.name} is not contiguous")
    return _map(path, offset or 0, array.shape, dtype, "r")


def _shards(path: str, array: Any, row: np.ndarray) -> Shards:
    """The files behind a virtual dataset, each checked and mapped."""
    sources = array.virtual_sources()
    ordered = sorted(sources, key=lambda one: one.vspace.get_select_bounds()[0][0])
    parts, start = [], 0
    for source in ordered:
        place = Path(path).parent / source.file_name
        if not place.is_file():
            raise UserError(f"{path} is joined of files of which {place} is missing: {_AGAIN}")
        part = open_images(str(place))
        if not np.array_equal(part.row, row[start : start + len(part)]):
            raise UserError(f"{path} is joined of other rows than {place} has: {_AGAIN}")
        assert isinstance(part.images, np.ndarray)
        parts.append(part.images)
        start += len(part)
    found = Shards(parts)
    if found.shape != array.shape:
        raise UserError(
            f"{path} is joined of {array.shape}, its files have {found.shape}: {_AGAIN}"
        )
    return found


_AGAIN = "delete it and run again"


def _column(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if file[name].shape != shape:
        raise ValueError(f"{name} has shape {file[name].shape}, not {shape}")
    values: np.ndarray = file[name][:]
    return values


def channel_statistics(
    images: Images | Sequence[Images],
    indices: np.ndarray | Sequence[np.ndarray],
    weights: np.ndarray | Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over chosen images; no pixel is read.

    Parameters
    ----------
    images : an open file, or several (originals and variants, say).
    indices : positions in that file, int or bool; for several files a list, one each.
    weights : of each chosen image, in the order of `indices`; unset: all alike.

    Returns
    -------
    (C,) mean and (C,) standard deviation, float64, in units of 0..255.
    """
    if isinstance(images, Images):
        files, chosen = [images], [np.asarray(indices)]
        heavy = None if weights is None else [np.asarray(weights)]
    else:
        files, chosen = list(images), [np.asarray(i) for i in indices]
        heavy = None if weights is None else [np.asarray(w) for w in weights]
    mean = np.concatenate([f.mean[i] for f, i in zip(files, chosen, strict=True)])
    square = np.concatenate([f.mean_square[i] for f, i in zip(files, chosen, strict=True)])
    if not len(mean):
        raise ValueError("no images to take the mean of")
    weight = None if heavy is None else np.concatenate(heavy)
    first = np.average(mean, axis=0, weights=weight)
    second = np.average(square, axis=0, weights=weight)
    return first, np.sqrt(np.maximum(second - first**2, 0))
