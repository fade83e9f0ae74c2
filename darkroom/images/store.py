"""Read, write and join image files (`images/{view}.h5`, `augmented/{view}.h5`)."""

from __future__ import annotations

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
from darkroom.images.hdf5 import Draft, column, draft, map_again, mapped, reading
from darkroom.images.joined import Array, JoinedArray

_REMAKE = "delete them and run again"
_AGAIN = "delete it and run again"


@dataclass(frozen=True)
class Images:
    """An open image file (`images/{view}.h5` or `augmented/{view}.h5`).

    Attributes
    ----------
    path : the file.
    images : (N, H, W, C) uint8, read-only, mapped; a `JoinedArray` for joined shards.
    row : (N,) int64, row of the manifest (of the parent, for a variant).
    variant : (N,) int16, 0 for the original, else an index into `variants`.
    label : (N,) int32, index into `labels`.
    mean : (N, C) float64, mean of each channel, in 0..255.
    mean_square : (N, C) float64, mean of each channel's squares, in 0..65025.
    labels : the source's labels.
    variants : names; the first is `original`.
    view : settings of the view.
    decode : settings of the decoder.
    dataset : name of the data set.
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
        """Map images [start, stop) again, so a reader needs memory for one block only."""
        if not isinstance(self.images, JoinedArray):
            return map_again(self.images, start, stop)
        found = [map_again(part, a, b) for part, a, b in self.images.within(start, stop)]
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else self.images[:0]


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
    """Write an image file; the body of the `with` fills `images`, `mean` and `mean_square`.

    Parameters
    ----------
    path : the file to write.
    shape : (H, W, C) of one image.
    row, variant, label : (N,), ascending by (`row`, `variant`); see `Images`.
    labels, view, dataset, variants, decode : attributes; see `Images`.

    Raises
    ------
    UserError
        The disk is full.
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
    attributes = _attributes(labels, view, dataset, variants, decode)
    with draft(path, reserve, columns, attributes) as made:
        yield made


def join_images(path: str, parts: Sequence[str]) -> int:
    """Join image files with consecutive rows; no pixel is copied.

    The joined file contains all columns, and `images` as a virtual dataset over the parts,
    whose paths relative to it must not change. HDF5 reads zeros for a missing part;
    `open_images` raises UserError for it.

    Parameters
    ----------
    path : the file to write.
    parts : image files in the order of their rows.

    Returns
    -------
    Number of images.

    Raises
    ------
    UserError
        The parts have different settings, or their rows are not consecutive.
    """
    opened = [open_images(part) for part in parts]
    first = opened[0]
    for one in opened:
        if _made(one) != _made(first):
            raise UserError(f"{one.path} and {first.path} have different settings: {_REMAKE}")
    names = ("row", "variant", "label", "mean", "mean_square")
    columns = {name: np.concatenate([getattr(o, name) for o in opened]) for name in names}
    if (np.diff(columns["row"]) < 0).any():
        raise UserError(f"the rows of {parts[0]} … {parts[-1]} do not ascend: {_REMAKE}")
    n, shape = len(columns["row"]), first.images.shape[1:]
    layout = h5py.VirtualLayout((n, *shape), "u1")
    layout.dcpl.set_obj_track_times(False)  # equal contents, equal bytes
    start = 0
    for one in opened:
        if len(one):  # a layout allows no empty slice
            name = os.path.relpath(one.path, Path(path).parent)
            source = h5py.VirtualSource(name, "images", shape=one.images.shape, dtype="u1")
            layout[start : start + len(one)] = source
        start += len(one)
    about = _attributes(first.labels, first.view, first.dataset, first.variants, first.decode)
    with draft(path, {}, columns, about, {"images": layout}):
        pass
    return n


def _attributes(
    labels: Sequence[str],
    view: dict[str, Any],
    dataset: str,
    variants: Sequence[str],
    decode: dict[str, Any] | None,
) -> dict[str, str]:
    return {
        "view": json.dumps(view),
        "labels": json.dumps(list(labels)),
        "dataset": dataset,
        "darkroom": __version__,
        "variants": json.dumps(list(variants)),
        "decode": json.dumps(decode or {}),
    }


def _made(images: Images) -> tuple[Any, ...]:
    """Properties that all shards of one file share."""
    one = images
    return one.images.shape[1:], one.view, one.decode, one.labels, one.variants, one.dataset


def open_images(path: str) -> Images:
    """Check and map an image file.

    Raises
    ------
    UserError
        The file is missing, truncated, or not an image file.
    """
    with reading(path, "images") as file:
        row = file["row"][:]
        n = len(row)
        images: Array
        if file["images"].is_virtual:
            images = _shards(path, file["images"], row)
        else:
            images = mapped(path, file["images"], "u1", 4, n)
        channels = images.shape[3]
        return Images(
            path=str(path),
            images=images,
            row=row,
            variant=column(file, "variant", (n,)),
            label=column(file, "label", (n,)),
            mean=column(file, "mean", (n, channels)),
            mean_square=column(file, "mean_square", (n, channels)),
            labels=json.loads(file.attrs["labels"]),
            variants=json.loads(file.attrs["variants"]),
            view=json.loads(file.attrs["view"]),
            decode=json.loads(file.attrs["decode"]),
            dataset=str(file.attrs["dataset"]),
        )


def _shards(path: str, array: Any, row: np.ndarray) -> JoinedArray:
    """Check and map the files of a virtual dataset."""
    sources = array.virtual_sources()
    ordered = sorted(sources, key=lambda one: one.vspace.get_select_bounds()[0][0])
    parts, start = [], 0
    for source in ordered:
        place = Path(path).parent / source.file_name
        if not place.is_file():
            raise UserError(f"{path} cannot be read, as {place} is missing: {_AGAIN}")
        part = open_images(str(place))
        if not np.array_equal(part.row, row[start : start + len(part)]):
            raise UserError(f"{path} and {place} have different rows: {_AGAIN}")
        assert isinstance(part.images, np.ndarray)
        parts.append(part.images)
        start += len(part)
    found = JoinedArray(parts)
    if found.shape != array.shape:
        raise UserError(
            f"{path} has shape {array.shape}, but its files have {found.shape}: {_AGAIN}"
        )
    return found


def channel_statistics(
    images: Images | Sequence[Images],
    indices: np.ndarray | Sequence[np.ndarray],
    weights: np.ndarray | Sequence[np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over chosen images, from stored sums.

    Parameters
    ----------
    images : an open file, or several (such as originals and variants).
    indices : positions in the file, int or bool; for several files a list with one array each.
    weights : of each chosen image, in the order of `indices`; None: equal.

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
