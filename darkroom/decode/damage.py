"""Damage that the decoders of JPEG and PNG files pass over or forgive."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from darkroom.decode.header import DecodeError, Header
from darkroom.decode.reasons import TRUNCATED

MAX_SCANS = 100
"""Most scans of a JPEG: encoders write about ten; each costs the time of a whole image."""

_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"IEND")
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # within a scan, 0xFF precedes 0 or a restart


def check(data: bytes, header: Header) -> None:
    """Check what can be checked without decoding.

    Raises
    ------
    DecodeError
        A PNG with a wrong checksum; a JPEG whose scans do not complete its image, or are too many.
    """
    if header.format == "png":
        _check_sums(data)
    elif header.format == "jpeg":
        _check_scans(data)


def _check_sums(data: bytes) -> None:
    """Check the checksum of each chunk of a PNG that pixels depend on.

    OpenCV checks only what it decodes, and Pillow none of the pixels' chunks.
    """
    at, view = 8, memoryview(data)
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        if kind in _PIXEL_CHUNKS and zlib.crc32(view[at + 4 : end]) != int.from_bytes(
            data[end : end + 4], "big"
        ):
            raise DecodeError(f"damaged: {kind.decode()}: CRC error")
        if kind == b"IEND":
            return
        at = end + 4


def _check_scans(data: bytes) -> None:
    """Check that the scans of a progressive JPEG refine each coefficient to its last bit.

    A file that was cut between two scans, and closed, is decoded without a word: blurred, or
    without its colours. The same holds for a sequential JPEG with a scan a component.
    """
    missing: dict[int, list[int]] = {}  # of each component: bits that each coefficient lacks
    progressive, scans = False, 0
    for marker, at, end in _segments(data):
        if marker == 0xDA:
            scans += 1
            ids = data[at + 1 : at + 1 + 2 * data[at] : 2]
            if not progressive and len(ids) >= len(missing):
                return  # the usual file: one scan, which the decoder checks
            if scans > MAX_SCANS:
                raise DecodeError(f"damaged: more than {MAX_SCANS} scans")
            first, last, low = data[end - 3], data[end - 2], data[end - 1] & 15
            if not progressive:
                first, last, low = 0, 63, 0
            for name in ids:
                bits = missing.get(name, [])
                bits[first : last + 1] = [low] * len(bits[first : last + 1])
        elif 0xC0 <= marker <= 0xC2:
            progressive = marker == 0xC2
            missing = {name: [16] * 64 for name in data[at + 6 : end : 3]}
    if any(any(bits) for bits in missing.values()):
        raise DecodeError(TRUNCATED)


def is_padding(data: bytes, count: int) -> bool:
    """Whether the last bytes of a JPEG's last scan are padding, as some cameras write it.

    Padding is one value repeated; fewer than four bytes must be zeros. Any other bytes are what
    a damaged scan left over.

    Parameters
    ----------
    data : bytes of the file.
    count : how many bytes the decoder found behind the image.
    """
    end = 0
    for marker, at, _ in _segments(data):
        if marker == 0xD9:
            end = at - 2
    while data[end - 1] == 0xFF:  # fill bytes, which the decoder does not count
        end -= 1
    left = data[max(end - count, 0) : end]
    return len(set(left)) == 1 and (count >= 4 or left[0] == 0)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The markers of a JPEG up to its end (ITU-T T.81, annex B).

    Yields
    ------
    The marker, and the start and end of its parameters; both are the position behind the marker
    for the end of the image (0xD9), which comes last, if it is there.
    """
    at = 2
    while found := _MARKER.search(data, at):
        at = found.end()
        marker = data[at - 1]
        if marker == 0xD9:
            yield marker, at, at
            return
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return
        if marker not in (0x01, 0xD8):
            yield marker, at + 2, at + length
            at += length
