"""Read and write feature files (`features.h5`)."""

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
    path : the file.
    features : (M, D) float32, read-only, mapped.
    row : (M,) int64, row of the manifest.
    variant : (M,) int16, 0 for an original.
    name : of the feature set.
    layer : of the network, or a description of the method.
    made : settings that compute the same features of another image: `kind` (`network`,
        `pixels`, `hog`, `backbone`), `view`, `decode`, and those of the kind.
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
    """Write a feature file; the body of the `with` fills the yielded (m, d) float32 array.

    The array is mapped, so it may be larger than memory. See `Features` for the parameters.
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
    made: dict[str, Any] | None = None,
) -> None:
    """Write (M, D) features from memory; see `Features`."""
    m, d = features.shape
    with features_writer(path, m, d, row, variant, name=name, layer=layer, made=made) as array:
        array[:] = features


def open_features(path: str) -> Features:
    """Check and map a feature file.

    Raises
    ------
    UserError
        The file is missing, truncated, or not a feature file.
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
