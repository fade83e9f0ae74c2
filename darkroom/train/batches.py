"""Batches of rows of mapped files, raw pixels or features: in an order that (seed, epoch) settles."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from darkroom.errors import UserError
from darkroom.images import features_file, store
from darkroom.images.joined import Array, forget, take
from darkroom.split.splits import read_splits, training_rows

T = TypeVar("T")
ORDER = 1  # first word of these random streams; the random changes have another
BLOCK_BYTES = 4 << 20  # a run of neighbours in the file that is read in one go
BLOCKS_IN_BUFFER = 64  # at least so many places of the file are mixed in a batch


@dataclass(frozen=True)
class Rows:
    """Chosen rows of one or several files, in the order of the files.

    Attributes
    ----------
    files : each (N, …), mapped: images, (N, H, W, C) uint8, or features, (N, D) or
        (N, h, w, D) float32; alike but for N.
    positions : for each file, (m,) int64, ascending.
    label : (M,) int64, the class of each, M = sum of m.
    """

    files: Sequence[Array]
    positions: Sequence[np.ndarray]
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row: (H, W, C) of an image."""
        return self.files[0].shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""
        return self.files[0].dtype

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def read(self, index: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Values of some of the rows.

        Parameters
        ----------
        index : (k,) integers into the rows; in the file's order they read fastest.
        out : (k, …) of the files' type, to be filled; made where it is not given.
        """
        if out is None:
            out = np.empty((len(index), *self.shape), self.dtype)
        start = 0
        for file, positions in zip(self.files, self.positions, strict=True):
            here = (index >= start) & (index < start + len(positions))
            if here.all():
                take(file, positions[index - start], out)
            elif here.any():
                out[here] = file[positions[index[here] - start]]
            start += len(positions)
        return out

    def forget(self) -> None:
        """Give mapped pages back: what was read no longer counts as this process's memory."""
        for file in self.files:
            forget(file)


@dataclass(frozen=True)
class Fold:
    """The images of a data set, and each one's place in a fold.

    Attributes
    ----------
    files : the originals, then the variants where there are any.
    part : (F,) of the originals, `train`, `validation`, `test`, `unused`, or "" for an
        image of a class that was not chosen.
    label : for each file, (N,) class or -1.
    chosen : for each file, (m,) int64, ascending positions of what is trained on.
    classes : final class names.
    arrays : for each file, what its rows are: (N, H, W, C) uint8 pixels, or features, see
        `embedded`.
    """

    files: list[store.Images]
    part: np.ndarray
    label: list[np.ndarray]
    chosen: list[np.ndarray]
    classes: list[str]
    arrays: Sequence[Array]

    def training(self) -> Rows:
        """Originals and variants that are trained on."""
        return self.rows(self.chosen)

    def embedded(self, path: str) -> Fold:
        """The same fold, its rows the features of a backbone in place of pixels.

        Parameters
        ----------
        path : a features file of all images, then of all variants.

        Raises
        ------
        UserError
            The file is of other images.
        """
        features = features_file.open_features(path)
        for name in ("row", "variant"):
            here = np.concatenate([getattr(f, name) for f in self.files])
            if not np.array_equal(here, getattr(features, name)):
                raise UserError(f"{path} is of other images: delete it and run again")
        shape = features.made.get("shape", features.features.shape[1:])
        values = features.features.reshape(len(features), *shape)
        ends = np.cumsum([len(f) for f in self.files])[:-1]
        return replace(self, arrays=np.split(values, ends))

    def digest(self) -> str:
        """Digest of what the fold is: classes, places, and of each image its place and channel sums."""
        about = [[list(f.images.shape), f.view, f.decode] for f in self.files]
        parts = "\n".join(map(str, self.part))
        digest = hashlib.sha256(json.dumps([self.classes, about, parts]).encode())
        for file, label, chosen in zip(self.files, self.label, self.chosen, strict=True):
            for column in (file.row, file.variant, file.mean, file.mean_square, label, chosen):
                digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def originals(self, *parts: str) -> np.ndarray:
        """Ascending positions of the originals in some parts."""
        return np.flatnonzero(np.isin(self.part.astype(str), parts))

    def rows(self, positions: Sequence[np.ndarray]) -> Rows:
        """Rows at some positions of each file (of the originals alone, if one is given)."""
        pairs = list(zip(self.arrays, self.label, positions, strict=False))
        label = np.concatenate([label[p] for _, label, p in pairs]).astype(np.int64)
        return Rows([array for array, _, _ in pairs], [p for _, _, p in pairs], label)


def open_fold(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    fold: str,
    balance: int | str | None,
    balance_seed: int,
) -> Fold:
    """Open the pixels of a data set and look up each image's place in a fold.

    Parameters
    ----------
    images : HDF5 file of originals.
    splits : `splits.parquet`.
    augmented : HDF5 file of variants, or None.
    fold : a name in the split.
    balance : see `splits.training_rows`.
    balance_seed : see `splits.training_rows`.

    Raises
    ------
    UserError
        The fold has nothing to train on.
    """
    files = [store.open_images(path) for path in (images, augmented) if path]
    table = read_splits(splits)
    row = np.concatenate([f.row for f in files])
    part, label = table.lookup(row, fold)
    chosen = training_rows(
        row,
        np.concatenate([f.variant for f in files]),
        part,
        label,
        balance=balance,
        seed=balance_seed,
    )
    if not len(chosen):
        raise UserError(f"{splits}: {fold} has no training rows; look at the settings of the split")
    ends = np.cumsum([len(f) for f in files])
    inner = ends[:-1]
    cut = np.split(chosen, np.searchsorted(chosen, inner))
    starts = ends - [len(f) for f in files]
    return Fold(
        files=files,
        part=part[: ends[0]],
        label=np.split(label, inner),
        chosen=[c - s for c, s in zip(cut, starts, strict=True)],
        classes=table.classes,
        arrays=[f.images for f in files],
    )


class Shuffled:
    """Batches of all rows, each once an epoch, in an order drawn from (seed, epoch).

    Rows that fit the budget are held as they are, read once, and every epoch is a full
    permutation of them. Beyond it they stream: the rows are cut into blocks of
    neighbours (4 MB, or 1/64 of the budget where that is less), the blocks are read in
    shuffled order into a buffer of the budget's size, and a batch is drawn from the whole
    buffer. A buffer so holds at least 64 places of the file at once, which matters since
    files are sorted by class. Only the buffer, a few batches and one batch's reading are
    in memory, however large the file.

    Parameters
    ----------
    rows : what to deliver.
    batch : rows in a batch (the last one may be smaller).
    budget : bytes of rows that may be held.
    seed : of the order.
    """

    def __init__(self, rows: Rows, *, batch: int, budget: int, seed: int) -> None:
        self.rows, self.batch, self.seed = rows, batch, seed
        self.held = len(rows) * rows.row_bytes <= budget
        self.slots = min(len(rows), max(batch, budget // rows.row_bytes))
        bytes_ = min(BLOCK_BYTES, budget // BLOCKS_IN_BUFFER)
        self.block = max(1, bytes_ // rows.row_bytes)
        self.values: np.ndarray | None = None
        self.read = 0  # rows since the pages were given back

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.rows) // self.batch)

    def epoch(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(B, …) values, the caller's own, and (B,) int64 classes, of one epoch."""
        if self.held:
            values = self.hold()
            for index in self.places(number):
                yield values[index], self.rows.label[index]
        else:
            yield from self._stream(np.random.default_rng([ORDER, self.seed, number]))

    def places(self, number: int) -> Iterator[np.ndarray]:
        """(B,) places in `values`, of one epoch; only where all rows are held."""
        order = np.random.default_rng([ORDER, self.seed, number]).permutation(len(self.rows))
        for start in range(0, len(order), self.batch):
            yield order[start : start + self.batch]

    def hold(self) -> np.ndarray:
        """Read all rows, where they are held: (N, …), row by row."""
        assert self.held
        if self.values is None:
            self.values = np.empty((self.slots, *self.rows.shape), self.rows.dtype)
            self._fill(np.arange(len(self.rows)), np.arange(len(self.rows)))
        return self.values

    def _stream(self, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.values is None:
            self.values = np.empty((self.slots, *self.rows.shape), self.rows.dtype)
        n, block = len(self.rows), self.block
        blocks = random.permutation(-(-n // block))
        coming = np.concatenate([np.arange(b * block, min(b * block + block, n)) for b in blocks])
        inside = coming[: self.slots].copy()  # row that each slot holds
        self._fill(inside, np.arange(self.slots))
        read = self.slots
        filled = self.slots
        while filled:
            slot = random.choice(filled, min(self.batch, filled), replace=False)
            yield self.values[slot], self.rows.label[inside[slot]]
            new = coming[read : read + len(slot)]
            read += len(new)
            inside[slot[: len(new)]] = new
            self._fill(new, slot[: len(new)])
            if len(new) < len(slot):  # nothing more to read: the buffer shrinks from its end
                gone = slot[len(new) :]
                left = filled - len(gone)
                hole = gone[gone < left]
                last = np.setdiff1d(np.arange(left, filled), gone)
                self.values[hole], inside[hole] = self.values[last], inside[last]
                filled = left

    def _fill(self, index: np.ndarray, slot: np.ndarray) -> None:
        """Read rows into slots, piece by piece, so that little besides the buffer is held."""
        assert self.values is not None
        step = max(1, BLOCK_BYTES // self.rows.row_bytes)
        for start in range(0, len(index), step):
            piece = slice(start, start + step)
            self.values[slot[piece]] = self.rows.read(index[piece])
            self.read += len(index[piece])
            if self.read >= step:  # each time would map the same pages again and again
                self.rows.forget()
                self.read = 0


def in_order(rows: Rows, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches in the order of the rows; memory does not grow with their number."""
    step = max(1, BLOCK_BYTES // (batch * rows.row_bytes))
    for number, start in enumerate(range(0, len(rows), batch), start=1):
        index = np.arange(start, min(start + batch, len(rows)))
        yield rows.read(index), rows.label[index]
        if number % step == 0:
            rows.forget()


@contextmanager
def ahead(items: Iterator[T], depth: int = 3) -> Iterator[Iterator[T]]:
    """Make items in a thread of their own while the caller works on earlier ones.

    Parameters
    ----------
    items : what to make; runs in the thread.
    depth : finished items that wait at most.

    Returns
    -------
    As a context manager: the same items in the same order. An error in the thread is
    raised here. Leaving early ends the thread.
    """
    done: Any = object()
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(value: Any) -> bool:
        while not stop.is_set():
            try:
                waiting.put(value, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not put((item, None)):
                    return
            put((done, None))
        except BaseException as error:
            put((done, error))

    def give() -> Iterator[T]:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is done:
                return
            yield item

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        yield give()
    finally:
        stop.set()
        thread.join()
