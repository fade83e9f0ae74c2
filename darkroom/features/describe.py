"""Feature sets without a network: `pixels` and `hog`.

They do not depend on the fold: each is computed once for all images and variants.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, TypedDict

import numpy as np

from darkroom.errors import UserError
from darkroom.images import features_file, store
from darkroom.images.joined import forget
from darkroom.machine.progress import progress

log = logging.getLogger(__name__)

ORIENTATIONS = 9
CELL = 8  # pixels; the person detector of the paper
CLIP = 0.2
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
    cell = cell_size(height, width)
    if cell < 2:
        raise UserError(
            f"features.{name}: hog needs images of at least 8×8 pixels, but the view is "
            f"{height}×{width}: set features.{name}.view.size"
        )
    d = (height // cell - 1) * (width // cell - 1) * 4 * ORIENTATIONS
    words = f"hog, cells of {cell}×{cell} pixels, {ORIENTATIONS} orientations"
    working = 4 * height * width * (ORIENTATIONS + 6 * channels + 8)
    return lambda part: hog(part, cell), d, words, working


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


def cell_size(height: int, width: int) -> int:
    """Side in pixels of the cells of `hog`: 8, or a quarter of a smaller image's side."""
    return min(CELL, min(height, width) // 4)


def hog(images: np.ndarray, cell: int) -> np.ndarray:
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005).

    As in the paper: square root of the pixels; centred differences [-1, 0, 1] without
    smoothing; at each pixel the channel with the largest gradient; nine unsigned orientations;
    votes by magnitude, interpolated linearly between neighbouring orientations and cells;
    blocks of 2×2 cells, one cell apart; L2-Hys normalisation (clipped at 0.2). Unlike the
    paper, a block has no Gaussian weight. Columns and lines beyond the last whole cell are
    cut off evenly on both sides.

    Parameters
    ----------
    images : (N, H, W, C) uint8.
    cell : side of a cell in pixels, at most half of H and W.

    Returns
    -------
    (N, D) float32 in 0..1, D = (H // cell - 1) · (W // cell - 1) · 36, ordered by block line,
    block column, cell line, cell column, orientation.
    """
    n, height, width, _ = images.shape
    lines, columns = height // cell, width // cell
    top, left = (height - lines * cell) // 2, (width - columns * cell) // 2
    cut = images[:, top : top + lines * cell, left : left + columns * cell]
    votes = _votes(np.sqrt(cut, dtype=np.float32))
    across, down = _shares(columns, cell), _shares(lines, cell)
    # (lines, H) · (N, H, W·9), then (columns, W) · (N, lines, W, 9)
    cells = np.matmul(down, votes.reshape(n, lines * cell, -1))
    cells = np.matmul(across, cells.reshape(n, lines, columns * cell, ORIENTATIONS))
    blocks = np.stack(
        [cells[:, y : lines - 1 + y, x : columns - 1 + x] for y in (0, 1) for x in (0, 1)],
        axis=3,
    ).reshape(n, lines - 1, columns - 1, 4 * ORIENTATIONS)
    blocks = np.minimum(_unit(blocks), CLIP)
    return _unit(blocks).reshape(n, -1)


def _votes(image: np.ndarray) -> np.ndarray:
    """(N, H, W, 9) float32 gradient magnitudes by orientation of (N, H, W, C) images."""
    dy, dx = np.zeros_like(image), np.zeros_like(image)
    dy[:, 1:-1] = image[:, 2:] - image[:, :-2]
    dx[:, :, 1:-1] = image[:, :, 2:] - image[:, :, :-2]
    if image.shape[3] > 1:
        strongest = np.argmax(dy * dy + dx * dx, axis=3, keepdims=True)
        dy = np.take_along_axis(dy, strongest, axis=3)
        dx = np.take_along_axis(dx, strongest, axis=3)
    dy, dx = dy[..., 0], dx[..., 0]
    size = np.sqrt(dy * dy + dx * dx)
    # position between bin centres: bin b is centred at (b + 1/2) · 20 degrees
    place = np.arctan2(dy, dx) * (ORIENTATIONS / np.pi) - 0.5
    low = np.floor(place)
    share = place - low
    low = low.astype(np.intp)
    votes = np.zeros((*size.shape, ORIENTATIONS), np.float32)
    for bin_, weight in ((low, 1 - share), (low + 1, share)):
        at = (bin_ % ORIENTATIONS)[..., None]
        np.put_along_axis(votes, at, (size * weight)[..., None], axis=3)
    return votes


def _shares(cells: int, side: int) -> np.ndarray:
    """(cells, cells·side) weight of each line of pixels in its two nearest cells."""
    centre = (np.arange(cells) + 0.5) * side
    pixel = np.arange(cells * side) + 0.5
    distance = np.abs(centre[:, None] - pixel[None, :]) / side
    shares: np.ndarray = np.maximum(0, 1 - distance).astype(np.float32)
    return shares


def _unit(blocks: np.ndarray) -> np.ndarray:
    """Normalise blocks to length one; the small constant keeps a flat block at zero."""
    length = np.sqrt(np.sum(blocks * blocks, axis=-1, keepdims=True) + 1e-6)
    unit: np.ndarray = blocks / length
    return unit
