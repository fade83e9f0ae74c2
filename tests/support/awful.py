"""A small folder with every kind of bad and odd file that people have."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

UNUSABLE = {
    "empty",
    "truncated",
    "damaged",
    "not an image",
    "cannot be used",
    "cannot be read",
    "too large",
    "duplicate path",
    "no label",
}
"""The kinds of trouble that make a file unusable, whatever the settings."""


def photograph(seed: int, height: int = 60, width: int = 72) -> np.ndarray:
    """Smooth colours and a disc, unlike any other seed's: (height, width, 3) uint8, rgb."""
    rng = np.random.default_rng(seed)
    small = rng.integers(40, 216, (6, 7, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    at = (int(rng.integers(15, width - 15)), int(rng.integers(15, height - 15)))
    cv2.circle(image, at, 9, tuple(int(c) for c in rng.integers(0, 256, 3)), -1)
    return image


def encoded(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    """Bytes of an image file; `kind` as Pillow names formats."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def sixteen_bit_png(pixels: np.ndarray) -> bytes:
    """A 16-bit PNG, grey (H, W) or colour (H, W, 3 or 4) in rgb order."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(
            pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR
        )
    return cv2.imencode(".png", pixels)[1].tobytes()


def bomb_png(side: int = 100_000) -> bytes:
    """A few bytes that claim to be side x side pixels."""
    return png(struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), zlib.compress(bytes(3001)))


def stored_png(pixels: np.ndarray) -> tuple[bytes, bytes]:
    """A PNG of (H, W, 3) uint8 or uint16 as its header and its stream, which is not compressed.

    So every byte is the same, whichever deflate the machine has.
    """
    height, width, _ = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, 2, 0, 0, 0)
    big_endian = pixels.astype(pixels.dtype.newbyteorder(">"))
    return head, zlib.compress(b"".join(b"\0" + row.tobytes() for row in big_endian), level=0)


def png(head: bytes, *pixels: bytes) -> bytes:
    """A PNG file of its header and of its chunks of pixels; the sums of the chunks are right."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    chunks = [chunk(b"IHDR", head), *(chunk(b"IDAT", part) for part in pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def padded_jpeg(data: bytes) -> bytes:
    """A JPEG with bytes too many before its end, as many cameras write it."""
    return data[:-2] + b"\x11" * 20 + data[-2:]


def awful_folder(
    root: Path, good_per_class: int = 6, classes: tuple[str, ...] = ("cat", "dog")
) -> dict[str, str]:
    """Write class folders with good photographs and one file of each kind of trouble.

    Parameters
    ----------
    root : folder to make. good_per_class : ordinary JPEG photographs in each class.
    classes : at least two names.

    Returns
    -------
    Path of each awful file (relative, with `/`) and the kind of trouble: a phrase that its
    `reason` in the manifest holds. Kinds in `UNUSABLE` make it unusable, all others are
    converted. Files that are no rows (hidden, companions) are not in it.
    """
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(good_per_class):
            data = encoded(photograph(1000 * c + i), "JPEG", quality=90)
            (root / name / f"{name}.{i}.jpg").write_bytes(data)
    seeds = iter(range(100_000, 200_000))

    def new() -> Image.Image:
        return Image.fromarray(photograph(next(seeds)))

    jpeg, png = encoded(new(), "JPEG", quality=90), encoded(new(), "PNG")
    half = len(jpeg) // 2 + 300
    broken = bytearray(png)
    broken[len(png) // 2] ^= 0x55
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = np.dstack([photograph(next(seeds)), np.linspace(0, 255, 60 * 72).reshape(60, 72)])
    many = {"save_all": True, "append_images": [new(), new()]}
    wide = np.random.default_rng(1).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    kinds: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "empty"),
        "truncated.jpg": (jpeg[:half], "truncated"),
        "without its end.jpg": (encoded(new(), "JPEG")[:-2], "truncated"),
        "progressive.jpg": (encoded(new(), "JPEG", progressive=True)[:-300], "truncated"),
        "truncated.png": (encoded(new(), "PNG")[:-400], "truncated"),
        "truncated.gif": (encoded(new(), "GIF")[:-900], "truncated"),
        "truncated.bmp": (encoded(new(), "BMP")[:-900], "truncated"),
        "truncated.tif": (encoded(new(), "TIFF", compression="tiff_lzw")[:-900], "truncated"),
        "header only.jpg": (jpeg[:120], "truncated"),
        "cut and closed.jpg": (encoded(new(), "JPEG", quality=90)[:half] + b"\xff\xd9", "damaged"),
        "corrupt.png": (bytes(broken), "damaged"),
        "text.jpg": (b"This was to be a photograph of a cat.\n" * 9, "not an image: text"),
        "page.jpg": (b"<!DOCTYPE html><html>404 Not Found</html>", "not an image: a web page"),
        "noise.png": (np.random.default_rng(0).bytes(5000), "not an image"),
        "zeros.jpg": (bytes(4000), "not an image: nothing but zeros"),
        "unknown.dat": (b"\x01\x02\x03" * 99, "not an image"),
        "float.tif": (encoded(np.float32(photograph(1)[..., 0]), "TIFF"), "cannot be used"),
        "bomb.png": (bomb_png(), "too large"),
        "turned.jpg": (encoded(new(), "JPEG", exif=turned), "EXIF orientation 6: applied"),
        "deep.png": (sixteen_bit_png(wide[..., 0]), "16-bit: 0..65,535 to 0..255"),
        "deep colour.png": (sixteen_bit_png(wide), "16-bit: 0..65,535 to 0..255"),
        "palette.png": (encoded(new().quantize(32), "PNG"), "palette: converted"),
        "still.gif": (encoded(new(), "GIF"), "palette: converted"),
        "transparent.png": (encoded(clear.astype(np.uint8), "PNG"), "alpha: laid on white"),
        "opaque.png": (encoded(new().convert("RGBA"), "PNG"), "alpha: opaque"),
        "gray and clear.png": (encoded(clear[..., 2:].astype(np.uint8), "PNG"), "alpha: laid"),
        "inks.jpg": (encoded(new().convert("CMYK"), "JPEG"), "cmyk: converted"),
        "gray.jpg": (encoded(new().convert("L"), "JPEG"), "gray among colour images"),
        "two levels.png": (encoded(new().convert("1"), "PNG"), "bilevel"),
        "animated.gif": (encoded(new(), "GIF", **many), "3 frames: the first"),
        "animated.png": (encoded(new(), "PNG", **many), "3 frames: the first"),
        "animated.webp": (encoded(new(), "WEBP", **many), "3 frames: the first"),
        "pages.tif": (encoded(new(), "TIFF", **many), "3 pages: the first"),
        "a png.jpg": (encoded(new(), "PNG"), "wrong suffix: a png named .jpg"),
        "padded.jpg": (padded_jpeg(encoded(new(), "JPEG")), "odd JPEG"),
    }
    found = {}
    for i, (name, (data, kind)) in enumerate(kinds.items()):
        path = f"{classes[i % len(classes)]}/{name}"
        (root / path).write_bytes(data)
        found[path] = kind

    first, second = classes[0], classes[1]
    good = (root / first / f"{first}.0.jpg").read_bytes()
    (root / "stray.jpg").write_bytes(encoded(new(), "JPEG"))
    found["stray.jpg"] = "no label"
    (root / first / "gone.jpg").symlink_to("nowhere.jpg")
    found[f"{first}/gone.jpg"] = "cannot be read"
    (root / first / "zz link.jpg").symlink_to(f"{first}.1.jpg")
    found[f"{first}/zz link.jpg"] = "duplicate path"
    lower = root / first / "zz case.jpg"
    lower.write_bytes(encoded(new(), "JPEG"))
    if not (root / first / "ZZ CASE.JPG").exists():  # a file system that tells them apart
        (root / first / "ZZ CASE.JPG").write_bytes(lower.read_bytes())
        found[f"{first}/zz case.jpg"] = "duplicate path"

    # No rows: an exact copy is a good file, these are no images.
    (root / second / "copy of a cat.jpg").write_bytes(good)
    (root / second / ".hidden.jpg").write_bytes(b"")
    (root / second / "Thumbs.db").write_bytes(b"thumbs")
    (root / "__MACOSX" / first).mkdir(parents=True)
    (root / "__MACOSX" / first / "._cat.0.jpg").write_bytes(b"\0\5\x16\7")
    (root / "README.md").write_text("Cats and dogs.\n")
    return found


def kind_of(found: dict[str, str], path: str) -> str:
    """The kind before the first colon: what `UNUSABLE` lists."""
    return found[path].split(":")[0]
