"""Files of features (`features.h5`): made, opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkroom import __version__
from darkroom.images.hdf5 import column, draft, mapped, reading


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


def open_features(path: str) -> Features:
    """Open a features file, checked and mapped.

    Raises
    ------
    UserError
        The file is missing, cut short, or no features file.
    """
    with reading(path, "features") as file:
        row = file["row"][:]
        return Features(
            path=str(path),
            features=mapped(path, file["features"], "f4", 2, len(row)),
            row=row,
            variant=column(file, "variant", (len(row),)),
            name=str(file.attrs["name"]),
            layer=str(file.attrs["layer"]),
            made=json.loads(file.attrs.get("made", "{}")),
        )
