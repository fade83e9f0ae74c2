"""The format of each file, and the pixels that each rule of the policy gives."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from darkroom.config.dataset import Decode
from darkroom.decode.file import Probe, probe_and_decode
from darkroom.decode.file import decode as decoded
from darkroom.decode.file import probe as probed
from darkroom.decode.header import DecodeError
from darkroom.decode.policy import DEPTH_OF_ALL
from tests.support.awful import (
    bomb_png,
    encoded,
    padded_jpeg,
    photograph,
    png,
    sixteen_bit_png,
    stored_png,
)


def policy(**changes: str) -> dict[str, Any]:
    return Decode(**changes).model_dump()  # type: ignore[arg-type]


def rgb(data: bytes, target: tuple[int, int] | None = None, **changes: str) -> np.ndarray:
    return decoded(data, color="rgb", policy=policy(**changes), target=target)


def gray(data: bytes, **changes: str) -> np.ndarray:
    return decoded(data, color="gray", policy=policy(**changes))


def probe(data: bytes, name: str = "", **changes: str) -> Probe:
    return probed(data, name, policy(**changes))


def by_pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((a.astype(float) - b) ** 2))))


COLORS = photograph(1)


# ---------------------------------------------------------------- ordinary files


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PPM", {}), ("TGA", {}),
     ("JPEG2000", {"irreversible": False}), ("ICO", {"sizes": [(72, 60)], "bitmap_format": "bmp"})],
)  # fmt: skip
def test_lossless_formats_give_their_pixels(kind: str, options: dict[str, Any]) -> None:
    data = encoded(COLORS, kind, **options)
    if kind == "ICO":  # Pillow writes an alpha channel
        assert rgb(data).shape == (60, 72, 3)
        return
    assert (rgb(data) == COLORS).all()
    assert rgb(data).flags.c_contiguous and rgb(data).dtype == np.uint8
    luma = COLORS.astype(float) @ [0.299, 0.587, 0.114]
    assert gray(data).shape == (60, 72, 1)
    assert np.abs(gray(data)[..., 0] - luma).max() <= 1
    found = probe(data, "x.tga" if kind == "TGA" else "")
    assert (found.status, found.format) == ("ok", kind.lower())
    assert (found.width, found.height, found.mode, found.bit_depth) == (72, 60, "rgb", 8)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg(options: dict[str, Any]) -> None:
    data = encoded(COLORS, "JPEG", quality=92, **options)
    assert np.abs(rgb(data).astype(int) - by_pillow(data)).max() <= 2
    with Image.open(io.BytesIO(data)) as image:
        image.draft("L", image.size)
        own = np.asarray(image)
    assert np.abs(gray(data)[..., 0].astype(int) - own).max() <= 1
    assert probe(data, "a.JPG").status == "ok"


def test_gray_files() -> None:
    for kind in ("PNG", "JPEG", "TIFF", "BMP"):
        data = encoded(COLORS[..., 0], kind)
        assert (rgb(data) == gray(data)).all() and rgb(data).shape[2] == 3
        assert probe(data).mode == "gray"
    assert (gray(encoded(COLORS[..., 0], "PNG"))[..., 0] == COLORS[..., 0]).all()
    found = probe(encoded(COLORS[..., 0], "PNG"), gray="refuse")
    assert found.trouble == "gray, and decode.gray is refuse"


def test_a_tga_without_a_name_is_read_by_its_content() -> None:
    tga = encoded(COLORS, "TGA")
    assert (decoded(tga, color="rgb", policy=policy()) == COLORS).all()
    with pytest.raises(DecodeError, match="not an image"):
        decoded(bytes(range(200)), color="rgb", policy=policy())


# ---------------------------------------------------------------- orientation


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "WEBP":
        options = {"lossless": True}
    data = encoded(COLORS, kind, exif=exif, **options)
    turns = {
        1: COLORS, 2: COLORS[:, ::-1], 3: COLORS[::-1, ::-1], 4: COLORS[::-1],
        5: COLORS.transpose(1, 0, 2), 6: np.rot90(COLORS, -1),
        7: np.rot90(COLORS, 2).transpose(1, 0, 2), 8: np.rot90(COLORS, 1),
    }  # fmt: skip
    shown = turns[orientation]
    assert rgb(data).shape == shown.shape
    assert psnr(rgb(data), shown) > 40
    assert psnr(rgb(data, orientation="ignore"), COLORS) > 40
    found = probe(data)
    assert (found.height, found.width, found.orientation) == (*shown.shape[:2], orientation)
    assert found.conversions == (
        "" if orientation == 1 else f"EXIF orientation {orientation}: applied"
    )
    ignored = probe(data, orientation="ignore")
    assert (ignored.height, ignored.width, ignored.status) == (60, 72, "ok")


def test_orientation_of_a_sixteen_bit_tiff() -> None:
    pixels = (COLORS.astype("<u2") * 257).tobytes()
    tags = [(256, 3, 1, 72), (257, 3, 1, 60), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 1, 300), (274, 3, 1, 6), (277, 3, 1, 3), (278, 3, 1, 60),
            (279, 4, 1, len(pixels))]  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    head += b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    data = head.ljust(200, b"\0") + struct.pack("<HHH", 16, 16, 16)
    data = data.ljust(300, b"\0") + pixels
    assert (rgb(data) == np.rot90(COLORS, -1)).all()
    assert (rgb(data, orientation="ignore") == COLORS).all()
    found = probe(data)
    assert (found.height, found.width, found.bit_depth) == (72, 60, 16)


def test_old_png_exif_and_broken_exif() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n"
    info = __import__("PIL.PngImagePlugin").PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", text, zip=True)
    assert probe(encoded(COLORS, "PNG", pnginfo=info)).orientation == 8
    data = encoded(COLORS, "JPEG", exif=exif)
    at = data.index(b"\x01\x12")  # big or little endian, the tag's value follows
    broken = data[: at + 8] + b"\xff\xff\xff\xff" + data[at + 12 :]
    assert probe(broken).orientation == 1 and probe(broken).status == "ok"


# ---------------------------------------------------------------- the rules

WIDE = np.random.default_rng(0).integers(1000, 50_000, (40, 50, 3)).astype(np.uint16)


def test_sixteen_bit() -> None:
    scaled = np.rint(WIDE / 257).astype(np.uint8)
    assert (rgb(sixteen_bit_png(WIDE)) == scaled).all()
    assert (gray(sixteen_bit_png(WIDE[..., 0]))[..., 0] == scaled[..., 0]).all()
    tiff = cv2.imencode(".tif", WIDE[..., ::-1])[1].tobytes()
    assert (rgb(tiff) == scaled).all()
    assert (gray(encoded(WIDE[..., 0], "TIFF"))[..., 0] == scaled[..., 0]).all()
    pgm = b"P5 50 40 65535\n" + WIDE[..., 0].astype(">u2").tobytes()
    assert (gray(pgm)[..., 0] == scaled[..., 0]).all()
    for data in (sixteen_bit_png(WIDE), sixteen_bit_png(WIDE[..., 0]), tiff, pgm):
        found = probe(data)
        assert (found.bit_depth, found.conversions) == (16, DEPTH_OF_ALL)
        assert found.maximum == (WIDE if found.mode == "rgb" else WIDE[..., 0]).max()
        assert "decode.sixteen_bit is refuse" in probe(data, sixteen_bit="refuse").trouble


def test_sixteen_bit_stretched() -> None:
    low, high = int(WIDE.min()), int(WIDE.max())
    expected = (WIDE - float(low)) * 255 / (high - low)
    found = rgb(sixteen_bit_png(WIDE), sixteen_bit="stretch")
    assert np.abs(found - expected).max() <= 0.51 and (found.min(), found.max()) == (0, 255)
    flat = np.full((5, 6), 25_700, np.uint16)
    assert (gray(sixteen_bit_png(flat), sixteen_bit="stretch") == 100).all()
    conversions = probe(sixteen_bit_png(WIDE), sixteen_bit="stretch").conversions
    assert conversions == "16-bit: own range to 0..255"


CLEAR = np.dstack([COLORS, np.linspace(0, 255, 60 * 72).reshape(60, 72).astype(np.uint8)])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encoded(CLEAR, kind, **options)
    share = CLEAR[..., 3:] / 255
    for rule, back in (("white", 255), ("black", 0)):
        expected = COLORS * share + back * (1 - share)
        assert np.abs(rgb(data, alpha=rule) - expected).max() <= 0.51
        assert probe(data, alpha=rule).conversions == f"alpha: laid on {rule}"
    assert (rgb(data, alpha="drop") == COLORS).all()
    assert probe(data, alpha="refuse").trouble == "transparent, and decode.alpha is refuse"
    with pytest.raises(DecodeError, match=r"decode\.alpha is refuse"):
        rgb(data, alpha="refuse")


def test_alpha_that_is_opaque_is_never_refused() -> None:
    opaque = np.dstack([COLORS, np.full((60, 72), 255, np.uint8)])
    found = probe(encoded(opaque, "PNG"), alpha="refuse")
    assert (found.trouble, found.conversions) == ("", "alpha: opaque, dropped")
    assert (rgb(encoded(opaque, "PNG"), alpha="refuse") == COLORS).all()


def test_gray_with_alpha_and_sixteen_bit_with_alpha() -> None:
    data = encoded(CLEAR[..., 2:], "PNG")
    share = CLEAR[..., 3] / 255
    expected = CLEAR[..., 2] * share + 255 * (1 - share)
    assert np.abs(gray(data)[..., 0] - expected).max() <= 0.51
    assert probe(data).mode == "gray+alpha"
    deep = sixteen_bit_png(CLEAR.astype(np.uint16) * 257)
    assert (rgb(deep) == rgb(encoded(CLEAR, "PNG"))).all()
    assert probe(deep).conversions == f"{DEPTH_OF_ALL}; alpha: laid on white"


def test_one_transparent_colour() -> None:
    image = COLORS.copy()
    image[:30] = (1, 2, 3)
    data = encoded(image, "PNG", transparency=(1, 2, 3))
    assert (rgb(data)[:30] == 255).all() and (rgb(data)[30:] == COLORS[30:]).all()
    assert probe(data).status == "converted"


def test_palette() -> None:
    indexed = Image.fromarray(COLORS).quantize(16)
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        data = encoded(indexed, kind)
        assert (rgb(data) == np.asarray(indexed.convert("RGB"))).all()
        found = probe(data)
        assert (found.mode, found.conversions) == ("palette", "palette: converted to rgb")
        assert probe(data, palette="refuse").trouble == "palette, and decode.palette is refuse"
    data = encoded(indexed, "PNG", transparency=0)
    clear = np.asarray(indexed) == 0
    assert clear.any() and (rgb(data)[clear] == 255).all()
    assert (rgb(data, alpha="black")[clear] == 0).all()


def test_inks() -> None:
    image = Image.fromarray(COLORS).convert("CMYK")
    data = encoded(image, "JPEG", quality=100, subsampling=0)
    assert psnr(rgb(data), COLORS) > 38  # inverted, as Adobe writes it, and inverted again
    assert (rgb(encoded(image, "TIFF")) == np.asarray(image.convert("RGB"))).all()
    found = probe(data)
    assert found.mode == "cmyk" and found.conversions.startswith("cmyk: converted to rgb")
    assert probe(data, cmyk="refuse").trouble == "cmyk, and decode.cmyk is refuse"


def test_two_levels() -> None:
    image = Image.fromarray(COLORS).convert("1")
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        data = encoded(image, kind)
        assert set(np.unique(gray(data))) == {0, 255}
        assert (gray(data)[..., 0] > 0).tolist() == np.asarray(image).tolist()
        found = probe(data)
        assert (found.mode, found.bit_depth) == ("bilevel", 1)
        assert found.conversions == "bilevel: 0 and 255"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames(kind: str) -> None:
    others = [Image.fromarray(photograph(i)) for i in (2, 3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(COLORS, kind, save_all=True, append_images=others, **options)
    assert psnr(rgb(data), COLORS) > 28  # a GIF has 256 colours
    unit = "pages" if kind == "TIFF" else "frames"
    found = probe(data)
    assert found.frames == 3 and f"3 {unit}: the first is taken" in found.conversions
    assert probe(data, animated="refuse").trouble == f"3 {unit}, and decode.animated is refuse"


def test_wrong_suffix() -> None:
    data = encoded(COLORS, "PNG")
    assert probe(data, "a.jpg").conversions == (
        "wrong suffix: a png named .jpg: read by its content"
    )
    assert "decode.wrong_suffix is refuse" in probe(data, "a.jpg", wrong_suffix="refuse").trouble
    for name in ("a.png", "a.PNG", "a.b/c", ".png"):
        assert probe(data, name, wrong_suffix="refuse").status == "ok", name


def test_numbers_without_a_range_are_refused() -> None:
    values = np.float32(COLORS[..., 0])
    assert (
        "32-bit floating point numbers have no stated range"
        in probe(encoded(values, "TIFF")).trouble
    )
    assert "32-bit integers" in probe(encoded(np.int32(values), "TIFF")).trouble
    lab = Image.fromarray(COLORS).convert("YCbCr").convert("RGB")
    lab = Image.merge("LAB", lab.split())
    assert "rare mode LAB" in probe(encoded(lab, "TIFF")).trouble
    ppm = b"P6 2 1 65535\n" + bytes(12)
    assert "16-bit colour PPM" in probe(ppm).trouble
    assert probe(b"P6 2 1 255\n" + bytes(6)).status == "ok"


# ---------------------------------------------------------------- broken files

WHOLE = {
    "jpeg": encoded(photograph(4, 200, 260), "JPEG", quality=90),
    "progressive": encoded(photograph(4, 200, 260), "JPEG", quality=90, progressive=True),
    "png": encoded(photograph(4, 200, 260), "PNG"),
    "png16": sixteen_bit_png(WIDE),
    "gif": encoded(photograph(4, 200, 260), "GIF"),
    "bmp": encoded(photograph(4, 200, 260), "BMP"),
    "tiff": encoded(photograph(4, 200, 260), "TIFF"),
    "lzw": encoded(photograph(4, 200, 260), "TIFF", compression="tiff_lzw"),
    "webp": encoded(photograph(4, 200, 260), "WEBP"),
    "ppm": encoded(photograph(4, 200, 260), "PPM"),
    "jpeg2000": encoded(photograph(4, 200, 260), "JPEG2000"),
    "cmyk": encoded(Image.fromarray(photograph(4, 200, 260)).convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_cut_file_is_never_usable(data: bytes) -> None:
    assert probe(data).trouble == ""
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        found = probe(data[: int(share * len(data))])
        assert found.status == "unusable", share
        assert found.trouble.startswith(("truncated", "damaged", "not an image")), found.trouble


@pytest.mark.parametrize("color", ["rgb", "gray"])
@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_one_pass_examines_and_decodes_as_two_do(data: bytes, color: Any) -> None:
    given = policy() | {"white_level": 65_535}
    for part in (data, data[: len(data) // 2], padded_jpeg(WHOLE["jpeg"])):
        for target in (None, (20, 20)):
            found, pixels = probe_and_decode(
                part, "a.jpg", color=color, policy=given, target=target
            )
            alone = replace(probed(part, "a.jpg", given), thumbnail=None)
            assert found == alone
            if pixels is None:
                assert found.status == "unusable"
            else:
                two = decoded(part, color=color, policy=given, target=target)
                assert np.array_equal(pixels, two)


@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png"])
def test_the_last_bytes_count(kind: str) -> None:
    for missing in (1, 2, 5):
        reason = probe(WHOLE[kind][:-missing]).trouble
        assert reason == "truncated: the file ends before its image does", missing
        with pytest.raises(DecodeError):
            rgb(WHOLE[kind][:-missing])


def test_a_cut_jpeg_with_an_end_mark_or_zeros_is_damaged(capfd: Any) -> None:
    data = WHOLE["jpeg"]
    for end in (b"\xff\xd9", bytes(len(data) // 2) + b"\xff\xd9"):
        found = probe(data[: len(data) // 2] + end)
        assert found.trouble.startswith("damaged") or found.conversions.startswith("odd JPEG")
    assert probe(data[: len(data) // 2] + b"\xff\xd9").trouble == (
        "damaged: premature end of data segment"
    )
    assert capfd.readouterr().err == ""


def test_padding_before_the_end_is_odd_and_usable(capfd: Any) -> None:
    data = encoded(COLORS, "JPEG")
    found = probe(padded_jpeg(data))
    assert re.fullmatch(r"odd JPEG: \d+ extraneous bytes before marker 0xd9", found.conversions)
    assert (rgb(padded_jpeg(data)) == rgb(data)).all()
    assert probe(data + b"\r\n" * 40).status == "ok"  # trailing bytes are harmless
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("pixels", [photograph(4, 200, 260), WIDE], ids=["8 bits", "16 bits"])
def test_a_flipped_byte_in_a_png(pixels: np.ndarray) -> None:
    head, stream = stored_png(pixels)
    encoder = sixteen_bit_png(pixels) if pixels.itemsize == 2 else encoded(pixels, "PNG")
    assert np.array_equal(rgb(png(head, stream)), rgb(encoder))
    at = 40  # a pixel of the first row
    flipped = stream[:at] + bytes([stream[at] ^ 0x10]) + stream[at + 1 :]
    found = png(head, stream[:2000], stream[2000:]).replace(stream[:2000], flipped[:2000])
    assert probe(found).trouble == "damaged: IDAT: CRC error"
    assert probe(png(head, flipped)).trouble == "damaged: IDAT: incorrect data check"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: the file has 0 bytes"),
        (b"hello, world\n" * 5, "not an image: text"),
        (b"\xef\xbb\xbf<html><body>404", "not an image: a web page"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04abcd", "a zip archive"),
        (bytes(128) + b"DICM" + bytes(99), "a DICOM file: export it as PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(99), "a HEIC image, which cannot be read here"),
        (b"\0\0\0\x18ftypmp42" + bytes(99), "a video"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (bytes(500), "nothing but zeros"),
        (bytes(range(256)), "not an image"),
        (b"\xff\xd8\xff\xd9", "damaged: a JPEG file without an image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "truncated: the file ends within its header"),
        (b"\xff\xd8\xff", "truncated"),
        (b"\xff\xd8\xff\xda\x00\x08" + bytes(9), "damaged: a JPEG file without an image"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"GIF89a", "truncated"),
        (b"II*\0" + b"\xff" * 300, "truncated"),
        (b"MM\0*\0\0\0\x08" + bytes(300), "damaged: a TIFF file whose header cannot be read"),
    ],
)  # fmt: skip
def test_what_is_no_image(data: bytes, reason: str) -> None:
    found = probe(data, "a.jpg")
    assert reason in found.trouble
    assert found.thumbnail is None and found.width is None


def test_odd_jpeg_and_png_headers() -> None:
    data = bytearray(encoded(COLORS, "JPEG"))
    at = data.index(b"\xff\xc0")
    for place, value, reason in (
        (at + 4, 12, "a JPEG of 12 bits a channel"),
        (at + 1, 0xC9, "a JPEG of a rare kind"),
        (at + 9, 2, "a JPEG of a rare kind"),
    ):
        odd = bytearray(data)
        odd[place] = value
        assert reason in probe(bytes(odd)).trouble
    odd = bytearray(data)
    odd[at + 5 : at + 7] = b"\0\0"
    assert probe(bytes(odd)).trouble == "damaged: the image has no pixels"
    png = bytearray(encoded(COLORS, "PNG"))
    png[25] = 5
    assert "unknown kind 5" in probe(bytes(png)).trouble


def test_a_bomb_is_refused_without_unpacking() -> None:
    reason = "too large: 100,000 x 100,000 pixels; an image may have 178,956,970"
    assert probe(bomb_png()).trouble == reason
    bomb = b"P6 60000 60000 255\n" + bytes(99)
    assert probe(bomb).trouble.startswith("too large: 60,000 x 60,000")
    jpeg = bytearray(encoded(COLORS, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert probe(bytes(jpeg)).trouble.startswith("too large")


def test_too_little_memory_is_a_reason(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(cv2, "imdecode", fail)
    assert probe(WHOLE["jpeg"]).trouble == "cannot be read: not enough memory"
    monkeypatch.setattr(Image.Image, "load", fail)
    monkeypatch.setattr(Image, "open", fail)
    assert probe(WHOLE["bmp"]).trouble == "cannot be read: not enough memory"


def test_a_decoder_that_raises_is_a_reason(monkeypatch: Any) -> None:
    def fail(*_: Any) -> None:
        raise cv2.error("bad luck")

    monkeypatch.setattr(cv2, "imdecode", fail)
    for kind in ("jpeg", "png16"):
        assert probe(WHOLE[kind]).trouble == "damaged: bad luck"
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    for kind in ("jpeg", "png16"):
        assert probe(WHOLE[kind]).trouble.startswith("damaged: the decoder gives no")


# ---------------------------------------------------------------- reduced scale


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("side", [32, 64, 224])
def test_reduced_scale_is_as_good(side: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    target = (side, 3 * side // 2)
    scales = set()
    for i, size in enumerate(((1104, 1504), (1101, 1507), (1118, 1495))):
        image = photograph(i, *size)
        texture = np.random.default_rng(i).normal(0, 12, image.shape)
        data = encoded(np.clip(image + texture, 0, 255).astype(np.uint8), "JPEG", exif=exif)
        if orientation == 6:
            target = (3 * side // 2, side)
        full, reduced = rgb(data), rgb(data, target)
        scales.add(round(full.shape[0] / reduced.shape[0]))
        assert reduced.shape[0] >= 2 * target[0] - 1 and reduced.shape[1] >= 2 * target[1] - 1
        small = [cv2.resize(x, target[::-1], interpolation=cv2.INTER_AREA) for x in (full, reduced)]
        assert psnr(*small) > 42
    assert max(scales) == {32: 8, 64: 4, 224: 2}[side]
    assert scales <= {1, 2, 4, 8}


def test_reduced_scale_where_it_would_not_be_as_good() -> None:
    odd = encoded(photograph(1, 257, 400), "JPEG")  # one row of 257 is 1/4 of a target pixel
    assert rgb(odd, (64, 64)).shape == (257, 400, 3)
    assert rgb(encoded(photograph(1, 254, 400), "JPEG"), (64, 64)).shape == (254, 400, 3)
    assert rgb(encoded(photograph(1, 256, 400), "JPEG"), (64, 64)).shape == (128, 200, 3)
    assert rgb(encoded(photograph(1, 256, 400), "PNG"), (64, 64)).shape == (256, 400, 3)
    assert rgb(encoded(photograph(1, 256, 400), "JPEG"), (64, 200)).shape == (256, 400, 3)


def test_decoding_is_deterministic() -> None:
    for data in WHOLE.values():
        assert (rgb(data, (20, 20)) == rgb(data, (20, 20))).all()
        first, second = probe(data), probe(data)
        assert first.thumbnail is not None and second.thumbnail is not None
        assert (first.thumbnail == second.thumbnail).all()


def test_stderr_is_left_as_it_was(capfd: Any) -> None:
    damaged = WHOLE["jpeg"][:4000] + b"\xff\xd9"
    threads = [
        threading.Thread(target=lambda: [probe(damaged) for _ in range(20)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    print("and Python's", file=sys.stderr, flush=True)
    assert capfd.readouterr().err == "after\nand Python's\n"


def test_without_stderr() -> None:
    code = (
        "import os, sys; os.close(2); from darkroom.config.dataset import Decode; from darkroom.decode.file import probe; "
        "p = probe(sys.stdin.buffer.read(), 'a.jpg', Decode().model_dump()); "
        "print(p.status, p.width)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=WHOLE["jpeg"], stdout=subprocess.PIPE)
    assert done.stdout.split() == [b"ok", b"260"]
