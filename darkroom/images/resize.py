"""Decode and resize image files, of data sets and of predictions alike."""

from __future__ import annotations

from typing import TypedDict

import cv2
import numpy as np

from darkroom.decode.file import decode, probe_and_decode
from darkroom.decode.pixels import Color
from darkroom.decode.policy import Policy

FILTERS = {"auto": None, "area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}


class View(TypedDict):
    """The settings `view`; config.yaml explains each."""

    size: int | list[int]
    color: Color
    resize: str
    filter: str


def size_of(view: View) -> tuple[int, int, int]:
    """(height, width, channels) of a view's images."""
    size = view["size"]
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width), 3 if view["color"] == "rgb" else 1


def render(data: bytes, out: np.ndarray, *, view: View, policy: Policy) -> None:
    """Decode the bytes of an image file and resize the image into `out`.

    Images of data sets and new pictures both take this path.

    Parameters
    ----------
    data : the file's bytes.
    out : (h, w, C) uint8, filled.
    view : its color, resize and filter; the size is that of `out`.
    policy : the settings `decode`.

    Raises
    ------
    DecodeError
        The file cannot be decoded, or the policy refuses it.
    """
    image = decode(data, color=view["color"], policy=policy, target=_target(out, view))
    resize_into(image, out, how=view["resize"], kernel=view["filter"])


def render_checked(
    data: bytes, name: str, out: np.ndarray, *, view: View, policy: Policy
) -> tuple[str, str]:
    """As `render`, of a file that may be damaged: it is examined as the index does it.

    Parameters
    ----------
    name : file name, for its suffix.
    out : (h, w, C) uint8, filled where the picture can be used.

    Returns
    -------
    status (`ok`, `converted`, `unusable`) and the reason in words.
    """
    found, image = probe_and_decode(
        data, name, color=view["color"], policy=policy, target=_target(out, view)
    )
    if image is None:
        return found.status, found.trouble
    resize_into(image, out, how=view["resize"], kernel=view["filter"])
    return found.status, found.conversions


def _target(out: np.ndarray, view: View) -> tuple[int, int] | None:
    """The linear filter needs full resolution; for the others a JPEG may be averaged first."""
    return None if view["filter"] == "linear" else (out.shape[0], out.shape[1])


def resize_into(image: np.ndarray, out: np.ndarray, *, how: str, kernel: str) -> None:
    """Resize one image into `out`.

    Parameters
    ----------
    image : (H, W, C) uint8.
    out : (h, w, C) uint8, filled.
    how : `squash` ignores the aspect ratio; `pad` keeps it and adds black borders;
        `crop` keeps it and takes the largest centred part of the wanted shape.
    kernel : `area` averages the covered pixels (`cv2.INTER_AREA`); `linear` interpolates the
        nearest four (`cv2.INTER_LINEAR`) and aliases when it shrinks; `auto` averages along
        an axis that shrinks and interpolates along one that grows.
    """
    height, width = image.shape[:2]
    h, w = out.shape[:2]
    if how == "crop":
        high = min(height, max(1, round(width * h / w)))
        wide = min(width, max(1, round(height * w / h)))
        top, left = (height - high) // 2, (width - wide) // 2
        image = image[top : top + high, left : left + wide]
    elif how == "pad":
        scale = min(h / height, w / width)
        high = min(h, max(1, round(height * scale)))
        wide = min(w, max(1, round(width * scale)))
        top, left = (h - high) // 2, (w - wide) // 2
        if (high, wide) != (h, w):
            out[:] = 0
            out = out[top : top + high, left : left + wide]
    _squash(image, out, FILTERS[kernel])


def _squash(image: np.ndarray, out: np.ndarray, method: int | None) -> None:
    height, width = image.shape[:2]
    h, w = out.shape[:2]
    if (height, width) == (h, w):
        out[:] = image
        return
    if method is None:
        if height >= h and width >= w:
            method = cv2.INTER_AREA
        elif height <= h and width <= w:
            method = cv2.INTER_LINEAR
        else:  # shrink one axis first: less is left to interpolate
            image = _resized(image, min(width, w), min(height, h), cv2.INTER_AREA)
            method = cv2.INTER_LINEAR
    plane = out[:, :, 0] if out.shape[2] == 1 else out
    if cv2.resize(image, (w, h), dst=plane, interpolation=method) is not plane:
        raise RuntimeError("OpenCV did not write the image into `out`")


def _resized(image: np.ndarray, w: int, h: int, method: int) -> np.ndarray:
    return np.asarray(cv2.resize(image, (w, h), interpolation=method)).reshape(h, w, -1)


def channel_sums(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(C,) float64 mean of each channel and of its square, of an (H, W, C) uint8 image."""
    mean, deviation = cv2.meanStdDev(image)
    mean = mean[:, 0]
    return mean, deviation[:, 0] ** 2 + mean**2
