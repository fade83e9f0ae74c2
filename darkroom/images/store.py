"""Files of images (`images/{view}.h5`, `augmented/{view}.h5`): made, joined, opened."""

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
    """An open images file (`images/{view}.h5` or `augmented/{view}.h5`).

    Attributes
    ----------
    images : (N, H, W, C) uint8, read-only, mapped: indexing reads only what it takes. Of
        joined shards a `JoinedArray`, which is indexed alike.
    row : (N,) int64, row of the manifest (of the parent, for a variant).
    variant : (N,) int16, 0 for the image itself, else an index into `variants`.
    label : (N,) int32, index into `labels`.
    mean, mean_square : (N, C) float64, of each image's pixels, in 0..255 and 0..65025.
    labels : the source's labels.
    variants : names; the first is `original`.
    view, decode : the settings that the file was made with.
    dataset : its name.
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
    attributes = _attributes(labels, view, dataset, variants, decode)
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
    """What shards of one file have in common."""
    one = images
    return one.images.shape[1:], one.view, one.decode, one.labels, one.variants, one.dataset


def open_images(path: str) -> Images:
    """Open an images file, checked and mapped.

    Raises
    ------
    UserError
        The file is missing, cut short, or no images file.
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
    found = JoinedArray(parts)
    if found.shape != array.shape:
        raise UserError(
            f"{path} is joined of {array.shape}, its files have {found.shape}: {_AGAIN}"
        )
    return found


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
