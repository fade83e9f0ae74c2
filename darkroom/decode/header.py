"""Bytes of an image file to pixels, by one stated policy.

`probe` looks once and thoroughly: what the file is by its content, whether all of it is
there, what has to be converted. `decode` gives the pixels, and is quick: it trusts that
`probe` passed the file. Both go through the same plan, so the receipt that the index
writes is what later happens.

Ordinary 8-bit JPEG and PNG files are decoded by OpenCV, everything else by Pillow.
The rules:

- orientation: EXIF orientation 1 to 8 is applied (or ignored), never by the decoder on its own;
- 16 bits: divided by 257 and rounded, or the image's own range stretched to 0..255 (all
  channels by one range, so hues stay), alpha always divided by 257;
- palette: each index replaced by its colour, with its transparency;
- alpha: laid on white or black, or dropped; an alpha channel that is opaque throughout is dropped;
- CMYK and YCCK: (255 - ink) * (255 - black) / 255 without a colour profile; JPEG inks are
  taken as inverted, as Adobe writes them and browsers read them;
- grey: the one channel stands for all three where the view is rgb;
- colour where the view is gray: ITU-R BT.601 luma, which for a JPEG is its own Y channel;
- animations and multi-page files: the first frame;
- floating point and 32-bit integers have no stated range and are refused.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

Color = Literal["rgb", "gray"]

MAX_PIXELS = 178_956_970
"""Pixels that one image may have (about 0.5 GB as rgb; where Pillow calls it a bomb)."""

MAX_SHIFT = 1 / 12
"""Of a target pixel, that an edge may move by when a JPEG is decoded at a reduced scale."""

THUMBNAIL = 32
"""Side of the grey thumbnail that the perceptual hash is made from."""

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
_PILLOW = ["BMP", "GIF", "TIFF", "WEBP", "PPM", "ICO", "JPEG2000", "AVIF"]
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
_MARKS = {
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

# One size limit, our own, with a reason; and never grey pixels in place of missing ones.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False


class DecodeError(ValueError):
    """A file that cannot be used; its message is the reason, in words."""


class Header(NamedTuple):
    """What an image file says of itself.

    `width` and `height` are as stored. `alpha` is true where pixels may be transparent.
    `route` names the decoder: `opencv` (8-bit JPEG, PNG), `opencv16` (16-bit colour) or `pillow`.
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


@dataclass(frozen=True, slots=True)
class Probe:
    """What the index writes of one file.

    `width` and `height` are as shown (after the orientation, if it is applied); fields are
    None where they could not be found out. `trouble` says why the file is unusable,
    `conversions` what is converted and how; both are empty for an ordinary image.
    `thumbnail` is a (32, 32) uint8 grey image as shown, None for an unusable file.
    """

    format: str | None = None
    width: int | None = None
    height: int | None = None
    mode: str | None = None
    bit_depth: int | None = None
    frames: int = 1
    orientation: int = 1
    trouble: str = ""
    conversions: str = ""
    thumbnail: np.ndarray | None = None

    @property
    def status(self) -> str:
        return "unusable" if self.trouble else "converted" if self.conversions else "ok"


def probe(data: bytes, name: str, policy: dict[str, Any]) -> Probe:
    """Find out what a file is and whether all of it can be used; decodes every pixel.

    Parameters
    ----------
    data : the file's bytes.
    name : its name, for its suffix.
    policy : the settings `decode`, every key given.

    Returns
    -------
    Probe. It never raises for what is in the file: that is its `trouble`.
    """
    try:
        header = read_header(data, name)
    except DecodeError as error:
        return Probe(trouble=str(error))
    except MemoryError:
        return Probe(trouble="cannot be read: not enough memory")
    width, height = _shown(header, policy)
    found = Probe(
        header.format, width, height, header.mode, header.bit_depth, header.frames, header.orientation
    )  # fmt: skip
    size = (THUMBNAIL, THUMBNAIL)
    try:
        notes = _plan(header, name, policy)
        pixels, more = _pixels(data, header, "gray", policy, size, True)
    except DecodeError as error:
        return replace(found, trouble=str(error))
    except MemoryError:
        return replace(found, trouble="cannot be read: not enough memory")
    thumbnail = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return replace(found, conversions="; ".join(notes + more), thumbnail=thumbnail)


def decode(
    source: bytes | str | Path,
    *,
    color: Color,
    policy: dict[str, Any],
    target: tuple[int, int] | None = None,
) -> np.ndarray:
    """Pixels of one image as shown.

    Parameters
    ----------
    source : the file's bytes, or its path.
    color : `rgb` or `gray`.
    policy : the settings `decode`, every key given.
    target : (height, width) that the image will be resized to. A large JPEG is then decoded
        at 1/2, 1/4 or 1/8 of its size, as long as that leaves at least twice the target on
        each side and moves no edge by more than 1/12 of a target pixel. Resized by area, 334
        photographs 412 pixels wide on average and 40 of four times that differ from the
        full decode by 49 to 57 dB PSNR on average at 32, 64 and 224 pixels, 38 dB at worst
        (for comparison: the linear filter differs from the area filter by 31 dB on average).

    Returns
    -------
    np.ndarray (H, W, 3) or (H, W, 1) uint8, C-contiguous; channels in rgb order.

    Raises
    ------
    DecodeError
        The file cannot be decoded, or the policy refuses it. Truncation is found for
        certain by `probe` only.
    """
    if isinstance(source, bytes):
        data, name = source, ""
    else:
        data, name = Path(source).read_bytes(), Path(source).name
    header = read_header(data, name)
    _plan(header, "", policy)
    pixels, _ = _pixels(data, header, color, policy, target, False)
    return pixels


def one_thread() -> None:
    """Keep OpenCV to one thread: to be called in each worker process, whose number counts."""
    cv2.setNumThreads(1)


# ---------------------------------------------------------------- what the file says


def read_header(data: bytes, name: str = "") -> Header:
    """Read what a file says of itself, by content; `name` counts only where it says TGA or is ''.

    Raises
    ------
    DecodeError
        Not an image, or one whose header cannot be read; the reason in words.
    """
    if not data:
        raise DecodeError("empty: the file has 0 bytes")
    if data[:2] == b"\xff\xd8":
        header = _jpeg_header(data)
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        header = _png_header(data)
    else:
        # TGA has no mark of its own, so anything might be taken for one.
        tga = ["TGA"] if _suffix(name) == "tga" or not name else []
        header = _pillow_header(data, _PILLOW + tga)
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
    # An end mark after the scan began: 0xFF within a scan is always followed by 0 or a restart.
    if data.rfind(b"\xff\xd9") < at:
        raise DecodeError("truncated: the file ends before its image does")
    depth, height, width, channels = frame
    mode = {1: "gray", 3: "rgb", 4: "cmyk"}.get(channels, f"{channels} channels")
    usual = kind in (0xC0, 0xC1, 0xC2) and depth == 8
    refusal = "" if usual and channels in (1, 3, 4) else "a JPEG of a rare kind"
    if depth != 8:
        refusal = f"a JPEG of {depth} bits a channel"
    return Header(
        "jpeg", width, height, mode, depth, 1, orientation or 1, False,
        "pillow" if channels == 4 else "opencv", refusal,
    )  # fmt: skip


def _exif_orientation(block: bytes) -> int:
    """Tag 0x0112 of the first directory of an EXIF block; 0 where there is none."""
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
        with _pillow(data, ["PNG"]) as image:
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
def _pillow(data: bytes, formats: list[str]) -> Iterator[Image.Image]:
    """An image opened by Pillow, silent, its failures as reasons."""
    with warnings.catch_warnings(), quiet:
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=formats) as image:
                yield image
        except (DecodeError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise DecodeError(_unreadable(data)) from None
        except Exception as error:  # Pillow raises many kinds for broken files
            raise DecodeError(_say(error)) from None


def _say(error: Exception) -> str:
    said = str(error)
    if isinstance(error, EOFError) or re.search(
        "truncat|incomplete|not enough|unexpected end|buffer overrun|end of file", said, re.I
    ):
        return "truncated: the file ends before its image does"
    return f"damaged: {said or type(error).__name__}"


def _unreadable(data: bytes) -> str:
    """Why no decoder takes the file."""
    for kind, mark in _MARKS.items():
        if re.match(mark, data, re.DOTALL):
            order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
            # A TIFF's directory may stand at its end: cut off, nothing is left to read.
            if len(data) < 64 or (
                kind == "TIFF" and int.from_bytes(data[4:8], order) + 6 > len(data)
            ):
                return "truncated: the file ends before its image does"
            return f"damaged: a {kind} file whose header cannot be read"
    return f"not an image{_what(data)}"


def _what(data: bytes) -> str:
    """`: a web page`, say, of a file that is no image; empty where nothing is known."""
    for mark, at, what in _OTHERS:
        if data[at : at + len(mark)] == mark:
            return f": {what}"
    start = data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return ": a web page"
    if b"<svg" in start:
        return ": an SVG drawing: export it as PNG"
    if not data.strip(b"\0"):
        return ": nothing but zeros"
    try:
        words = data[:1000].decode("utf-8", "ignore")
    except ValueError:  # pragma: no cover
        return ""
    plain = sum(c.isprintable() or c.isspace() for c in words)
    return ": text" if plain > 0.97 * min(len(data), 1000) else ""


def _pillow_header(data: bytes, formats: list[str]) -> Header:
    with _pillow(data, formats) as image:
        kind = {"dib": "bmp"}.get(str(image.format).lower(), str(image.format).lower())
        if image.width * image.height > MAX_PIXELS:  # before counting frames decodes any
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
            what = "floating point numbers" if stored == "F" else "integers"
            refusal = f"32-bit {what} have no stated range: export it with 8 or 16 bits"
        route = "pillow"
        if kind == "tiff":
            bits = image.tag_v2.get(258, (depth,))  # type: ignore[attr-defined]
            depth = max(bits) if isinstance(bits, tuple) else int(bits)
            if orientation > 4:  # Pillow tells the size as shown
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


def _suffix(name: str) -> str:
    stem, _, suffix = name[name.rfind("/") + 1 :].rpartition(".")
    return suffix.lower() if stem else ""


# ---------------------------------------------------------------- the policy


def _shown(header: Header, policy: dict[str, Any]) -> tuple[int, int]:
    turned = policy["orientation"] == "apply" and header.orientation > 4
    return (header.height, header.width) if turned else (header.width, header.height)


def _plan(header: Header, name: str, policy: dict[str, Any]) -> list[str]:
    """Sentences of what is converted that the header alone tells.

    Raises
    ------
    DecodeError
        The policy, or this module, refuses such files.
    """

    def rule(key: str, what: str, how: str) -> str:
        if policy[key] == "refuse":
            raise DecodeError(f"{what}, and decode.{key} is refuse")
        return f"{what}: {how}"

    if header.refusal:
        raise DecodeError(f"cannot be used: {header.refusal}")
    notes = []
    suffix = _suffix(name)
    if suffix and suffix not in SUFFIXES.get(header.format, ()):
        notes.append(
            rule("wrong_suffix", f"wrong suffix: a {header.format} named .{suffix}",
                 "read by its content")
        )  # fmt: skip
    if header.frames > 1:
        unit = "pages" if header.format == "tiff" else "frames"
        notes.append(rule("animated", f"{header.frames} {unit}", "the first is taken"))
    if policy["orientation"] == "apply" and header.orientation != 1:
        notes.append(f"EXIF orientation {header.orientation}: applied")
    if header.bit_depth == 16:
        how = "divided by 257" if policy["sixteen_bit"] == "scale" else "own range to 0..255"
        notes.append(rule("sixteen_bit", "16-bit", how))
    if header.mode == "palette":
        notes.append(rule("palette", "palette", "converted to rgb"))
    elif header.mode == "cmyk":
        notes.append(rule("cmyk", "cmyk", "converted to rgb, no colour profile used"))
    elif header.mode == "bilevel":
        notes.append("bilevel: 0 and 255")
    if header.mode in ("gray", "gray+alpha", "bilevel") and policy["gray"] == "refuse":
        raise DecodeError("gray, and decode.gray is refuse")
    return notes


# ---------------------------------------------------------------- pixels


def _pixels(
    data: bytes,
    header: Header,
    color: Color,
    policy: dict[str, Any],
    target: tuple[int, int] | None,
    thorough: bool,
) -> tuple[np.ndarray, list[str]]:
    """Pixels as shown, (H, W, C) uint8, and sentences of what was found only now."""
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
        if header.format == "tiff":  # both libraries have applied it already
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
    """Largest reduction of the JPEG decoder that leaves the resized image as good.

    The reduced image has at least twice the target on each side; and what it has too much or
    too little of the image (at most half a reduced pixel, at its right and lower edge) is at
    most `shift` of a target pixel: the loss of quality comes from that alone.
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
    """Pixels of a reduced side that cover the side best; the decoder rounds up."""
    return (side + scale // 2) // scale


def _by_opencv(
    data: bytes, header: Header, color: Color, target: tuple[int, int] | None, thorough: bool
) -> tuple[np.ndarray, list[str]]:
    # The orientation is never left to OpenCV: applied here, once, as the policy says.
    flags = cv2.IMREAD_IGNORE_ORIENTATION
    scale = _scale(header, target, 1.0 if thorough else MAX_SHIFT)
    if scale > 1:
        flags |= {
            2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
            4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
            8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
        }[scale]
    # A JPEG's grey is its own Y channel; a PNG's is made here, by the same rule as Pillow's files.
    own_gray = color == "gray" and (header.format == "jpeg" or header.mode == "gray")
    if not own_gray:
        flags |= cv2.IMREAD_COLOR_RGB
    with quiet as said:
        try:
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            raise DecodeError(f"damaged: {error.err or error}") from None
        words = said.text() if pixels is None or thorough else ""
    if pixels is None:
        raise DecodeError(_complaint(words) or "damaged: the decoder gives no image")
    notes = []
    if complaint := _complaint(words):
        # Padding before the end mark: many cameras write it, and the image is whole.
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


def _complaint(words: str) -> str:
    """The first line that a C library wrote, as a reason; empty where it wrote none."""
    for line in words.splitlines():
        line = re.sub(r"^\[.*?\]\s*(global\s+\S+\s+\S+\s+)?", "", line.strip())
        line = re.sub(r"^(Corrupt JPEG data|libpng (error|warning)|Error|warning):\s*", "", line)
        if re.search("incomplete|Not enough|Read Error|premature end of (JPEG )?file", line, re.I):
            return "truncated: the file ends before its image does"
        if re.search("iCCP|sRGB|gAMA|cHRM|known incorrect|tEXt|zTXt|iTXt|pHYs|tIME", line):
            continue  # of the description, not of the pixels
        if line:
            return f"damaged: {line}"
    return ""


def _sixteen_bit_color(data: bytes, thorough: bool) -> np.ndarray:
    """(H, W, 3 or 4) uint16 in rgb order; Pillow would cut these to 8 bits."""
    with quiet as said:
        try:
            flags = cv2.IMREAD_UNCHANGED
            raw = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        except cv2.error as error:
            raise DecodeError(f"damaged: {error.err or error}") from None
        words = said.text() if raw is None or thorough else ""
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 3:
        raise DecodeError(_complaint(words) or "damaged: the decoder gives no 16-bit image")
    if data[:1] == b"\x89" and (complaint := _complaint(words)):
        raise DecodeError(complaint)
    return cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _by_pillow(data: bytes, header: Header) -> np.ndarray:
    """(H, W, 1 to 4) uint8, or (H, W, 1) uint16: the first frame, without palette or inks."""
    formats = {"jpeg": ["JPEG"], "png": ["PNG"], "tga": ["TGA"]}.get(header.format, _PILLOW)
    with _pillow(data, formats) as image:
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


def _flatten(raw: np.ndarray, policy: dict[str, Any]) -> tuple[np.ndarray, list[str]]:
    """(H, W, 1 or 3) uint8 from any depth, laid on the background; and what was done of alpha."""
    channels = raw.shape[2]
    paint = 1 if channels == 2 else min(channels, 3)
    colors, alpha = raw[..., :paint], raw[..., paint:]
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
    back = 255 if rule == "white" else 0
    share = alpha.astype(np.uint32)
    mixed = (colors * share + back * (255 - share) + 127) // 255
    return mixed.astype(np.uint8), [f"alpha: laid on {rule}"]


def _eight_bit(values: np.ndarray, rule: str) -> np.ndarray:
    """uint16 to uint8: divided by 257 and rounded, or the own range stretched to 0..255."""
    wide = values.astype(np.uint32)
    if rule == "stretch" and wide.size:
        low, high = int(wide.min()), int(wide.max())
        if high > low:
            return (((wide - low) * 255 + (high - low) // 2) // (high - low)).astype(np.uint8)
    return ((wide + 128) // 257).astype(np.uint8)


# ---------------------------------------------------------------- what C libraries print


class _Quiet:
    """Take what C libraries write to stderr (libjpeg, libpng, libtiff) instead of showing it.

    libjpeg tells of damaged data in no other way. Counted, so that nested and concurrent
    uses leave file descriptor 2 as they found it (a block of images in one `with quiet` spares
    each of them the change); the words are certain only where one
    thread decodes at a time, as in worker processes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._saved = -1
        self._sink = -1
        self._owner = 0

    def __enter__(self) -> _Quiet:
        with self._lock:
            if self._depth == 0:
                if self._owner != os.getpid():  # a fork shares the file's position
                    with tempfile.TemporaryFile() as file:
                        self._sink = os.dup(file.fileno())
                    self._owner = os.getpid()
                self._saved = _dup(2)
                os.dup2(self._sink, 2)
            self._depth += 1
        return self

    def text(self) -> str:
        """What was written since it was last empty."""
        size = os.fstat(self._sink).st_size
        return os.pread(self._sink, min(size, 10_000), 0).decode("utf-8", "replace") if size else ""

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                if os.fstat(self._sink).st_size:
                    os.ftruncate(self._sink, 0)
                    os.lseek(self._sink, 0, os.SEEK_SET)
                if self._saved >= 0:
                    os.dup2(self._saved, 2)
                    os.close(self._saved)


def _dup(number: int) -> int:
    try:
        return os.dup(number)
    except OSError:  # stderr is closed
        return -1


quiet = _Quiet()
