"""Write, check and map HDF5 files.

Every large array is contiguous and allocated at creation, so its offset in the file is known
before any value is written. Writers (in several processes) and readers map it, and no HDF5
handle crosses a fork. A file is written under a hidden name and renamed when complete.
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
# Version 2 of the file header stores the file's length, so a truncated file does not open, and
# allows attributes above 64 kB (names of thousands of classes). Version 3 would add a mark
# "open for writing" that a killed writer leaves behind.
LIBVER = (h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
# Virtual datasets came with 1.10.
LIBVER_VIRTUAL = (h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)


@dataclass(frozen=True)
class Draft:
    """A file under construction, with its arrays allocated.

    It has no open handle and may be passed to other processes.
    """

    path: str
    arrays: dict[str, tuple[int, tuple[int, ...], str]]

    def map(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Map entries [start, stop) of one array for writing.

        Dropping the result unmaps it, so a writer needs memory for one block only.
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
    """Write an HDF5 file; the body of the `with` fills its reserved arrays.

    Parameters
    ----------
    path : final path; no file is left there after an error.
    reserve : name to (shape, dtype) of the arrays that the body fills through `Draft.map`.
    columns : small arrays, written at once.
    attributes : of the file.
    virtual : virtual datasets over other files.

    Raises
    ------
    UserError
        The disk is full.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.part")
    # Remove the file of a killed run: its surviving processes then write to an unlinked file.
    part.unlink(missing_ok=True)
    # HDF5 crashes when it closes a file on a full disk: reserve the space first.
    small = sum(np.asarray(v).nbytes + 2 * PAGE for v in columns.values())
    small += sum(2 * len(text) + PAGE for text in attributes.values()) + 16 * PAGE
    try:
        _occupy(part, final, small)
        arrays = _create(part, reserve, columns, attributes, virtual or {})
        _occupy(part, final)
        yield Draft(str(part), arrays)
        with part.open("rb+") as file:
            os.fsync(file.fileno())  # bytes reach the disk before the rename
        part.replace(final)
    except OSError as error:
        if message := disk.in_words(error, [str(final.parent)]):
            raise UserError(message) from None
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
    """Write all but the reserved arrays; returns their offsets, shapes and dtypes."""
    arrays = {}
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(*(LIBVER_VIRTUAL if virtual else LIBVER))
    # No other process opens the hidden name, and many network file systems refuse locks.
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
    """Reserve disk space: a mapped write to a full disk kills the writer.

    Parameters
    ----------
    part : the hidden file; created where it is missing.
    final : its final path, for messages.
    size : bytes; None: its present size.
    """
    with part.open("ab") as file:
        size = size or os.fstat(file.fileno()).st_size
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            # The file system cannot reserve space. For a file opened to append the C library then
            # returns EBADF; otherwise it would write a byte into every page.
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF):
                return
            if error.errno in disk.FULL:
                message = disk.in_words(OSError(error.errno, "", str(final)))
                raise UserError(f"{message} ({final.name} needs {disk.size_text(size)})") from None
            raise


@contextmanager
def reading(path: str, what: str) -> Iterator[h5py.File]:
    """Open a finished file; raises UserError where it is missing or damaged."""
    if not Path(path).is_file():
        raise UserError(f"{path} is missing: run again to make it")
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not a complete {what} file ({error}): delete it and run again"
        ) from error


def mapped(path: str, array: Any, dtype: str, dimensions: int, n: int) -> np.ndarray:
    """Map a contiguous array of an open file; raises ValueError for another type, rank or length."""
    if array.dtype != np.dtype(dtype) or array.ndim != dimensions or len(array) != n:
        raise ValueError(f"{array.name} is {array.dtype} of shape {array.shape}")
    offset = array.id.get_offset()
    if offset is None and array.size:
        raise ValueError(f"{array.name} is not contiguous")
    return map_array(path, offset or 0, array.shape, dtype, "r")


def column(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read a small array; raises ValueError for another shape."""
    if file[name].shape != shape:
        raise ValueError(f"{name} has shape {file[name].shape}, not {shape}")
    values: np.ndarray = file[name][:]
    return values


def map_again(array: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Map rows [start, stop) of a mapped array again."""
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
