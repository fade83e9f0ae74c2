"""One array across several files."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np


class JoinedArray:
    """An array whose first axis continues from file to file; each file is mapped.

    Indexing the first axis by an integer, a slice or an integer array gives a plain array.
    Conversion by `np.asarray` raises TypeError, as it would read every file.

    Parameters
    ----------
    parts : (N, …) arrays of one dtype and shape, except for N.
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self.parts = list(parts)
        self.ends = np.cumsum([len(part) for part in parts])
        self.starts = self.ends - [len(part) for part in parts]
        self.shape: tuple[int, ...] = (int(self.ends[-1]), *parts[0].shape[1:])
        self.dtype = parts[0].dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("an array in several files is read by its rows, never as a whole")

    def __getitem__(self, index: Any) -> np.ndarray:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self.take(np.arange(start, stop, step))
            found = [part[a:b] for part, a, b in self.within(start, stop)]
            if len(found) == 1:
                return found[0]
            return np.concatenate(found) if found else self.parts[0][:0]
        if isinstance(index, (int, np.integer)):
            at = index + len(self) if index < 0 else index
            if not 0 <= at < len(self):
                raise IndexError(f"{index} of {len(self)} rows")
            k = int(np.searchsorted(self.ends, at, side="right"))
            one: np.ndarray = self.parts[k][at - self.starts[k]]
            return one
        return self.take(np.asarray(index))

    def within(self, start: int, stop: int) -> list[tuple[np.ndarray, int, int]]:
        """The parts that contain rows [start, stop), each with its own start and stop."""
        found = []
        for part, first, end in zip(self.parts, self.starts, self.ends, strict=True):
            low, high = max(start, int(first)), min(stop, int(end))
            if low < high:
                found.append((part, low - int(first), high - int(first)))
        return found

    def take(self, index: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Rows at (k,) integer positions, written to `out` where given."""
        if index.dtype == bool:
            index = np.flatnonzero(index)
        if len(index) and not (index.min() >= 0 and index.max() < len(self)):
            raise IndexError(f"places {index.min()} to {index.max()} of {len(self)} rows")
        if out is None:
            out = np.empty((len(index), *self.shape[1:]), self.dtype)
        place = np.searchsorted(self.ends, index, side="right")
        for k in np.unique(place):
            here = place == k
            if here.all():
                np.take(self.parts[k], index - self.starts[k], axis=0, out=out, mode="clip")
            else:
                out[here] = self.parts[k][index[here] - self.starts[k]]
        return out


Array = np.ndarray | JoinedArray
"""Rows in one file, or in several."""


def take(array: Array, index: np.ndarray, out: np.ndarray) -> None:
    """Read rows at valid positions into `out`."""
    if isinstance(array, JoinedArray):
        array.take(index, out)
    else:
        np.take(array, index, axis=0, out=out, mode="clip")


def forget(array: Array) -> None:
    """Release the memory pages of a mapped array; written values stay in the file."""
    for part in array.parts if isinstance(array, JoinedArray) else [array]:
        mapped: Any = getattr(part, "_mmap", None)
        if mapped is not None and hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_DONTNEED)
