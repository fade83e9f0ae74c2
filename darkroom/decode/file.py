"""One image file: examined thoroughly (`probe`) or decoded (`decode`).

`probe` decodes every pixel and reports the format, whether the file is complete, and what must be
converted. `decode` returns the pixels and is fast: it trusts that `probe` accepted the file. Both
follow the same policy, so the index describes what later happens. `probe_and_decode` does both at
once, for a picture that was never indexed.

Ordinary 8-bit JPEG and PNG files are decoded by OpenCV, everything else by Pillow.
The rules:

- orientation: EXIF orientation 1 to 8 is applied (or ignored) here, never by the decoder;
- 16 bits: 0 to the white level becomes 0 to 255, rounded, or the image's own range is stretched
  (one range for all channels, so hues stay). The white level is 2^n - 1, where n bits hold the
  largest value of all 16-bit files of the data set: 4,095 for 12-bit data. Alpha is always
  divided by 257;
- palette: each index is replaced by its colour and transparency;
- alpha: composited on white or black, or dropped; an alpha channel that is opaque or 0 throughout
  is dropped, as are further channels that no tag calls alpha;
- CMYK and YCCK: (255 - ink) * (255 - black) / 255 without a colour profile; JPEG inks are
  read as inverted, as Adobe writes and browsers read them;
- TIFF gray whose 0 is white: inverted, at any depth;
- grey: the channel is copied to all three where the view is rgb;
- colour where the view is gray: ITU-R BT.601 luma, for a JPEG its own Y channel;
- animations and multi-page files: the first frame;
- floating point and 32-bit integers have no stated range and are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from darkroom.decode import damage
from darkroom.decode.header import DecodeError, read_header
from darkroom.decode.pixels import MAX_SHIFT, Color, pixels_of
from darkroom.decode.policy import FULL, Policy, conversions, shown_size
from darkroom.machine.workers import in_turn

THUMBNAIL = 32
"""Side of the grey thumbnail, by which copies are found, in pixels."""

ONE_COLOR = "one colour throughout"
"""Note of a converted image that shows nothing."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The index's record of one file.

    `width` and `height` are those of the displayed image (after the orientation, if applied);
    unknown fields are None. `trouble` is why the file is unusable, `conversions` what is
    converted and how; both are empty for an ordinary image. `maximum` is the largest value of
    a 16-bit image, None for others. `thumbnail` is a (32, 32) uint8 grey image, None for an
    unusable file.
    """

    format: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    bit_depth: int | None = None
    frames: int = 1
    orientation: int = 1
    maximum: int | None = None
    trouble: str = ""
    conversions: str = ""
    thumbnail: np.ndarray | None = None

    @property
    def status(self) -> str:
        """`ok`, `converted` or `unusable`."""
        return "unusable" if self.trouble else "converted" if self.conversions else "ok"


def trouble_of(error: Exception) -> str:
    """Why a file cannot be used, from the error raised by reading or decoding it."""
    if isinstance(error, DecodeError):
        return str(error)
    if isinstance(error, MemoryError):
        return "cannot be read: not enough memory"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"cannot be read: {reason[:1].lower()}{reason[1:]}"


def probe(data: bytes, name: str, policy: Policy) -> Probe:
    """Examine a file: its format, and whether it is usable. Decodes every pixel.

    Parameters
    ----------
    data : bytes of the file.
    name : file name, for its suffix.
    policy : the settings `decode`.

    Returns
    -------
    Probe. An unusable file raises nothing: the reason is its `trouble`.
    """
    size = (THUMBNAIL, THUMBNAIL)
    result, pixels = _examined(data, name, "gray", policy, size, shift=1.0)
    if pixels is None:
        return result
    return replace(result, thumbnail=cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def probe_and_decode(
    data: bytes, name: str, *, color: Color, policy: Policy, target: tuple[int, int] | None = None
) -> tuple[Probe, np.ndarray | None]:
    """Examine a file as `probe` does and decode it as `decode` does, from one pass over its pixels.

    Parameters
    ----------
    data, name, policy : as of `probe`. color, target : as of `decode`.

    Returns
    -------
    Probe without a thumbnail, and the pixels; None for an unusable file.
    """
    return _examined(data, name, color, policy, target, shift=MAX_SHIFT)


def _examined(
    data: bytes,
    name: str,
    color: Color,
    policy: Policy,
    target: tuple[int, int] | None,
    *,
    shift: float,
) -> tuple[Probe, np.ndarray | None]:
    result = Probe()
    try:
        header = read_header(data, name)
        width, height = shown_size(header, policy)
        result = Probe(
            header.format, width, height, header.mode, header.bit_depth, header.frames, header.orientation
        )  # fmt: skip
        notes = conversions(header, name, policy)
        damage.check(data, header)
        with in_turn(header.decoded_bytes):
            found = pixels_of(data, header, color, policy, target, thorough=True, shift=shift)
    except Exception as error:  # whatever a file makes a decoder raise, it ends no run
        return replace(result, trouble=trouble_of(error)), None
    notes += found.notes
    level = policy.get("white_level", FULL)
    if policy["sixteen_bit"] == "scale" and found.maximum > level:
        notes.append(f"above the white level: values up to {found.maximum:,} become 255")
    if notes and _one_color(found.pixels):
        notes.append(ONE_COLOR)
    maximum = None if found.maximum < 0 else found.maximum
    return replace(result, maximum=maximum, conversions="; ".join(notes)), found.pixels


def _one_color(pixels: np.ndarray) -> bool:
    first = pixels[0, 0]
    return bool((pixels[0] == first).all() and (pixels == first).all())


def decode(
    data: bytes, *, color: Color, policy: Policy, target: tuple[int, int] | None = None
) -> np.ndarray:
    """Decode the pixels of one image, as displayed.

    Parameters
    ----------
    data : bytes of the file.
    color : `rgb` or `gray`.
    policy : the settings `decode`.
    target : (height, width) that the image will be resized to. A large JPEG is then decoded
        at 1/2, 1/4 or 1/8 of its size if that leaves at least twice the target on each side
        and moves no edge by more than 1/12 of a target pixel. Measured against the full decode,
        resized by area, on 334 photographs 412 pixels wide on average and 40 four times as
        wide: 49 to 57 dB PSNR on average at 32, 64 and 224 pixels, 38 dB at worst (the linear
        filter differs from the area filter by 31 dB on average).

    Returns
    -------
    np.ndarray (H, W, 3) or (H, W, 1) uint8, C-contiguous; channels in rgb order.

    Raises
    ------
    DecodeError
        The file cannot be decoded, or the policy refuses it. Only `probe` detects every
        truncation.
    """
    header = read_header(data)
    conversions(header, "", policy)
    with in_turn(header.decoded_bytes):
        return pixels_of(data, header, color, policy, target, thorough=False).pixels
