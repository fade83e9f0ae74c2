"""Small real image files for tests: three shapes that any classifier can tell apart."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def picture(kind: str, seed: int, size: tuple[int, int] = (20, 24)) -> np.ndarray:
    """A disc, a cross or stripes in random colours on noise: (height, width, 3) uint8."""
    rng = np.random.default_rng([seed, *kind.encode()])
    height, width = size
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    colour = tuple(int(c) for c in rng.integers(140, 256, 3))
    x, y = width // 2 + int(rng.integers(-2, 3)), height // 2 + int(rng.integers(-2, 3))
    if kind == "disc":
        cv2.circle(image, (x, y), 6, colour, -1)
    elif kind == "cross":
        cv2.line(image, (x - 7, y - 7), (x + 7, y + 7), colour, 3)
        cv2.line(image, (x - 7, y + 7), (x + 7, y - 7), colour, 3)
    else:
        image[:: 4 + int(rng.integers(0, 2))] = colour
    return image


def class_folders(
    root: Path, per_class: int = 16, kinds: tuple[str, ...] = ("cross", "disc", "stripes")
) -> Path:
    """A tree of PNG class folders, every image of a size of its own."""
    for kind in kinds:
        (root / kind).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            image = picture(kind, i, size=(18 + i % 7, 20 + i % 5))
            cv2.imwrite(str(root / kind / f"{i:03d}.png"), image)
    return root
