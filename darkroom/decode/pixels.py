"""From bytes to pixels: by OpenCV for ordinary JPEG and PNG files, by Pillow for all others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import cv2
import numpy as np

from darkroom.decode import damage
from darkroom.decode.header import PILLOW, DecodeError, Header, pillow
from darkroom.decode.policy import FULL, Policy
from darkroom.decode.quiet import quiet
from darkroom.decode.reasons import TRUNCATED

Color = Literal["rgb", "gray"]

MAX_SHIFT = 1 / 12
"""Largest shift of an edge in a JPEG decoded at a reduced scale, in target pixels."""


STRIP_BYTES = 4 << 20
"""Bytes of pixels that are converted at a time, which bounds the memory for intermediate values."""


class Decoded(NamedTuple):
    """The pixels of an image.

    Attributes
    ----------
    pixels : (H, W, 3) or (H, W, 1) uint8, as displayed.
    notes : sentences on conversions that only decoding reveals.
    maximum : largest value of a colour in a 16-bit image; -1 for another depth.
    """

    pixels: np.ndarray
    notes: list[str]
    maximum: int = -1


def pixels_of(
    data: bytes,
    header: Header,
    color: Color,
    policy: Policy,
    target: tuple[int, int] | None,
    *,
    thorough: bool,
    shift: float = MAX_SHIFT,
) -> Decoded:
    """Decode the pixels of an image, as displayed.

    Parameters
    ----------
    data : bytes of the file.
    header : its header.
    color : `rgb` or `gray`.
    policy : the settings `decode`. Without its `white_level`, a thorough decode takes the image's
        own, and any other takes 65,535.
    target : (height, width) that the image will be resized to; None: decode the full size.
    thorough : treat warnings of the decoder as damage; otherwise only its failures.
    shift : largest shift of an edge, in target pixels, by decoding a JPEG at a reduced scale.

    Raises
    ------
    DecodeError
        The image is damaged or truncated, or the policy refuses it.
    """
    turn = header.orientation if policy["orientation"] == "apply" else 1
    if header.route == "opencv":
        if turn > 4 and target is not None:
            target = (target[1], target[0])
        found = Decoded(*_by_opencv(data, header, color, target, thorough, shift))
    else:
        if header.route == "opencv16":
            raw = _sixteen_bit_color(data, header, thorough)
        else:
            raw = _by_pillow(data, header)
            if thorough and header.silent:
                _check_by_opencv(data)
        if header.format == "tiff":  # both libraries have already applied it
            turn = 1 if policy["orientation"] == "apply" else {6: 8, 8: 6}.get(
                header.orientation, header.orientation
            )  # fmt: skip
        found = _flatten(raw, header, policy, thorough)
        pixels = found.pixels
        if color == "gray" and pixels.shape[2] == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None]
        elif color == "rgb" and pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        found = found._replace(pixels=pixels)
    return found._replace(pixels=np.ascontiguousarray(_turn(found.pixels, turn)))


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
    data: bytes,
    header: Header,
    color: Color,
    target: tuple[int, int] | None,
    thorough: bool,
    shift: float,
) -> tuple[np.ndarray, list[str]]:
    # `pixels_of` applies the orientation, as the policy requires.
    flags = cv2.IMREAD_IGNORE_ORIENTATION
    scale = _scale(header, target, shift)
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
        # Some cameras write padding before the end marker; the image is complete.
        left = re.fullmatch(r"damaged: (\d+) extraneous bytes before marker 0xd9", complaint)
        if not left or not damage.is_padding(data, int(left[1])):
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
            return TRUNCATED
        if re.search("iCCP|sRGB|gAMA|cHRM|known incorrect|tEXt|zTXt|iTXt|pHYs|tIME", line):
            continue  # concerns metadata, not pixels
        if line:
            return f"damaged: {line}"
    return ""


def _check_by_opencv(data: bytes) -> None:
    """Let OpenCV decode what Pillow decodes without its decoders' warnings, and look at those.

    Of a TIFF only words about the compressed pixels count: OpenCV supports fewer kinds.

    Raises
    ------
    DecodeError
        The compressed pixels are damaged.
    """
    try:
        _, words = _opencv(data, cv2.IMREAD_REDUCED_GRAYSCALE_8, thorough=True)
    except DecodeError:
        return
    for line in words.splitlines():
        if data[:2] == b"\xff\xd8" or re.search("Fax|JPEG", line):
            reason = _complaint(re.sub(r"^.*?TIFF_(Error|Warning)\s*", "", line))
            left = re.fullmatch(r"damaged: (\d+) extraneous bytes before marker 0xd9", reason)
            if reason and not (left and damage.is_padding(data, int(left[1]))):
                raise DecodeError(reason)


def _sixteen_bit_color(data: bytes, header: Header, thorough: bool) -> np.ndarray:
    """(H, W, 3 or 4) uint16 in rgb order; Pillow would reduce these to 8 bits."""
    raw, words = _opencv(data, cv2.IMREAD_UNCHANGED, thorough)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 3:
        raise DecodeError(_complaint(words) or "damaged: the decoder gives no 16-bit image")
    if data[:1] == b"\x89" and (complaint := _complaint(words)):
        raise DecodeError(complaint)
    if raw.shape[2] == 4 and header.alpha:
        return cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA)
    return cv2.cvtColor(raw, cv2.COLOR_BGRA2RGB if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _by_pillow(data: bytes, header: Header) -> np.ndarray:
    """(H, W, 1 to 4) uint8 or (H, W, 1 or 2) uint16: the first frame, palette and CMYK converted."""
    formats = {"jpeg": ["JPEG"], "png": ["PNG"], "tga": ["TGA"]}.get(header.format, PILLOW)
    with pillow(data, formats) as image:
        image.load()
        if header.bit_depth == 16 and image.mode.startswith("I"):
            gray = np.asarray(image).astype(np.uint16)[..., None]
            clear = image.info.get("transparency")  # one value of a PNG
            if isinstance(clear, int):
                return np.dstack([gray, np.where(gray == clear, 0, FULL).astype(np.uint16)])
            return gray
        if header.alpha:
            gray_alpha = image.mode in ("L", "LA", "La")
            mode = "LA" if gray_alpha else "RGBA"
        else:
            mode = "L" if image.mode in ("1", "L") else "RGB"
        strips = list(_strips(image.height, 4 * image.width))
        if len(strips) == 1:
            pixels = np.asarray(image.convert(mode))
        else:  # as a whole, NumPy and Pillow would hold four copies of it
            pixels = np.empty((image.height, image.width, len(mode)), np.uint8)
            for top, bottom in strips:
                part = np.asarray(image.crop((0, top, image.width, bottom)).convert(mode))
                pixels[top:bottom] = part.reshape(bottom - top, image.width, -1)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _strips(height: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """First and last row of strips of about `STRIP_BYTES` each."""
    step = max(1, STRIP_BYTES // row_bytes)
    return ((top, min(top + step, height)) for top in range(0, height, step))


def _flatten(raw: np.ndarray, header: Header, policy: Policy, thorough: bool) -> Decoded:
    """From any depth to uint8, composited on the background; sentences about alpha."""
    channels = raw.shape[2]
    n = 1 if channels == 2 else min(channels, 3)
    colors, alpha, maximum = raw[..., :n], raw[..., n:], -1
    low, high, opaque = 0, FULL, 255
    if raw.dtype == np.uint16:
        maximum, opaque = int(colors.max()), FULL
        high = policy.get("white_level", white_level(maximum) if thorough else FULL)
        if policy["sixteen_bit"] == "stretch" and maximum > (least := int(colors.min())):
            low, high = least, maximum
    notes: list[str] = []
    background = None
    if alpha.size:
        background, note = _background(alpha, opaque, policy["alpha"])
        notes = [note]
    out = np.empty((*raw.shape[:2], n), np.uint8)
    for top, bottom in _strips(len(raw), raw.shape[1] * channels * raw.itemsize):
        part = colors[top:bottom]
        if raw.dtype == np.uint16:
            part = _eight_bit(part, low, high)
        if header.inverted:
            part = 255 - part
        if background is not None:
            opacity = alpha[top:bottom]
            if raw.dtype == np.uint16:
                opacity = _eight_bit(opacity, 0, FULL)
            opacity = opacity.astype(np.uint16)
            part = (part * opacity + background * (255 - opacity) + 127) // 255
        out[top:bottom] = part
    return Decoded(out, notes, maximum)


def _background(alpha: np.ndarray, opaque: int, rule: str) -> tuple[int | None, str]:
    """The value of the background, None where alpha is dropped; and the sentence about it."""
    if alpha.min() == opaque:
        return None, "alpha: opaque, dropped"
    if rule == "refuse":
        raise DecodeError("transparent, and decode.alpha is refuse")
    if rule == "drop":
        return None, "alpha: dropped"
    if alpha.max() == 0:  # nothing would be left of the image: a channel that was never filled
        return None, "alpha: 0 throughout, dropped"
    return (255 if rule == "white" else 0), f"alpha: laid on {rule}"


def white_level(maximum: int) -> int:
    """Largest value of the bits that a 16-bit value needs: 4,095 for 3,000."""
    return (1 << max(maximum, 1).bit_length()) - 1


def _eight_bit(values: np.ndarray, low: int, high: int) -> np.ndarray:
    """uint16 to uint8: [low, high] to 0..255, rounded; values above `high` become 255."""
    wide = np.minimum(values, high).astype(np.uint32) - low
    return np.asarray((wide * 255 + (high - low) // 2) // (high - low)).astype(np.uint8)
