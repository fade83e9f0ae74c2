"""Decoders may crash, hang or run out of memory; the server goes on."""

from __future__ import annotations

import io
import os
import signal
import struct
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from darkroom.decode.policy import Policy
from darkroom.images.resize import View
from darkroom.predict.unseen import examine_bytes
from darkroom.serve.decoder import Decoders
from darkroom.serve.options import Options
from tests.support.indexed import POLICY
from tests.support.pictures import picture

VIEW: View = {"size": 32, "color": "rgb", "resize": "pad", "filter": "auto"}


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(Options(workers=1, seconds=2.0, decoder_bytes=400_000_000))
    yield made
    made.close()


def decode(
    decoders: Decoders, data: bytes, name: str = "a.png", policy: Policy = POLICY
) -> tuple[str, str, np.ndarray]:
    return decoders.decode(data, name, view=VIEW, policy=policy, until=time.monotonic() + 60)


def encoded(image: np.ndarray, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **more)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes whose header says how many pixels it has."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100_000)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_pixels_are_those_of_predict(decoders: Decoders) -> None:
    data = encoded(picture("disc", 3, size=(50, 40)))
    expected = np.zeros((32, 32, 3), np.uint8)
    said = examine_bytes(data, "a.png", expected, view=VIEW, policy=POLICY)
    status, reason, pixels = decode(decoders, data)
    assert (status, reason) == said
    assert np.array_equal(pixels, expected) and pixels.any()


def test_a_bomb_is_refused_by_its_header(decoders: Decoders) -> None:
    began = time.monotonic()
    status, reason, _ = decode(decoders, bomb(10_000, 10_000))
    assert status == "unusable"
    assert reason == "too large: 10,000 x 10,000 pixels; a picture may have 50,000,000"
    assert time.monotonic() - began < 5


def test_what_takes_too_much_memory_is_one_sentence(decoders: Decoders) -> None:
    transparent = np.zeros((6000, 8000, 4), np.uint8)
    transparent[::2] = 200
    status, reason, _ = decode(decoders, encoded(transparent, compress_level=1))
    assert status == "unusable" and ("memory" in reason or "crashed" in reason), reason
    assert decode(decoders, encoded(picture("disc", 1)))[0] == "ok"


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO", "JPEG2000"])
def test_rare_formats_are_not_opened(decoders: Decoders, kind: str) -> None:
    data = encoded(picture("disc", 1, size=(32, 32)), kind)
    status, reason, _ = decode(decoders, data, "a.tga" if kind == "TGA" else "a")
    assert status == "unusable" and "format" in reason and "send avif" in reason


def test_a_decoder_that_dies_is_replaced(decoders: Decoders) -> None:
    decoder = decoders.idle.get()
    decoders.idle.put(decoder)
    os.kill(decoder.process.pid or 0, signal.SIGKILL)
    good = encoded(picture("cross", 1))
    status, reason, pixels = decode(decoders, good)
    assert status == "unusable" and reason == "crashed: the decoder ended by signal SIGKILL"
    assert not pixels.any()
    assert decode(decoders, good)[0] == "ok"


def test_a_decoder_that_hangs_is_ended(decoders: Decoders, monkeypatch: Any) -> None:
    decoder = decoders.idle.get()
    decoders.idle.put(decoder)
    monkeypatch.setattr(decoder, "options", Options(seconds=-1.0))  # waits for 2 s
    os.kill(decoder.process.pid or 0, signal.SIGSTOP)
    status, reason, _ = decode(decoders, encoded(picture("cross", 1)))
    assert status == "unusable" and reason.startswith("not decoded in time")
    assert decode(decoders, encoded(picture("cross", 1)))[0] == "ok"


def test_a_request_that_is_late_is_told(decoders: Decoders) -> None:
    status, reason, _ = decoders.decode(
        b"", "a", view=VIEW, policy=POLICY, until=time.monotonic() - 1
    )
    assert status == "unusable" and reason.startswith("not looked at")


def test_a_thousand_damaged_pictures_cost_no_memory(decoders: Decoders) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (80, 90, 3)).astype(np.uint8)
    whole = [
        encoded(image, "JPEG"),
        encoded(image),
        encoded(image, "GIF"),
        encoded(image, "TIFF", compression="tiff_lzw"),
        encoded(image, "WEBP"),
        encoded(image, "BMP"),
    ]
    own = psutil.Process()

    def memory() -> int:
        decoder = decoders.idle.get()
        decoders.idle.put(decoder)
        return own.memory_info().rss + psutil.Process(decoder.process.pid).memory_info().rss

    def damaged(number: int) -> bytes:
        data = bytearray(whole[number % len(whole)])
        for at in rng.integers(0, len(data), rng.integers(1, 20)):
            data[at] = rng.integers(0, 256)
        return bytes(data[: rng.integers(1, len(data) + 1)] if number % 3 == 0 else data)

    for number in range(100):
        decode(decoders, damaged(number))
    before = memory()
    statuses = [decode(decoders, damaged(number))[0] for number in range(1000)]
    assert set(statuses) <= {"ok", "converted", "unusable"}
    assert statuses.count("unusable") > 300
    assert memory() - before < 100_000_000
    assert decode(decoders, encoded(picture("disc", 1)))[0] == "ok"
