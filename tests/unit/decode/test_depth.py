"""16-bit images, unusual TIFFs and alpha that is none: the pixels that they show."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.config.dataset import Decode
from darkroom.decode import pixels
from darkroom.decode.file import Probe
from darkroom.decode.file import decode as decoded
from darkroom.decode.file import probe as probed
from darkroom.decode.pixels import white_level
from tests.support.awful import encoded, photograph, sixteen_bit_png
from tests.support.tiffs import tiff

COLORS = photograph(1)
WIDE = np.random.default_rng(0).integers(0, 65_536, (40, 50, 4)).astype("<u2")
DROPPED = "further channels: 1 dropped, which no tag calls alpha"


def policy(**changes: Any) -> dict[str, Any]:
    level = {"white_level": changes.pop("white_level")} if "white_level" in changes else {}
    return Decode(**changes).model_dump() | level


def rgb(data: bytes, **changes: Any) -> np.ndarray:
    return decoded(data, color="rgb", policy=policy(**changes))


def probe(data: bytes, name: str = "", **changes: Any) -> Probe:
    return probed(data, name, policy(**changes))


@pytest.mark.parametrize("wide", [COLORS[..., 0], COLORS[..., 0].astype("<u2") * 257])
def test_gray_whose_0_is_white(wide: np.ndarray) -> None:
    assert (rgb(tiff(wide, 1)) == COLORS[..., :1]).all()
    assert (rgb(tiff(wide, 0)) == 255 - COLORS[..., :1]).all()


def test_a_white_level_below_that_of_16_bits() -> None:
    twelve = WIDE[..., 0] >> 4
    expected = np.rint(twelve * 255.0 / 4095)
    assert (rgb(tiff(twelve, 1), white_level=4095)[..., 0] == expected).all()
    assert (rgb(tiff(twelve, 0), white_level=4095)[..., 0] == 255 - expected).all()
    assert (rgb(sixteen_bit_png(twelve), white_level=4095)[..., 0] == expected).all()
    color = WIDE[..., :3] >> 4
    shown = np.rint(color * 255.0 / 4095)
    assert (rgb(sixteen_bit_png(color), white_level=4095) == shown).all()
    assert (rgb(tiff(color, 2), white_level=4095) == shown).all()
    found = probe(tiff(twelve, 1), white_level=4095)
    assert (found.maximum, found.conversions) == (twelve.max(), "16-bit: 0..4,095 to 0..255")
    assert probe(encoded(COLORS, "PNG"), white_level=4095).status == "ok"


def test_values_above_the_white_level_become_white_and_are_noted() -> None:
    values = np.array([[0, 100, 127], [128, 4000, 65_535]], "<u2")
    assert rgb(tiff(values, 1), white_level=127)[..., 0].tolist() == [[0, 201, 255], [255] * 3]
    notes = probe(tiff(values, 1), white_level=127).conversions
    assert notes == (
        "16-bit: 0..127 to 0..255; above the white level: values up to 65,535 become 255"
    )


@pytest.mark.parametrize(
    ("maximum", "level"), [(0, 1), (119, 127), (4095, 4095), (4096, 8191), (65_535, 65_535)]
)
def test_the_white_level_is_that_of_the_bits_in_use(maximum: int, level: int) -> None:
    assert white_level(maximum) == level


def test_dark_16_bit_images_keep_their_thumbnail() -> None:
    bright = probe(sixteen_bit_png(WIDE[..., 0]))
    dark = probe(sixteen_bit_png(WIDE[..., 0] >> 8))
    assert bright.thumbnail is not None and dark.thumbnail is not None
    assert np.abs(bright.thumbnail.astype(int) - dark.thumbnail).max() <= 1


@pytest.mark.parametrize("tags", [(), ((338, 0),)], ids=["no tag", "unspecified"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_fourth_channel_that_is_no_alpha(bits: int, tags: Any) -> None:
    data = tiff(WIDE if bits == 16 else (WIDE >> 8).astype(np.uint8), 2, *tags)
    shown = np.rint(WIDE / 257) if bits == 16 else WIDE >> 8
    assert (rgb(data) == shown[..., :3]).all()
    assert DROPPED in probe(data).conversions
    assert "alpha" not in probe(data).conversions.replace(DROPPED, "")


def test_a_fourth_channel_that_is_alpha() -> None:
    data = tiff(WIDE, 2, (338, 2))
    color, alpha = np.rint(WIDE[..., :3] / 257), np.rint(WIDE[..., 3:] / 257)
    mixed = (color * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(rgb(data) - mixed).max() <= 0.51
    assert "multiplied by alpha" in probe(tiff(WIDE, 2, (338, 1))).trouble


@pytest.mark.parametrize("kind", ["PNG", "TGA", "TIFF", "WEBP"])
def test_alpha_of_0_throughout_keeps_the_colours(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encoded(np.dstack([COLORS, np.zeros((60, 72), np.uint8)]), kind, **options)
    for rule in ("white", "black"):
        assert (rgb(data, alpha=rule) == COLORS).all()
        assert probe(data, "", alpha=rule).conversions == "alpha: 0 throughout, dropped"
    assert "decode.alpha is refuse" in probe(data, alpha="refuse").trouble


@pytest.mark.parametrize("alpha", [0, 255])
def test_a_bmp_with_a_mask_for_alpha(alpha: int) -> None:
    raw = np.dstack([COLORS[::-1, :, ::-1], np.full((60, 72), alpha, np.uint8)]).tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, 72, 60, 1, 32, 3, len(raw), 2835, 2835, 0, 0)
    head += masks + b"BGRs" + bytes(48)
    data = b"BM" + struct.pack("<IHHI", 122 + len(raw), 0, 0, 122) + head + raw
    assert (rgb(data) == COLORS).all()
    how = "0 throughout" if alpha == 0 else "opaque"
    assert probe(data).conversions == f"alpha: {how}, dropped"


def test_a_transparent_value_in_16_bit_gray() -> None:
    values = WIDE[..., 0].copy()
    values[:20] = 300
    data = encoded(Image.fromarray(values), "PNG")
    note = b"tRNS\x01\x2c"  # 300
    chunk = struct.pack(">I", 2) + note + struct.pack(">I", zlib.crc32(note))
    clear = data[:33] + chunk + data[33:]
    assert (rgb(clear)[:20] == 255).all()
    assert (rgb(clear)[20:, :, 0] == np.rint(values[20:] / 257)).all()


def test_an_image_that_becomes_one_colour_is_noted() -> None:
    clear = np.dstack(
        [np.full((60, 72, 3), 255, np.uint8), np.arange(60 * 72).reshape(60, 72) % 256]
    )
    found = probe(encoded(clear.astype(np.uint8), "PNG"))
    assert found.conversions == "alpha: laid on white; one colour throughout"
    assert probe(encoded(np.full((9, 9, 3), 7, np.uint8), "PNG")).status == "ok"  # no conversion


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(WIDE[..., 0], 1, signed=True), "16-bit signed integers have no stated range"),
        (tiff(COLORS[..., 0], 1, signed=True), "8-bit signed integers have no stated range"),
        (tiff(WIDE, 5), "a 16-bit cmyk TIFF: export it with 8 bits"),
        (tiff(COLORS, 2, (254, 1)), "its first page is a small preview, as in a camera's raw"),
        (tiff(WIDE[..., :2], 1), "a TIFF of 2 x 16 bits a pixel in an unusual form"),
    ],
)
def test_what_has_no_stated_meaning_is_refused(data: bytes, reason: str) -> None:
    assert probe(data).trouble.startswith(f"cannot be used: {reason}")


def test_a_large_image_is_converted_in_strips(monkeypatch: Any) -> None:
    clear = np.dstack([COLORS, np.linspace(0, 255, 60 * 72).reshape(60, 72).astype(np.uint8)])
    images = [
        encoded(clear, "PNG"),
        encoded(clear[..., 2:], "PNG"),
        encoded(Image.fromarray(COLORS).quantize(16), "PNG", transparency=3),
        encoded(Image.fromarray(COLORS).convert("CMYK"), "TIFF"),
        encoded(Image.fromarray(COLORS).convert("1"), "TIFF"),
        encoded(COLORS, "TIFF"),
        sixteen_bit_png(WIDE),
        tiff(WIDE[..., 0], 0),
    ]
    whole = [rgb(data) for data in images]
    monkeypatch.setattr(pixels, "STRIP_BYTES", 7 * 72 * 4)
    for data, expected in zip(images, whole, strict=True):
        assert (rgb(data) == expected).all()
