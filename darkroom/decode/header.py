"""The header of an image file, read from its content: format, size, depth and damage."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from darkroom.decode.quiet import quiet
from darkroom.decode.reasons import TRUNCATED, of_error, why_unreadable

MAX_PIXELS = 178_956_970
"""Most pixels of one image (Pillow's limit for a decompression bomb)."""

MAX_BYTES = 3 * MAX_PIXELS
"""Most bytes of one image's pixels, channels x depth each: 0.54 GB, `MAX_PIXELS` in 8-bit rgb."""

MAX_FRAMES = 1_000_000
"""Most frames of an animation, or pages; a larger number is damage."""

SUFFIXES = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif", "jif", "mpo"),
    "png": ("png", "apng"),
    "gif": ("gif",),
    "bmp": ("bmp", "dib"),
    "tiff": ("tif", "tiff"),
    "webp": ("webp",),
    "ppm": ("ppm", "pgm", "pbm", "pnm", "pfm"),
    "ico": ("ico",),
    "jpeg2000": ("jp2", "j2k", "jpf", "jpx", "j2c"),
    "avif": ("avif", "avifs"),
    "tga": ("tga",),
}
PILLOW = ["BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "AVIF"]
_MODES = {
    "1": "bilevel",
    "L": "gray",
    "LA": "gray+alpha",
    "La": "gray+alpha",
    "P": "palette",
    "PA": "palette",
    "RGB": "rgb",
    "RGBX": "rgb",
    "RGBA": "rgba",
    "RGBa": "rgba",
    "CMYK": "cmyk",
    "YCbCr": "ycbcr",
    "LAB": "lab",
    "HSV": "hsv",
}
# MAX_PIXELS replaces Pillow's limit; a truncated file is an error, not an image with grey pixels.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


class DecodeError(ValueError):
    """A file that cannot be used; the message is the reason."""


class Header(NamedTuple):
    """The header of an image file.

    `width` and `height` are as stored, before any orientation. `alpha`: pixels may be
    transparent. `route` is the decoder: `opencv` (8-bit JPEG, PNG), `opencv16` (16-bit colour) or
    `pillow`. `refusal` is why the format is not supported, else empty. `inverted`: 16-bit gray
    whose 0 is white. `extra`: channels beyond the colours that no tag calls alpha. `silent`: Pillow
    says nothing of damage in such a file.
    """

    format: str
    width: int
    height: int
    mode: str
    bit_depth: int
    frames: int
    orientation: int
    alpha: bool
    route: str
    refusal: str = ""
    inverted: bool = False
    extra: int = 0
    silent: bool = False

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a decoded pixel: channels x depth, at least the 3 of 8-bit rgb."""
        channels = {"gray": 1, "gray+alpha": 2, "bilevel": 1, "cmyk": 4}.get(self.mode, 3)
        channels += self.alpha and self.mode != "gray+alpha"
        return max(3, (channels + self.extra) * -(-self.bit_depth // 8))

    @property
    def decoded_bytes(self) -> int:
        """Bytes of all decoded pixels."""
        return self.width * self.height * self.pixel_bytes


def read_header(data: bytes, name: str = "") -> Header:
    """Read the header of an image file from its content.

    Parameters
    ----------
    data : bytes of the file.
    name : file name; TGA is tried only where its suffix is `tga` or it is empty.

    Raises
    ------
    DecodeError
        Not an image, an image above `MAX_PIXELS` or `MAX_BYTES`, or an unreadable header.
    """
    if not data:
        raise DecodeError("empty: the file has 0 bytes")
    if data[:2] == b"\xff\xd8":
        header = _jpeg_header(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        header = _png_header(data)
    else:
        # TGA has no magic number, so any file could pass as one.
        tga = ["TGA"] if suffix_of(name) == "tga" or not name else []
        header = _pillow_header(data, PILLOW + tga)
    _check_numbers(header)
    return header


def _check_numbers(header: Header) -> None:
    """Refuse sizes that no memory is spent on, and numbers that no image has.

    Raises
    ------
    DecodeError
        A number is out of its range.
    """
    if header.width < 1 or header.height < 1:
        raise DecodeError("damaged: the image has no pixels")
    if not 1 <= header.bit_depth <= 64:
        raise DecodeError(f"damaged: its header says {header.bit_depth:,} bits a channel")
    if not 1 <= header.frames <= MAX_FRAMES:
        raise DecodeError(f"damaged: its header says {header.frames:,} frames")
    most = min(MAX_PIXELS, MAX_BYTES // header.pixel_bytes)
    if header.width * header.height > most:
        kind = "" if most == MAX_PIXELS else f" of {header.pixel_bytes} bytes a pixel"
        raise DecodeError(
            f"too large: {header.width:,} x {header.height:,} pixels; an image{kind} may have {most:,}"
        )


def _jpeg_header(data: bytes) -> Header:
    """Walk the markers of a JPEG (ITU-T T.81, annex B) up to the first scan."""
    at, end, orientation = 2, len(data), 0
    frame: tuple[int, int, int, int] | None = None
    kind = 0
    while True:
        while at < end and data[at] != 0xFF:
            at += 1
        while at < end and data[at] == 0xFF:
            at += 1
        if at >= end:
            raise DecodeError("truncated: the file ends within its header")
        marker = data[at]
        at += 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        if marker == 0xD9:
            raise DecodeError("damaged: a JPEG file without an image in it")
        length = int.from_bytes(data[at : at + 2], "big")
        if at + max(length, 2) > end:
            raise DecodeError("truncated: the file ends within its header")
        if marker == 0xDA:
            break
        if marker == 0xE1 and not orientation and data[at + 2 : at + 8] == b"Exif\0\0":
            orientation = _exif_orientation(data[at + 8 : at + length])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and length >= 8:
            kind = marker
            frame = (
                data[at + 2],
                int.from_bytes(data[at + 3 : at + 5], "big"),
                int.from_bytes(data[at + 5 : at + 7], "big"),
                data[at + 7],
            )
        at += length
    if frame is None:
        raise DecodeError("damaged: a JPEG file without an image in it")
    # Look for the end marker after the scan's start: within a scan, 0xFF precedes 0 or a restart.
    if data.rfind(b"\xff\xd9") < at:
        raise DecodeError(TRUNCATED)
    depth, height, width, channels = frame
    mode = {1: "gray", 3: "rgb", 4: "cmyk"}.get(channels, f"{channels} channels")
    baseline = kind in (0xC0, 0xC1, 0xC2) and depth == 8
    refusal = "" if baseline and channels in (1, 3, 4) else "a JPEG of a rare kind"
    if depth != 8:
        refusal = f"a JPEG of {depth} bits a channel"
    return Header(
        "jpeg", width, height, mode, depth, 1, orientation or 1, False,
        "pillow" if channels == 4 else "opencv", refusal, silent=channels == 4,
    )  # fmt: skip


def _exif_orientation(block: bytes) -> int:
    """Tag 0x0112 of the first directory of an EXIF block; 0 if absent."""
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], order)

    start = number(4, 4)
    for i in range(min(number(start, 2), 500)):
        entry = start + 2 + 12 * i
        if number(entry, 2) == 0x0112:
            value = number(entry + 8, 2)
            return value if 1 <= value <= 8 else 0
    return 0


def _png_header(data: bytes) -> Header:
    """Walk the chunks of a PNG (ISO/IEC 15948): size, depth, transparency, frames, orientation."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise DecodeError("truncated: the file ends within its header")
    width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
    depth, kind = data[24], data[25]
    alpha, orientation, frames, animated, text = kind in (4, 6), 0, 0, False, False
    at, last = 8, b""
    while at + 12 <= len(data) and last != b"IEND":
        length, last = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if last == b"tRNS":
            alpha = True
        elif last == b"acTL":
            animated = True
        elif last == b"fcTL":
            frames += 1
        elif last == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : at + 8 + length])
        elif last in (b"tEXt", b"zTXt", b"iTXt") and data[at + 8 : at + 24] == b"Raw profile type":
            text = True
        at += 12 + length
    mode = {0: "gray", 2: "rgb", 3: "palette", 4: "gray+alpha", 6: "rgba"}.get(kind)
    if mode is None:
        raise DecodeError(f"damaged: a PNG file of the unknown kind {kind}")
    if last != b"IEND" or at > len(data):
        raise DecodeError(TRUNCATED)
    if text and not orientation:  # EXIF as older programs wrote it
        with pillow(data, ["PNG"]) as image:
            orientation = image.getexif().get(0x0112, 1)
    # Frames are counted: the number in the header of an animation may be anything.
    frames = max(frames, 1) if animated else 1
    route = "pillow"
    if depth == 8 and kind in (0, 2) and not alpha and not animated:
        route = "opencv"
    elif depth == 16 and kind != 0:
        route = "opencv16"
    if depth == 1 and kind == 0:
        mode = "bilevel"
    orientation = orientation if 1 <= orientation <= 8 else 1
    return Header(
        "png", width, height, mode, depth, frames, orientation, alpha, route
    )  # fmt: skip


@contextmanager
def pillow(data: bytes, formats: list[str]) -> Iterator[Image.Image]:
    """Open an image by Pillow without its warnings.

    Raises
    ------
    DecodeError
        Pillow cannot read the file.
    """
    with warnings.catch_warnings(), quiet:
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=formats) as image:
                yield image
        except (DecodeError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise DecodeError(why_unreadable(data)) from None
        except Exception as error:  # Pillow raises many kinds for broken files
            raise DecodeError(of_error(error)) from None


def _pillow_header(data: bytes, formats: list[str]) -> Header:
    with pillow(data, formats) as image:
        kind = {"dib": "bmp"}.get(str(image.format).lower(), str(image.format).lower())
        if image.width * image.height > MAX_PIXELS:  # checked first: counting frames decodes them
            return Header(kind, *image.size, "unknown", 8, 1, 1, False, "pillow")
        stored = image.mode
        orientation = image.getexif().get(0x0112, 1)
        depth, refusal = 8, ""
        if stored == "1":
            depth = 1
        elif stored.startswith("I;16") or (stored == "I" and kind == "ppm"):
            depth = 16
        elif stored in ("I", "F"):
            depth = 32
            numbers = "floating point numbers" if stored == "F" else "integers"
            refusal = f"32-bit {numbers} have no stated range: export it with 8 or 16 bits"
        elif kind == "ppm" and stored == "RGB" and _ppm_maximum(data) > 255:
            depth, refusal = 16, "a 16-bit colour PPM: export it as PNG"
        elif stored in ("LAB", "HSV"):
            refusal = f"a {kind} of the rare mode {stored}: export it as 8-bit rgb"
        header = Header(
            kind,
            *image.size,
            mode=_MODES.get(stored, "gray" if stored[0] in "IF" else stored.lower()),
            bit_depth=depth,
            frames=1 if kind == "ico" else getattr(image, "n_frames", 1),
            orientation=orientation if orientation in range(1, 9) else 1,
            alpha="A" in stored or "a" in stored or "transparency" in image.info,
            route="pillow",
            refusal=refusal,
        )
        return _tiff_header(header, image.tag_v2, stored) if kind == "tiff" else header  # type: ignore[attr-defined]


def _tiff_header(header: Header, tags: Any, stored: str) -> Header:
    """The header of a TIFF with what its tags say beyond Pillow's mode (TIFF 6.0).

    Pillow takes a fourth channel without a tag for alpha, and inverts gray of at most 8 bits only.
    """

    def numbers(tag: int, default: int) -> tuple[int, ...]:
        found = tags.get(tag, default)
        return tuple(map(int, found if isinstance(found, tuple) else (found,)))

    depth, signed = max(numbers(258, header.bit_depth)), 2 in numbers(339, 1)
    samples, kinds = numbers(277, 1)[0], numbers(338, 0)
    colors = {"gray": 1, "gray+alpha": 1, "bilevel": 1, "palette": 1, "cmyk": 4}.get(header.mode, 3)
    alpha = header.alpha and (samples == colors or kinds[0] in (1, 2))
    refusal = header.refusal
    if signed and depth <= 16:
        refusal = f"{depth}-bit signed integers have no stated range: export it as unsigned"
    elif 8 < depth != 16 and not refusal:
        refusal = f"a TIFF of {depth} bits a channel: export it with 8 or 16 bits"
    elif depth == 16 and header.mode == "cmyk":
        refusal = "a 16-bit cmyk TIFF: export it with 8 bits"
    elif depth == 16 and alpha and kinds[0] == 1:
        refusal = "a 16-bit TIFF whose colours are multiplied by alpha: export it with 8 bits"
    elif numbers(254, 0)[0] & 1 and not refusal:  # DNG, NEF, ARW
        refusal = "its first page is a small preview, as in a camera's raw file: export it as JPEG"
    width, height = header.width, header.height
    if header.orientation > 4:  # Pillow reports the size after orientation
        width, height = height, width
    return header._replace(
        width=width,
        height=height,
        bit_depth=depth,
        mode=header.mode.replace("rgba", "rgb") if not alpha else header.mode,
        alpha=alpha,
        route="opencv16" if depth == 16 and header.mode in ("rgb", "rgba") else "pillow",
        refusal=refusal,
        inverted=depth == 16 and stored.startswith("I;16") and numbers(262, 1)[0] == 0,
        extra=max(0, samples - colors - alpha),
        silent=numbers(259, 1)[0] in (2, 3, 4, 6, 7),  # fax and JPEG
    )


def _ppm_maximum(data: bytes) -> int:
    tokens = re.sub(rb"#[^\n]*", b"", data[:1000]).split(maxsplit=4)
    return int(tokens[3]) if len(tokens) > 3 and tokens[3].isdigit() else 255


def suffix_of(name: str) -> str:
    """Suffix of a file name, in lower case, without its dot; empty if there is none."""
    stem, _, suffix = name[name.rfind("/") + 1 :].rpartition(".")
    return suffix.lower() if stem else ""
