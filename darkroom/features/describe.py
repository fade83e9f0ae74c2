"""Feature sets without a network: `pixels` and `hog`.

They do not depend on the fold: each is computed once for all images and variants.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypedDict

import numpy as np

from darkroom.errors import UserError
from darkroom.features import hog
from darkroom.images import features_file, store
from darkroom.images.joined import forget
from darkroom.machine.progress import progress

log = logging.getLogger(__name__)

CHUNK_BYTES = 64_000_000  # working memory of a chunk of images


class DescribeImages(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    name : of the feature set.
    kind : `pixels` or `hog`.
    """

    name: str
    kind: Literal["pixels", "hog"]


def describe_images(
    images: str, features: str, *, augmented: str | None = None, cfg: DescribeImages
) -> None:
    """Compute one feature vector of each image and variant.

    Memory holds one chunk of images and its features.

    Parameters
    ----------
    images : the view's `images/{view}.h5`.
    features : the file to write: (M, D) float32, all images, then all variants.
    augmented : the view's `augmented/{view}.h5`, where there is one.
    cfg : settings of the stage.

    Raises
    ------
    UserError
        The images are too small for the cells of `hog`.
    """
    files = [store.open_images(path) for path in (images, augmented) if path]
    shape = files[0].images.shape[1:]
    compute, d, layer, bytes_each = describer(cfg["kind"], shape, cfg["name"])
    row = np.concatenate([f.row for f in files])
    variant = np.concatenate([f.variant for f in files])
    chunk = max(1, CHUNK_BYTES // bytes_each)
    made = {"kind": cfg["kind"], "view": files[0].view, "decode": files[0].decode}
    writer = features_file.features_writer(
        features, len(row), d, row, variant, name=cfg["name"], layer=layer, made=made
    )
    with writer as out, progress(f"{cfg['name']}: describing", len(row)) as bar:
        at = 0
        for file in files:
            for start in range(0, len(file.row), chunk):
                # map and release each chunk, so memory holds one of either file
                part = np.asarray(file.block(start, min(start + chunk, len(file))))
                out[at : at + len(part)] = compute(part)
                at += len(part)
                forget(out)
                bar.update(len(part))
    log.info(
        "%s: %d features (%s) of each of %d images and %d variants",
        cfg["name"],
        d,
        layer,
        len(files[0].row),
        len(row) - len(files[0].row),
    )


def describer(
    kind: str, shape: tuple[int, ...], name: str
) -> tuple[Callable[[np.ndarray], np.ndarray], int, str, int]:
    """Feature function, vector length, description, and working memory per image in bytes."""
    height, width, channels = shape
    values = height * width * channels
    if kind == "pixels":
        return pixels, values, f"pixels / 255, {height}×{width}×{channels}", 5 * values
    cell = hog.cell_size(height, width)
    if cell < 2:
        raise UserError(
            f"features.{name}: hog needs images of at least 8×8 pixels, but the view is "
            f"{height}×{width}: set features.{name}.view.size"
        )
    d = (height // cell - 1) * (width // cell - 1) * 4 * hog.ORIENTATIONS
    words = f"hog, cells of {cell}×{cell} pixels, {hog.ORIENTATIONS} orientations"
    working = 4 * height * width * (hog.ORIENTATIONS + 6 * channels + 8)
    return lambda part: hog.hog(part, cell), d, words, working


def pixels(images: np.ndarray) -> np.ndarray:
    """Pixels, scaled to 0..1.

    Parameters
    ----------
    images : (N, H, W, C) uint8.

    Returns
    -------
    (N, H·W·C) float32.
    """
    flat: np.ndarray = images.reshape(len(images), -1).astype(np.float32)
    flat /= 255
    return flat
