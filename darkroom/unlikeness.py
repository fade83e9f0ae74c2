"""How unlike a picture is to all that a model learned from, by the model's features.

It is 1 less the cosine of the angle to the fifth nearest of a sample of the training images (Sun
et al. 2022, ICML, "Out-of-distribution detection with deep nearest neighbors"): 0 is alike, 1 has
nothing in common. `python -m benchmarks.unlikeness` compares it with Mahalanobis distances.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError
from darkroom.machine import disk

Floats = NDArray[np.floating[Any]]
Positions = NDArray[np.integer[Any]]

NEIGHBOUR = 5
MOST, FEWEST, VALUES = 2000, 200, 2_000_000  # images of the sample; numbers, where these are long
CHUNK = 256
MOST_FOR_LIMIT = 2000  # validation images that set the limit
SHARE = 0.01  # of the validation images that are called unlike


@dataclass(frozen=True)
class Known:
    """What a model learned from, as far as unlikeness needs it.

    Attributes
    ----------
    sample : (R, D) float16, features of training images, of length 1.
    limit : from which on a picture is called unlike.
    """

    sample: NDArray[np.float16]
    limit: float = np.inf

    def to_bytes(self, **more: Any) -> bytes:
        """An `.npz` of it, and of more arrays or words."""
        arrays = io.BytesIO()  # a file that a full disk cuts short would hide the error
        np.savez(arrays, sample=self.sample, limit=self.limit, **more)
        return arrays.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> Known:
        """What `to_bytes` gave."""
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Known(arrays["sample"], float(arrays["limit"]))

    def of(self, features: Floats) -> NDArray[np.float32]:
        """(N,) unlikeness of (N, D) features."""
        alike = _unit(features) @ self.sample.astype(np.float32).T
        nearest = np.partition(alike, -NEIGHBOUR, axis=1)[:, -NEIGHBOUR]
        return np.asarray(1 - nearest, np.float32)


def known(
    training: Floats, originals: Positions, features: Floats, validation: Positions, seed: int
) -> Known | None:
    """What is needed to tell how unlike a picture is.

    Parameters
    ----------
    training : (M, D) features, which may be mapped: few rows are read. originals : positions of
        training images in them.
    features : (N, D) features. validation : positions of validation images in them.
    seed : of the samples.

    Returns
    -------
    None where there are no validation images to set the limit by, or hardly any to learn from. Of
    fewer than 100 the limit is the largest of theirs.
    """
    if len(originals) < NEIGHBOUR or not len(validation):
        return None
    random = np.random.default_rng(seed)
    size = min(MOST, max(FEWEST, VALUES // training.shape[1]))
    found = Known(_unit(training[np.sort(random.permutation(originals)[:size])]).astype(np.float16))
    rows = np.sort(random.permutation(validation)[:MOST_FOR_LIMIT])
    parts = [found.of(features[rows[i : i + CHUNK]]) for i in range(0, len(rows), CHUNK)]
    distance = np.sort(np.concatenate(parts))
    rank = min(int(np.ceil((1 - SHARE) * (len(distance) + 1))), len(distance))
    return Known(found.sample, float(np.nextafter(distance[rank - 1], np.float32(np.inf))))


def write(path: str, known: Known | None, layer: str) -> None:
    """Write what a network learned from, and the layer whose features these are."""
    nothing = Known(np.zeros((0, 0), np.float16))
    with disk.whole(path) as part:
        part.write_bytes((known or nothing).to_bytes(layer=layer))


def read(path: Path) -> tuple[Known, str] | None:
    """What `write` wrote; None where it is not there, or there were no validation images.

    Raises
    ------
    UserError
        It is damaged.
    """
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found, layer = Known.from_bytes(data), str(arrays["layer"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and run again") from None
    return (found, layer) if len(found.sample) else None


def _unit(features: Floats) -> NDArray[np.float32]:
    x = np.asarray(features, np.float32)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9))
