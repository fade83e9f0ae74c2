"""Histograms of oriented gradients."""

from __future__ import annotations

import numpy as np

ORIENTATIONS = 9
CELL = 8  # pixels; the person detector of the paper
CLIP = 0.2


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
