"""The header of an image file, read from its content: format, size, depth and damage."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from darkroom.decode.quiet import quiet

MAX_PIXELS = 178_956_970
"""Most pixels of one image (about 0.5 GB as rgb; Pillow's limit for a decompression bomb)."""

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
_MAGIC = {
    "TIFF": rb"II\*\0|MM\0\*",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0\0\0\0",
    "WebP": rb"RIFF.{4}WEBP",
    "PNM": rb"P[1-7]\s",
}
_OTHERS: list[tuple[bytes, int, str]] = [
    (b"%PDF", 0, "a PDF document"),
    (b"PK\x03\x04", 0, "a zip archive"),
    (b"\x1f\x8b", 0, "a gzip file"),
    (b"Rar!", 0, "a rar archive"),
    (b"7z\xbc\xaf", 0, "a 7z archive"),
    (b"SIMPLE  =", 0, "a FITS file: export it as PNG or TIFF"),
    (b"\x89HDF", 0, "an HDF5 file"),
    (b"\x93NUMPY", 0, "a NumPy array: save it as PNG"),
    (b"8BPS", 0, "a Photoshop document: export it as PNG"),
    (b"DICM", 128, "a DICOM file: export it as PNG"),
    (b"ftyphei", 4, "a HEIC image, which cannot be read here: convert it to JPEG or PNG"),
    (b"ftypmif1", 4, "a HEIF image, which cannot be read here: convert it to JPEG or PNG"),
    (b"\xff\x0a", 0, "a JPEG XL image, which cannot be read here: convert it to JPEG or PNG"),
    (b"\0\0\0\x0cJXL ", 0, "a JPEG XL image, which cannot be read here: convert it to JPEG or PNG"),
    (b"ftyp", 4, "a video"),
    (b"version https://git-lfs", 0, "a Git LFS pointer: the image itself was never fetched"),
]

# MAX_PIXELS replaces Pillow's limit; a truncated file is an error, not an image with grey pixels.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


class DecodeError(ValueError):
    """A file that cannot be used; the message is the reason."""


class Header(NamedTuple):
    """The header of an image file.

    `width` and `height` are as stored, before any orientation. `alpha`: pixels may be
    transparent. `route` is the decoder: `opencv` (8-bit JPEG, PNG), `opencv16` (16-bit colour) or
    `pillow`. `refusal` is why the format is not supported, else empty.
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


def read_header(data: bytes, name: str = "") -> Header:
    """Read the header of an image file from its content.

    Parameters
    ----------
    data : bytes of the file.
    name : file name; TGA is tried only where its suffix is `tga` or it is empty.

    Raises
    ------
    DecodeError
        Not an image, an image above `MAX_PIXELS`, or an unreadable header.
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
    if header.width * header.height > MAX_PIXELS:
        raise DecodeError(
            f"too large: {header.width:,} x {header.height:,} pixels; an image may have {MAX_PIXELS:,}"
        )
    if not header.width or not header.height:
        raise DecodeError("damaged: the image has no pixels")
    return header


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
        raise DecodeError("truncated: the file ends before its image does")
    depth, height, width, channels = frame
    mode = {1: "gray", 3: "rgb", 4: "cmyk"}.get(channels, f"{channels} channels")
    baseline = kind in (0xC0, 0xC1, 0xC2) and depth == 8
    refusal = "" if baseline and channels in (1, 3, 4) else "a JPEG of a rare kind"
    if depth != 8:
        refusal = f"a JPEG of {depth} bits a channel"
    return Header(
        "jpeg", width, height, mode, depth, 1, orientation or 1, False,
        "pillow" if channels == 4 else "opencv", refusal,
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
    alpha, orientation, frames, text = kind in (4, 6), 0, 1, False
    at, last = 8, b""
    while at + 12 <= len(data) and last != b"IEND":
        length, last = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if last == b"tRNS":
            alpha = True
        elif last == b"acTL":
            frames = int.from_bytes(data[at + 8 : at + 12], "big")
        elif last == b"eXIf":
            orientation = _exif_orientation(data[at + 8 : at + 8 + length])
        elif last in (b"tEXt", b"zTXt", b"iTXt") and data[at + 8 : at + 24] == b"Raw profile type":
            text = True
        at += 12 + length
    mode = {0: "gray", 2: "rgb", 3: "palette", 4: "gray+alpha", 6: "rgba"}.get(kind)
    if mode is None:
        raise DecodeError(f"damaged: a PNG file of the unknown kind {kind}")
    if last != b"IEND" or at > len(data):
        raise DecodeError("truncated: the file ends before its image does")
    if text and not orientation:  # EXIF as older programs wrote it
        with pillow(data, ["PNG"]) as image:
            orientation = image.getexif().get(0x0112, 1)
    route = "pillow"
    if depth == 8 and kind in (0, 2) and not alpha and frames == 1:
        route = "opencv"
    elif depth == 16 and kind != 0:
        route = "opencv16"
    if depth == 1 and kind == 0:
        mode = "bilevel"
    orientation = orientation if 1 <= orientation <= 8 else 1
    return Header(
        "png", width, height, mode, depth, max(frames, 1), orientation, alpha, route
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
            raise DecodeError(_why_unreadable(data)) from None
        except Exception as error:  # Pillow raises many kinds for broken files
            raise DecodeError(_failure(error)) from None


def _failure(error: Exception) -> str:
    text = str(error)
    if isinstance(error, EOFError) or re.search(
        "truncat|incomplete|not enough|unexpected end|buffer overrun|end of file", text, re.I
    ):
        return "truncated: the file ends before its image does"
    return f"damaged: {text or type(error).__name__}"


def _why_unreadable(data: bytes) -> str:
    """Why no decoder takes the file."""
    for kind, magic in _MAGIC.items():
        if re.match(magic, data, re.DOTALL):
            order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
            # A TIFF's directory may be at the end of the file, so a truncated file has none.
            if len(data) < 64 or (
                kind == "TIFF" and int.from_bytes(data[4:8], order) + 6 > len(data)
            ):
                return "truncated: the file ends before its image does"
            return f"damaged: a {kind} file whose header cannot be read"
    return f"not an image{_other_format(data)}"


def _other_format(data: bytes) -> str:
    """The kind of a file that is no image, as `: a web page`; empty if unknown."""
    for magic, at, kind in _OTHERS:
        if data[at : at + len(magic)] == magic:
            return f": {kind}"
    start = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return ": a web page"
    if b"<svg" in start:
        return ": an SVG drawing: export it as PNG"
    if not data.strip(b"\0"):
        return ": nothing but zeros"
    try:
        text = data[:1000].decode("utf-8", "ignore")
    except ValueError:  # pragma: no cover
        return ""
    plain = sum(c.isprintable() or c.isspace() for c in text)
    return ": text" if plain > 0.97 * min(len(data), 1000) else ""


def _pillow_header(data: bytes, formats: list[str]) -> Header:
    with pillow(data, formats) as image:
        kind = {"dib": "bmp"}.get(str(image.format).lower(), str(image.format).lower())
        if image.width * image.height > MAX_PIXELS:  # checked first: counting frames decodes them
            return Header(kind, *image.size, "unknown", 8, 1, 1, False, "pillow")
        stored, size = image.mode, image.size
        alpha = "A" in stored or "a" in stored or "transparency" in image.info
        mode = _MODES.get(stored, "gray" if stored[0] in "IF" else stored.lower())
        orientation = image.getexif().get(0x0112, 1)
        orientation = orientation if orientation in range(1, 9) else 1
        depth, refusal = 8, ""
        if stored == "1":
            depth = 1
        elif stored.startswith("I;16") or (stored == "I" and kind == "ppm"):
            depth = 16
        elif stored in ("I", "F"):
            depth = 32
            numbers = "floating point numbers" if stored == "F" else "integers"
            refusal = f"32-bit {numbers} have no stated range: export it with 8 or 16 bits"
        route = "pillow"
        if kind == "tiff":
            bits = image.tag_v2.get(258, (depth,))  # type: ignore[attr-defined]
            depth = max(bits) if isinstance(bits, tuple) else int(bits)
            if orientation > 4:  # Pillow reports the size after orientation
                size = (size[1], size[0])
            if depth == 16 and mode in ("rgb", "rgba"):
                route = "opencv16"
        elif kind == "ppm" and stored == "RGB" and _ppm_maximum(data) > 255:
            depth, refusal = 16, "a 16-bit colour PPM: export it as PNG"
        if mode in ("lab", "hsv") or (stored.startswith("I;16") and depth != 16):
            refusal = f"a {kind} of the rare mode {stored}: export it as 8-bit rgb"
        frames = 1 if kind == "ico" else getattr(image, "n_frames", 1)
    return Header(
        kind, *size, mode, depth, frames, orientation, alpha, route, refusal
    )  # fmt: skip


def _ppm_maximum(data: bytes) -> int:
    tokens = re.sub(rb"#[^\n]*", b"", data[:1000]).split(maxsplit=4)
    return int(tokens[3]) if len(tokens) > 3 and tokens[3].isdigit() else 255


def suffix_of(name: str) -> str:
    """Suffix of a file name, in lower case, without its dot; empty if there is none."""
    stem, _, suffix = name[name.rfind("/") + 1 :].rpartition(".")
    return suffix.lower() if stem else ""
