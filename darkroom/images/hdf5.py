"""HDF5 files: made, checked, mapped.

Every large array is contiguous and allocated at once, so that its place in the file is
known before a number is written: writers (several processes, if need be) and readers
map it, and no HDF5 handle crosses a fork. A file is made as a hidden one beside its
place, and takes its name when whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from darkroom.errors import UserError
from darkroom.machine import disk

PAGE = 4096  # arrays start on a page, so that a mapped block touches no other array
# Version 2 of the file header knows the file's length, so a cut file does not open, and
# holds attributes above 64 kB (the names of thousands of classes); version 3 would add
# a mark of "open for writing" that outlives a killed writer.
LIBVER = (h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
# Virtual datasets came with 1.10.
LIBVER_VIRTUAL = (h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)


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
        return map_array(self.path, offset + start * one, (stop - start, *shape[1:]), dtype, "r+")


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
def reading(path: str, what: str) -> Iterator[h5py.File]:
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


def mapped(path: str, array: Any, dtype: str, dimensions: int, n: int) -> np.ndarray:
    """Map a contiguous array of an open file, of the type, dimensions and length that it must have."""
    if array.dtype != np.dtype(dtype) or array.ndim != dimensions or len(array) != n:
        raise ValueError(f"{array.name} is {array.dtype} of shape {array.shape}")
    offset = array.id.get_offset()
    if offset is None and array.size:
        raise ValueError(f"{array.name} is not contiguous")
    return map_array(path, offset or 0, array.shape, dtype, "r")


def column(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read a small array, which must have this shape."""
    if file[name].shape != shape:
        raise ValueError(f"{name} has shape {file[name].shape}, not {shape}")
    values: np.ndarray = file[name][:]
    return values


def map_again(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Map rows of a mapped array anew."""
    if not isinstance(array, np.memmap):
        return array[start:stop]
    one = int(np.prod(array.shape[1:])) * array.itemsize
    shape = (stop - start, *array.shape[1:])
    return map_array(str(array.filename), array.offset + start * one, shape, str(array.dtype), "r")


def map_array(path: str, offset: int, shape: tuple[int, ...], dtype: str, mode: Any) -> np.ndarray:
    """Map a part of a file as an array; `r` to read, `r+` to write."""
    if not np.prod(shape, dtype=np.int64):  # nothing to map
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype=dtype, mode=mode, offset=offset, shape=shape)
