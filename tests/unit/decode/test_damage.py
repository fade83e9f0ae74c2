"""Damage that decoders pass over: each such file is unusable, with its reason."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.config.dataset import Decode
from darkroom.decode import damage
from darkroom.decode.file import Probe
from darkroom.decode.file import probe as probed
from darkroom.decode.header import MAX_BYTES
from darkroom.decode.reasons import TRUNCATED
from tests.support.awful import encoded, padded_jpeg, photograph, png, sixteen_bit_png
from tests.support.tiffs import tiff

PHOTO = photograph(4, 200, 260)
END = b"\xff\xd9"


def probe(data: bytes, name: str = "") -> Probe:
    return probed(data, name, Decode().model_dump())  # type: ignore[arg-type]


def noisy(height: int = 200, width: int = 260) -> np.ndarray:
    """A photograph with noise, whose JPEG scan is long."""
    noise = np.random.default_rng(0).normal(0, 25, (height, width, 3))
    return np.clip(photograph(4, height, width) + noise, 0, 255).astype(np.uint8)


def scans(data: bytes) -> list[int]:
    """Where each scan of a JPEG starts; Huffman tables in front of one count as its own."""
    found, at = [], 0
    while (at := data.find(b"\xff\xda", at)) >= 0:
        table = data.rfind(b"\xff\xc4", 0, at)
        here = table + 2 + int.from_bytes(data[table + 2 : table + 4], "big") == at
        found.append(table if here else at)
        at += 2
    return found


@pytest.mark.parametrize("left", [1, 3, -1])
def test_a_progressive_jpeg_without_its_last_scans(left: int) -> None:
    data = encoded(PHOTO, "JPEG", progressive=True, quality=90)
    starts = scans(data)
    assert len(starts) > 5 and probe(data).status == "ok"
    assert probe(data[: starts[left]] + END).trouble == TRUNCATED


def test_a_progressive_jpeg_cut_anywhere_and_closed() -> None:
    data = encoded(noisy(), "JPEG", progressive=True, quality=90)
    for share in np.linspace(0.1, 0.98, 30):
        assert probe(data[: int(share * len(data))] + END).status == "unusable", share


def test_a_jpeg_of_far_too_many_scans() -> None:
    data = encoded(PHOTO, "JPEG", progressive=True)
    last = data[scans(data)[-1] : -2]
    assert probe(data[:-2] + 100 * last + END).trouble == "damaged: more than 100 scans"


def test_a_cmyk_jpeg_cut_and_closed() -> None:
    data = encoded(Image.fromarray(noisy()).convert("CMYK"), "JPEG", quality=90)
    assert probe(data).status == "converted"
    for share in (0.4, 0.6, 0.9):
        reason = probe(data[: int(share * len(data))] + END).trouble
        assert reason == "damaged: premature end of data segment"


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_a_fax_tiff_whose_strip_is_cut(compression: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).random((256, 256)) > 0.8)
    data = encoded(image, "TIFF", compression=compression)
    assert probe(data).conversions == "bilevel: 0 and 255"
    with Image.open(io.BytesIO(data)) as opened:
        (count,) = opened.tag_v2[279]  # type: ignore[attr-defined]
    kinds = [struct.pack("<HHII", 279, kind, 1, count) for kind in (3, 4)]
    entry = next(kind for kind in kinds if kind in data)
    cut = data.replace(entry, entry[:8] + struct.pack("<I", count // 2))
    assert probe(cut).trouble.startswith(("damaged: Fax", "truncated")), probe(cut)


@pytest.mark.parametrize("what", ["inserted", "overwritten"])
def test_foreign_bytes_in_a_jpeg_scan(what: str) -> None:
    data = encoded(noisy(), "JPEG", quality=90)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        foreign = bytes(b for b in rng.bytes(3000) if b != 255)
        at = scans(data)[0] + int(rng.integers(1000, 20_000))
        end = at if what == "inserted" else at + len(foreign)
        assert probe(data[:at] + foreign + data[end:]).status == "unusable", seed


def test_padding_is_one_value() -> None:
    data = encoded(PHOTO, "JPEG")
    assert probe(padded_jpeg(data)).conversions.startswith("odd JPEG")
    assert probe(data[:-2] + bytes(9) + b"\xff\xff" + END).conversions.startswith("odd JPEG")
    for foreign in (b"\x11\x12" * 20, bytes(19) + b"\x01"):
        reason = probe(data[:-2] + foreign + END).trouble
        assert "extraneous bytes before marker 0xd9" in reason
    # Of a few bytes, chance makes one value: only zeros are padding.
    assert [damage.is_padding(data[:-2] + few + END, 3) for few in (bytes(3), b"\x11" * 3)] == [
        True,
        False,
    ]


@pytest.mark.parametrize("kind", ["gray16", "palette", "rgb", "interlaced"])
def test_a_wrong_checksum_in_a_png(kind: str) -> None:
    data = {
        "gray16": sixteen_bit_png(np.random.default_rng(0).integers(0, 65536, (40, 50)).astype(np.uint16)),
        "palette": encoded(Image.fromarray(PHOTO).quantize(16), "PNG", transparency=3),
        "rgb": encoded(PHOTO, "PNG"),
        "interlaced": encoded(PHOTO[..., 0], "PNG"),
    }[kind]  # fmt: skip
    assert probe(data).trouble == ""
    at, seen = 8, set()
    while at < len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        seen.add(name)
        wrong = data[: at - 1] + bytes([data[at - 1] ^ 1]) + data[at:]
        assert probe(wrong).trouble == f"damaged: {name.decode()}: CRC error"
    assert {b"IHDR", b"IDAT", b"IEND"} <= seen and (kind != "palette" or {b"PLTE", b"tRNS"} <= seen)


def test_a_wrong_checksum_of_a_comment_is_harmless() -> None:
    data = encoded(PHOTO, "PNG")
    note = b"tEXtComment\0hello"
    chunk = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note) ^ 1)
    assert probe(data[:33] + chunk + data[33:]).trouble == ""


def test_no_number_of_a_header_is_believed() -> None:
    frames = b"acTL" + struct.pack(">II", 2**32 - 1, 0)
    chunk = struct.pack(">I", 8) + frames + struct.pack(">I", zlib.crc32(frames))
    data = encoded(PHOTO, "PNG")
    assert probe(data[:33] + chunk + data[33:]).frames == 1
    deep = bytearray(tiff(PHOTO[..., 0], 1))
    at = deep.index(struct.pack("<HH", 258, 3))
    deep[at + 8 : at + 10] = struct.pack("<H", 65_474)
    assert probe(bytes(deep)).status == "unusable"


def test_memory_is_bounded_by_channels_and_depth() -> None:
    side = int((MAX_BYTES / 8) ** 0.5) + 1  # 67 million pixels of rgba in 16 bits
    head = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    reason = probe(png(head, zlib.compress(bytes(99)))).trouble
    assert reason == (
        f"too large: {side:,} x {side:,} pixels; an image of 8 bytes a pixel may have 67,108,863"
    )
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    assert not probe(png(head, zlib.compress(bytes(99)))).trouble.startswith("too large")


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "TIFF", "GIF", "BMP", "WEBP"])
def test_a_cut_image_is_nothing_else(kind: str) -> None:
    data = encoded(PHOTO, kind)
    for share in (0.02, 0.1, 0.5, 0.9):
        found = probe(data[: int(share * len(data))])
        assert found.trouble.startswith(("truncated", "damaged")), found.trouble


def test_whatever_a_decoder_raises_is_a_reason(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OverflowError("Python int too large to convert to C long")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert probe(encoded(PHOTO, "TIFF")).status == "unusable"
    monkeypatch.setattr("darkroom.decode.file.shown_size", fail)
    assert "python int too large" in probe(encoded(PHOTO, "PNG")).trouble
