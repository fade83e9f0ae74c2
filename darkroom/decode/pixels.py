"""From bytes to pixels: by OpenCV for ordinary JPEG and PNG files, by Pillow for all others."""

from __future__ import annotations

import re
from typing import Literal

import cv2
import numpy as np

from darkroom.decode.header import PILLOW, DecodeError, Header, pillow
from darkroom.decode.policy import Policy
from darkroom.decode.quiet import quiet

Color = Literal["rgb", "gray"]

MAX_SHIFT = 1 / 12
"""Largest shift of an edge in a JPEG decoded at a reduced scale, in target pixels."""


def pixels_of(
    data: bytes,
    header: Header,
    color: Color,
    policy: Policy,
    target: tuple[int, int] | None,
    *,
    thorough: bool,
) -> tuple[np.ndarray, list[str]]:
    """Decode the pixels of an image, as displayed.

    Parameters
    ----------
    data : bytes of the file.
    header : its header.
    color : `rgb` or `gray`.
    policy : the settings `decode`.
    target : (height, width) that the image will be resized to; None: decode the full size.
    thorough : treat warnings of the decoder as damage; otherwise only its failures.

    Returns
    -------
    (H, W, 3) or (H, W, 1) uint8 pixels, and sentences on conversions that only decoding reveals.

    Raises
    ------
    DecodeError
        The image is damaged or truncated, or the policy refuses it.
    """
    notes: list[str] = []
    turn = header.orientation if policy["orientation"] == "apply" else 1
    if header.route == "opencv":
        if turn > 4 and target is not None:
            target = (target[1], target[0])
        pixels, notes = _by_opencv(data, header, color, target, thorough)
    else:
        if header.route == "opencv16":
            raw = _sixteen_bit_color(data, thorough)
        else:
            raw = _by_pillow(data, header)
        if header.format == "tiff":  # both libraries have already applied it
            turn = 1 if policy["orientation"] == "apply" else {6: 8, 8: 6}.get(
                header.orientation, header.orientation
            )  # fmt: skip
        pixels, notes = _flatten(raw, policy)
        if color == "gray" and pixels.shape[2] == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
        elif color == "rgb" and pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(_turn(pixels, turn)), notes


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (CIPA DC-008, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _scale(header: Header, target: tuple[int, int] | None, shift: float) -> int:
    """Largest reduction by the JPEG decoder that keeps the quality of the resized image.

    Each side of the reduced image is at least twice the target. Its right and lower edges are off
    by at most half a reduced pixel; this error, the only loss of quality, is at most `shift` target
    pixels.
    """
    if target is None or header.format != "jpeg":
        return 1
    for scale in (8, 4, 2):
        if all(
            side >= 2 * wanted * scale
            and abs(_reduced(side, scale) * scale - side) * wanted <= shift * side
            for side, wanted in zip((header.height, header.width), target, strict=True)
        ):
            return scale
    return 1


def _reduced(side: int, scale: int) -> int:
    """Length of a reduced side, rounded to the nearest pixel; the decoder rounds up."""
    return (side + scale // 2) // scale


def _by_opencv(
    data: bytes, header: Header, color: Color, target: tuple[int, int] | None, thorough: bool
) -> tuple[np.ndarray, list[str]]:
    # `pixels_of` applies the orientation, as the policy requires.
    flags = cv2.IMREAD_IGNORE_ORIENTATION
    scale = _scale(header, target, 1.0 if thorough else MAX_SHIFT)
    if scale > 1:
        flags |= {
            2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
            4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
            8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
        }[scale]
    # A JPEG's grey is its Y channel; a PNG's is computed below, as for files read by Pillow.
    own_gray = color == "gray" and (header.format == "jpeg" or header.mode == "gray")
    if not own_gray:
        flags |= cv2.IMREAD_COLOR_RGB
    pixels, words = _opencv(data, flags, thorough)
    if pixels is None:
        raise DecodeError(_complaint(words) or "damaged: the decoder gives no image")
    notes = []
    if complaint := _complaint(words):
        # Many cameras write padding before the end marker; the image is complete.
        if "extraneous bytes before marker 0xd9" not in complaint:
            raise DecodeError(complaint)
        notes.append(f"odd JPEG: {complaint.removeprefix('damaged: ')}")
    if scale > 1:
        pixels = pixels[: _reduced(header.height, scale), : _reduced(header.width, scale)]
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    elif color == "gray":
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
    return pixels, notes


def _opencv(data: bytes, flags: int, thorough: bool) -> tuple[np.ndarray | None, str]:
    """Pixels decoded by OpenCV, None if it fails, and the output of the C libraries."""
    with quiet as printed:
        try:
            raw = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            raise DecodeError(f"damaged: {error.err or error}") from None
        return raw, printed.text() if raw is None or thorough else ""


def _complaint(words: str) -> str:
    """The first relevant line of a C library's output, as a reason; empty if there is none."""
    for line in words.splitlines():
        line = re.sub(r"^\[.*?\]\s*(global\s+\S+\s+\S+\s+)?", "", line.strip())
        line = re.sub(r"^(Corrupt JPEG data|libpng (error|warning)|Error|warning):\s*", "", line)
        if re.search("incomplete|Not enough|Read Error|premature end of (JPEG )?file", line, re.I):
            return "truncated: the file ends before its image does"
        if re.search("iCCP|sRGB|gAMA|cHRM|known incorrect|tEXt|zTXt|iTXt|pHYs|tIME", line):
            continue  # concerns metadata, not pixels
        if line:
            return f"damaged: {line}"
    return ""


def _sixteen_bit_color(data: bytes, thorough: bool) -> np.ndarray:
    """(H, W, 3 or 4) uint16 in rgb order; Pillow would reduce these to 8 bits."""
    raw, words = _opencv(data, cv2.IMREAD_UNCHANGED, thorough)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 3:
        raise DecodeError(_complaint(words) or "damaged: the decoder gives no 16-bit image")
    if data[:1] == b"\x89" and (complaint := _complaint(words)):
        raise DecodeError(complaint)
    return cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _by_pillow(data: bytes, header: Header) -> np.ndarray:
    """(H, W, 1 to 4) uint8 or (H, W, 1) uint16: the first frame, with palette and CMYK converted."""
    formats = {"jpeg": ["JPEG"], "png": ["PNG"], "tga": ["TGA"]}.get(header.format, PILLOW)
    with pillow(data, formats) as image:
        image.load()
        if header.bit_depth == 16 and image.mode.startswith("I"):
            return np.asarray(image).astype(np.uint16)[..., None]
        if header.alpha:
            gray = image.mode in ("L", "LA", "La", "1")
            image = image.convert("LA" if gray and image.mode != "1" else "RGBA")
        elif image.mode in ("1", "L"):
            image = image.convert("L")
        else:
            image = image.convert("RGB")
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _flatten(raw: np.ndarray, policy: Policy) -> tuple[np.ndarray, list[str]]:
    """(H, W, 1 or 3) uint8 from any depth, composited on the background; sentences about alpha."""
    channels = raw.shape[2]
    n = 1 if channels == 2 else min(channels, 3)
    colors, alpha = raw[..., :n], raw[..., n:]
    if raw.dtype == np.uint16:
        colors, alpha = _eight_bit(colors, policy["sixteen_bit"]), _eight_bit(alpha, "scale")
    if not alpha.size:
        return colors, []
    if alpha.min() == 255:
        return colors, ["alpha: opaque, dropped"]
    rule = policy["alpha"]
    if rule == "refuse":
        raise DecodeError("transparent, and decode.alpha is refuse")
    if rule == "drop":
        return colors, ["alpha: dropped"]
    background = 255 if rule == "white" else 0
    opacity = alpha.astype(np.uint32)
    mixed = (colors * opacity + background * (255 - opacity) + 127) // 255
    return mixed.astype(np.uint8), [f"alpha: laid on {rule}"]


def _eight_bit(values: np.ndarray, rule: str) -> np.ndarray:
    """uint16 to uint8: divided by 257 and rounded, or the image's range stretched to 0..255."""
    wide = values.astype(np.uint32)
    if rule == "stretch" and wide.size:
        low, high = int(wide.min()), int(wide.max())
        if high > low:
            return (((wide - low) * 255 + (high - low) // 2) // (high - low)).astype(np.uint8)
    return ((wide + 128) // 257).astype(np.uint8)
