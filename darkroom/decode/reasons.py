"""Why a file cannot be read as an image, in words."""

from __future__ import annotations

import io
import re
from typing import Literal

from PIL import TiffImagePlugin

TRUNCATED = "truncated: the file ends before its image does"

_MAGIC = {
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM.{4}\0\0\0\0",
    "WebP": rb"RIFF.{4}WEBP",
    "PNM": rb"P[1-7]\s",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
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


def of_error(error: Exception) -> str:
    """The reason in an error that Pillow raised while it read the file."""
    text = str(error)
    if isinstance(error, EOFError) or re.search(
        "truncat|incomplete|not enough|unexpected end|buffer overrun|end of file", text, re.I
    ):
        return TRUNCATED
    return f"damaged: {text or type(error).__name__}"


def why_unreadable(data: bytes) -> str:
    """Why no decoder takes the file."""
    for kind, magic in _MAGIC.items():
        if re.match(magic, data, re.DOTALL):
            order: Literal["little", "big"] = "little" if data[:1] == b"I" else "big"
            # A TIFF's directory may be at the end of the file, so a truncated file has none.
            if len(data) < 64 or (
                kind == "TIFF" and int.from_bytes(data[4:8], order) + 6 > len(data)
            ):
                return TRUNCATED
            unsupported = _tiff_samples(data) if kind == "TIFF" else ""
            return unsupported or f"damaged: a {kind} file whose header cannot be read"
    return f"not an image{_other_format(data)}"


def _tiff_samples(data: bytes) -> str:
    """The reason for a TIFF of an unusual pixel format; empty if its directory is damaged."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits, samples = tags.get(258, (1,)), int(tags.get(277, 1))
        size = int(tags[256]), int(tags[257])
    except Exception:  # Pillow raises many kinds for broken files
        return ""
    depth = max(bits) if isinstance(bits, tuple) else int(bits)
    if depth not in (1, 2, 4, 8, 12, 16, 24, 32, 64) or min(samples, *size) < 1:
        return ""
    return (
        f"cannot be used: a TIFF of {samples} x {depth} bits a pixel in an unusual form: "
        "export it as 8- or 16-bit gray or rgb"
    )


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
    text = data[:1000].decode("utf-8", "ignore")
    plain = sum(c.isprintable() or c.isspace() for c in text)
    return ": text" if plain > 0.97 * min(len(data), 1000) else ""
