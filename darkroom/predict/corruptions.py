"""Images made worse in six ways and five strengths.

Noise, blur, contrast and JPEG are those of Hendrycks & Dietterich (2019, ICLR, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations"): of images of more than `SMALL` pixels
with the strengths of ImageNet-C, of smaller ones with those of CIFAR-10-C. Rotation (of the whole image,
whose edge is mirrored) and occlusion (a gray square at a random place) are added: cameras are
held askew, and things stand in front of others.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

SMALL = 64  # pixels of the longer side
STRENGTHS = (1, 2, 3, 4, 5)
AT = 224  # pixels that the widths of a blur are of

# By strength, of larger and of small images: standard deviation of values in 0..1; of a Gaussian, in
# pixels; share of the contrast that is left; JPEG quality; degrees; share of the area.
VALUES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "noise": ((0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.06, 0.08, 0.09, 0.10)),
    "blur": ((1, 2, 3, 4, 6), (0.4, 0.6, 0.7, 0.8, 1.0)),
    "contrast": ((0.4, 0.3, 0.2, 0.1, 0.05), (0.75, 0.5, 0.4, 0.3, 0.15)),
    "JPEG": ((25, 18, 15, 10, 7), (80, 65, 58, 50, 40)),
    "rotation": ((5, 10, 20, 30, 45), (5, 10, 20, 30, 45)),
    "occlusion": ((0.05, 0.1, 0.2, 0.3, 0.4), (0.05, 0.1, 0.2, 0.3, 0.4)),
}


def corrupted(image: Image, kind: str, strength: int, seed: int) -> Image:
    """An image made worse.

    Parameters
    ----------
    image : (H, W, C) uint8, of 1 or 3 channels (RGB).
    kind : one of `VALUES`. strength : one of `STRENGTHS`.
    seed : of what is random; the same image, kind, strength and seed give the same pixels.

    Returns
    -------
    (H, W, C) uint8.
    """
    longest = max(image.shape[:2])
    value = VALUES[kind][longest <= SMALL][strength - 1]
    if kind == "blur" and longest > SMALL:
        value *= longest / AT
    random = np.random.default_rng([seed, list(VALUES).index(kind), strength])
    return np.asarray(_CHANGE[kind](image, value, random), np.uint8).reshape(image.shape)


def _noise(image: Image, deviation: float, random: np.random.Generator) -> NDArray[np.float64]:
    noisy = image + random.normal(0, 255 * deviation, image.shape)
    return np.asarray(np.rint(np.clip(noisy, 0, 255)))


def _blur(image: Image, width: float, random: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), width, borderType=cv2.BORDER_REFLECT_101))


def _contrast(image: Image, left: float, random: np.random.Generator) -> NDArray[np.float64]:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return np.asarray(np.rint(np.clip((image - mean) * left + mean, 0, 255)))


def _jpeg(image: Image, quality: float, random: np.random.Generator) -> Image:
    data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    how = cv2.IMREAD_COLOR if image.shape[2] == 3 else cv2.IMREAD_GRAYSCALE
    read = np.asarray(cv2.imdecode(data, how)).reshape(image.shape)
    return np.asarray(read[:, :, ::-1])


def _rotation(image: Image, degrees: float, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    angle = degrees * random.choice([-1, 1])
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(angle), 1.0)
    return np.asarray(
        cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    )


def _occlusion(image: Image, share: float, random: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    tall, wide = (max(1, round(side * share**0.5)) for side in (height, width))
    top, left = random.integers(0, height - tall + 1), random.integers(0, width - wide + 1)
    out = image.copy()
    out[top : top + tall, left : left + wide] = 128
    return out


_CHANGE: dict[str, Callable[[Image, float, np.random.Generator], NDArray[np.generic]]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "JPEG": _jpeg,
    "rotation": _rotation,
    "occlusion": _occlusion,
}
