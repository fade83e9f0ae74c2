"""TIFF files of any pixel format, byte by byte: no encoder here writes the unusual ones."""

from __future__ import annotations

import struct

import numpy as np


def tiff(
    pixels: np.ndarray, photometric: int, *extra: tuple[int, int], signed: bool = False
) -> bytes:
    """An uncompressed little-endian TIFF (TIFF 6.0) of (H, W) or (H, W, C) uint8 or uint16.

    Parameters
    ----------
    photometric : 0 gray whose 0 is white, 1 gray, 2 rgb, 5 cmyk.
    extra : further tags of one 16-bit number: (338, 2) calls the last channel alpha.
    signed : calls the numbers signed.
    """
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    raw = np.ascontiguousarray(pixels).tobytes()
    numbers = {
        256: width, 257: height, 258: 8 * pixels.itemsize, 259: 1, 262: photometric, 273: 0,
        277: samples, 278: height, 279: len(raw), 339: 2 if signed else 1, **dict(extra),
    }  # fmt: skip
    repeated = {258, 339} if samples > 2 else set()
    at = 8 + 2 + 12 * len(numbers) + 4
    behind = b"".join(struct.pack("<H", numbers[tag]) * samples for tag in sorted(repeated))
    numbers[273] = at + len(behind)
    entries = b""
    for tag, value in sorted(numbers.items()):
        if tag in repeated:
            entries += struct.pack("<HHII", tag, 3, samples, at)
            at += 2 * samples
        elif tag in (258, 339):
            entries += struct.pack("<HHI", tag, 3, samples) + struct.pack("<H", value) * samples
            entries += bytes(4 - 2 * samples)
        else:
            entries += struct.pack("<HHII", tag, 4, 1, value)
    head = b"II*\0" + struct.pack("<IH", 8, len(numbers))
    return head + entries + bytes(4) + behind + raw
