"""Images in rows, as a figure and on the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from darkroom.report.drawing import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET_SIDE = 80  # pixels of a thumbnail in a figure
SIDE = 112  # pixels of a thumbnail on the page


@dataclass(frozen=True)
class Sheet:
    """Rows of images with words beside or below them.

    Attributes
    ----------
    rows : a label and the (H, W, 3) or (H, W) uint8 images of each row.
    heads : words above the columns. captions : words below each image, row by row.
    """

    rows: list[tuple[str, list[NDArray[np.uint8]]]]
    heads: list[str] = field(default_factory=list)
    captions: list[list[str]] = field(default_factory=list)


def sheet(content: Sheet, side: int = SHEET_SIDE, gap: int = 6) -> Figure:
    """Draw images in rows; one pixel of the figure is one pixel of the file.

    Parameters
    ----------
    side : longest side that the images have been fitted to. gap : pixels between them.
    """
    from matplotlib.figure import Figure

    width = max(len(images) for _, images in content.rows)
    label = 14 + 6 * max((len(plain(name, 26)) for name, _ in content.rows), default=0)
    label = label if any(name for name, _ in content.rows) else gap
    head = 20 if content.heads else gap
    below = 30 if content.captions else 0
    tall = head + len(content.rows) * (side + gap + below)
    wide = max(label + width * (side + gap), 360)
    canvas = np.full((tall, wide, 3), 255, np.uint8)
    figure = Figure(figsize=(wide / 100, tall / 100), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    for i, (name, images) in enumerate(content.rows):
        y = head + i * (side + gap + below)
        if name:
            axis.text(label - 8, y + side / 2, plain(name, 26), ha="right", va="center", size=7)
        for j, image in enumerate(images):
            x = label + j * (side + gap)
            picture = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
            h, w = picture.shape[:2]
            oy, ox = y + (side - h) // 2, x + (side - w) // 2
            canvas[oy : oy + h, ox : ox + w] = picture
            if content.captions:
                axis.text(
                    x + side / 2, y + side + 3, content.captions[i][j],
                    ha="center", va="top", size=6, linespacing=1.15,
                )  # fmt: skip
    for j, text in enumerate(content.heads):
        middle = label + j * (side + gap) + side / 2
        axis.text(
            middle, head - 5, plain(text, max(6, side // 5)), ha="center", va="bottom", size=6
        )
    axis.imshow(canvas, extent=(0, wide, tall, 0), interpolation="none", aspect="auto")
    axis.set_xlim(0, wide)
    axis.set_ylim(tall, 0)
    return figure


def fit(image: NDArray[np.uint8], side: int, *, pixelated: int = 48) -> NDArray[np.uint8]:
    """Fit an image's longest side to `side` pixels, or near it.

    Parameters
    ----------
    image : (H, W, 1) or (H, W, 3) uint8. side : pixels wanted.
    pixelated : images up to this size are enlarged by a whole factor with nearest
        neighbour, so that their own pixels show; larger ones are resampled.

    Returns
    -------
    (h, w, 3) uint8, neither side longer than `side`, unless one pixel already was.
    """
    from PIL import Image

    pixels = np.asarray(image, np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    h, w = pixels.shape[:2]
    longest = max(h, w)
    if longest <= min(side, pixelated):
        factor = max(1, side // longest)
        enlarged: NDArray[np.uint8] = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
        return enlarged
    if longest <= side:
        return pixels
    size = (max(1, round(w * side / longest)), max(1, round(h * side / longest)))
    shrunk = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(shrunk, np.uint8)


def thumbnail(image: NDArray[np.uint8], alt: str, side: int = SIDE, shown: int = 84) -> str:
    """An <img> with the picture inside it.

    Small pictures are stored as they are (PNG) and enlarged by the browser with hard edges;
    larger ones are shrunk to `side` pixels (JPEG).

    Parameters
    ----------
    image : (H, W, C) uint8. alt : what it shows. shown : longest side on the page.
    """
    from markupsafe import Markup
    from PIL import Image

    h, w = image.shape[:2]
    small = max(h, w) <= 48
    pixels = np.asarray(image) if small else fit(image, side)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    buffer = io.BytesIO()
    if small:
        Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    else:
        Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = "png" if small else "jpeg"
    scale = shown / max(h, w)
    return Markup(
        '<img src="data:image/{};base64,{}" alt="{}" width="{}" height="{}"{}>'
    ).format(
        kind, data, plain(alt, 200), max(1, round(w * scale)), max(1, round(h * scale)),
        Markup(' class="pixels"') if small else "",
    )  # fmt: skip
