"""Random changes of training batches, anew each epoch, on raw uint8 pixels.

Every number is drawn from (seed, epoch, step): a batch changes in the same way whichever
thread makes it, and a resumed training sees what an undisturbed one would have seen.
"""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np

STREAM = 2  # first word of these random streams; the order of rows has another


class Augmentation(TypedDict):
    """What is changed at random, as `darkroom.config.model.Augmentation` describes it."""

    flip: str
    flip_probability: float
    rotation: float
    zoom: float
    shear: float
    shift: float
    contrast: float
    brightness: float
    crop: int
    cutout: float
    mixup: float


def changes(settings: Augmentation) -> bool:
    """Whether these settings change anything."""
    flips = ("flip", "flip_probability")
    return settings["flip"] != "none" or any(v for k, v in settings.items() if k not in flips)


def augment_batch(
    images: np.ndarray,
    targets: np.ndarray,
    settings: Augmentation,
    *,
    seed: int,
    epoch: int,
    step: int,
    fill: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Change a batch: flip, affine warp, crop, contrast and brightness, cutout, mixup, in turn.

    Parameters
    ----------
    images : (B, H, W, C) uint8; may be written to.
    targets : (B, K) float32, one-hot.
    settings : what is changed.
    seed : with `epoch` and `step` all that the random numbers depend on.
    epoch : from 1.
    step : of the epoch, from 0.
    fill : (C,) uint8, what cutout puts in: the training rows' mean colour.

    Returns
    -------
    (B, H, W, C) uint8 and (B, K) float32.
    """
    random = np.random.default_rng([STREAM, seed, epoch, step])
    if settings["flip"] != "none":
        images = flip(images, settings["flip"], random, settings["flip_probability"])
    if settings["rotation"] or settings["zoom"] or settings["shear"] or settings["shift"]:
        images = affine(
            images,
            random,
            rotation=settings["rotation"],
            zoom=settings["zoom"],
            shear=settings["shear"],
            shift=settings["shift"],
        )
    if settings["crop"]:
        images = crop(images, settings["crop"], random)
    if settings["contrast"] or settings["brightness"]:
        images = tone(images, random, settings["contrast"], settings["brightness"])
    if settings["cutout"]:
        images = cutout(images, settings["cutout"], fill, random)
    if settings["mixup"]:
        images, targets = mixup(images, targets, settings["mixup"], random)
    return images, targets


def flip(
    images: np.ndarray, direction: str, random: np.random.Generator, probability: float = 0.5
) -> np.ndarray:
    """Mirror each image with a probability (`both`: with it each way, independently)."""
    sideways, upright = random.random((2, len(images))) < probability
    if direction in ("horizontal", "both"):
        images[sideways] = images[sideways, :, ::-1]
    if direction in ("vertical", "both"):
        images[upright] = images[upright, ::-1]
    return images


def affine(
    images: np.ndarray,
    random: np.random.Generator,
    *,
    rotation: float = 0,
    zoom: float = 0,
    shear: float = 0,
    shift: float = 0,
) -> np.ndarray:
    """Rotate, zoom, shear and shift about the centre, in one bilinear warp.

    Parameters
    ----------
    images : (N, H, W, C) uint8.
    random : what the numbers are drawn from.
    rotation : degrees to either side.
    zoom : factor 1 ± zoom.
    shear : a row moves by ±shear of its distance from the middle.
    shift : ±shift of the width and of the height. Beyond its border the image is reflected.
    """
    n, height, width, channels = images.shape
    draw = random.uniform(-1, 1, (5, n))
    angle, factor, slant = np.deg2rad(rotation) * draw[0], 1 + zoom * draw[1], shear * draw[2]
    cos, sin = np.cos(angle) / factor, np.sin(angle) / factor
    # from a pixel of the result back to the image: the inverse of what happens to the image
    matrix = np.empty((n, 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = cos, sin + slant * cos
    matrix[:, 1, 0], matrix[:, 1, 1] = -sin, cos - slant * sin
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = centre + shift * draw[3:].T * [width, height]
    matrix[:, :, 2] = centre - np.einsum("nij,nj->ni", matrix[:, :, :2], moved)
    out = np.empty_like(images)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    squeeze = channels == 1
    for i in range(n):
        cv2.warpAffine(
            images[i, :, :, 0] if squeeze else images[i],
            matrix[i],
            (width, height),
            dst=out[i, :, :, 0] if squeeze else out[i],
            flags=flags,
            borderMode=cv2.BORDER_REFLECT_101,
        )
    return out


def crop(images: np.ndarray, border: int, random: np.random.Generator) -> np.ndarray:
    """Add a reflected border of so many pixels, then cut the old size at a random place."""
    n, height, width, _ = images.shape
    edge = ((0, 0), (border, border), (border, border), (0, 0))
    padded = np.pad(images, edge, mode="reflect")
    y, x = random.integers(0, 2 * border + 1, (2, n))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    out: np.ndarray = windows[np.arange(n), y, x].transpose(0, 2, 3, 1)
    return np.ascontiguousarray(out)


def tone(
    images: np.ndarray, random: np.random.Generator, contrast: float, brightness: float
) -> np.ndarray:
    """Contrast about the image's own mean by 1 ± contrast, then ±brightness · 255; saturating."""
    n = len(images)
    draw = random.uniform(-1, 1, (2, n, 1))
    factor, plus = 1 + contrast * draw[0], 255 * brightness * draw[1]
    mean = images.reshape(n, -1).mean(axis=1, dtype=np.float64)[:, None]
    table = (np.arange(256) - mean) * factor + mean + plus
    table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
    for i in range(n):
        images[i] = cv2.LUT(images[i], table[i]).reshape(images[i].shape)
    return images


def cutout(
    images: np.ndarray, fraction: float, fill: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Put a square of one colour anywhere (DeVries & Taylor 2017, arXiv:1708.04552).

    Its centre is any pixel, so part of it may lie outside; its side is `fraction` of the
    image's shorter side.
    """
    n, height, width, _ = images.shape
    side = max(1, round(fraction * min(height, width)))
    y = random.integers(0, height, (n, 1)) - side // 2
    x = random.integers(0, width, (n, 1)) - side // 2
    row, column = np.arange(height), np.arange(width)
    inside = ((row >= y) & (row < y + side))[:, :, None] & ((column >= x) & (column < x + side))[
        :, None, :
    ]
    images[inside] = fill
    return images


def mixup(
    images: np.ndarray, targets: np.ndarray, alpha: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each image and target with those of another of the batch (arXiv:1710.09412).

    One weight a batch from Beta(alpha, alpha), as in the authors' code. Pixels are rounded
    back to uint8, so they are off by at most half a grey level; targets are exact.
    """
    weight = float(random.beta(alpha, alpha))
    other = random.permutation(len(images))
    mixed = np.float32(weight) * images + np.float32(1 - weight) * images[other]
    targets = np.float32(weight) * targets + np.float32(1 - weight) * targets[other]
    return np.rint(mixed).astype(np.uint8), targets
