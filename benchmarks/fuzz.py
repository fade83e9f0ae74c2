"""Damage valid images, and count the ones that are accepted though their pixels changed.

    python -m benchmarks.fuzz            # 100,000 mutants, about 15 minutes of one core
    python -m benchmarks.fuzz --quick    # 10 of each kind

Each mutant comes from its seed: a cut (with the format's end put back), bytes inserted,
overwritten, removed or repeated, or flipped bits. The index's own function examines it in a
worker process, as in a run; an accepted one is then decoded as `prepare` does.

crashed   the decoder ended the process (the run goes on, the file is unusable)
slow      more than 10 s of computing
refused   unusable, with a reason
same      accepted, with the original's pixels or nearly so
changed   accepted, but of another size, or more than 1 % of the pixels differ by more than 16 of 255
of all    share of the changed in all mutants
of shown  share of the changed in all mutants that a decoder without checks shows changed
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from darkroom.config.dataset import Decode
from darkroom.decode.file import decode, probe
from darkroom.decode.header import DecodeError, read_header
from darkroom.decode.pixels import pixels_of
from darkroom.decode.policy import Policy
from darkroom.machine import workers

SIDE = 96
ENDS = {"jpeg": b"\xff\xd9", "gif": b"\x00;"}
POLICY: Policy = Decode().model_dump()  # type: ignore[assignment]


class Result(NamedTuple):
    """Of one mutant: whether it was accepted, whether its pixels changed, seconds, an error."""

    accepted: bool
    changed: bool
    seconds: float
    error: str = ""


def photograph() -> np.ndarray:
    """(96, 96, 3) uint8: smooth colours, edges and noise."""
    rng = np.random.default_rng(0)
    small = rng.integers(20, 236, (7, 7, 3), dtype=np.uint8)
    image = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(float)
    image[20:60, 30:70] += 60
    return np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)


def originals() -> dict[str, bytes]:
    """A valid file of each kind."""
    rgb = Image.fromarray(photograph())
    gray16 = cv2.cvtColor(photograph(), cv2.COLOR_RGB2GRAY).astype(np.uint16) * 257
    clear = np.dstack([photograph(), np.linspace(0, 255, SIDE * SIDE).reshape(SIDE, SIDE)])
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "jpeg": (rgb, "JPEG", {"quality": 90}),
        "jpeg progressive": (rgb, "JPEG", {"quality": 90, "progressive": True}),
        "jpeg cmyk": (rgb.convert("CMYK"), "JPEG", {"quality": 90}),
        "png": (rgb, "PNG", {}),
        "png palette": (rgb.quantize(64), "PNG", {}),
        "png alpha": (Image.fromarray(clear.astype(np.uint8)), "PNG", {}),
        "png 16": (Image.fromarray(gray16), "PNG", {}),
        "gif": (rgb, "GIF", {}),
        "webp": (rgb, "WEBP", {"quality": 90}),
        "webp lossless": (rgb, "WEBP", {"lossless": True}),
        "tiff": (rgb, "TIFF", {}),
        "tiff lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": (rgb, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff fax": (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        "tiff 16": (Image.fromarray(gray16), "TIFF", {}),
        "bmp": (rgb, "BMP", {}),
        "avif": (rgb, "AVIF", {"quality": 80}),
        "jpeg2000": (rgb, "JPEG2000", {}),
    }
    found = {}
    for name, (image, kind, options) in kinds.items():
        out = io.BytesIO()
        image.save(out, kind, **options)
        found[name] = out.getvalue()
    return found


def mutant(data: bytes, seed: int, end: bytes) -> bytes:
    """Damage a file in one of six ways; equal seeds give equal mutants."""
    rng = np.random.default_rng(seed)
    at = int(rng.integers(2, len(data)))
    length = int(2 ** rng.uniform(0, 10))
    way = rng.integers(6)
    if way == 0:
        return data[:at] + end
    if way == 1:
        return data[:at] + rng.bytes(length) + data[at:]
    if way == 2:
        return data[:at] + rng.bytes(length)[: len(data) - at] + data[at + length :]
    if way == 3:
        return data[:at] + data[at + length :]
    if way == 4:
        return data[:at] + data[max(0, at - length) : at] + data[at:]
    flipped = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, 9))):
        flipped[place] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def differs(pixels: np.ndarray, other: np.ndarray) -> bool:
    """Whether the sizes differ, or more than 1 % of the pixels by more than 16."""
    if pixels.shape != other.shape:
        return True
    far = np.abs(pixels.astype(np.int16) - other).max(axis=2) > 16
    return bool(far.mean() > 0.01)


def examined(data: bytes, original: np.ndarray) -> Result:
    """Examine a mutant as the index does, and decode it as `prepare` does.

    A refused mutant is decoded without checks, so that it counts as changed only where it would
    have given other pixels; one that no decoder takes does not count.
    """
    workers.next_item()
    start = time.process_time()
    accepted = probe(data, "", POLICY).status != "unusable"
    try:
        if accepted:
            pixels = decode(data, color="rgb", policy=POLICY)
        else:
            pixels = pixels_of(data, read_header(data), "rgb", POLICY, None, thorough=False).pixels
    except DecodeError:
        return Result(accepted, accepted, time.process_time() - start)
    except Exception as error:
        return Result(accepted, accepted, 0, f"{type(error).__name__}: {error}"[:80])
    seconds = time.process_time() - start
    return Result(accepted, differs(pixels, original), seconds)


def fuzz(name: str, data: bytes, seeds: range) -> str:
    """Examine the mutants of one file; returns a row of the table."""
    original = decode(data, color="rgb", policy=POLICY)
    end = ENDS.get(name.split()[0], b"")
    count: Counter[str] = Counter()

    def work(first: int, stop: int) -> list[Result]:
        return [examined(mutant(data, seed, end), original) for seed in range(first, stop)]

    def crashed(_: int, how: str) -> list[Result]:
        return [Result(False, False, 0, f"crashed by {how}")]

    blocks = [(i, min(i + 50, seeds.stop)) for i in range(seeds.start, seeds.stop, 50)]
    with workers.Pool(work, 1, crashed) as pool:
        for _, _, results in pool.each(blocks):
            for one in results:
                count["refused"] += not one.accepted
                count["same"] += one.accepted and not one.changed
                count["wrong"] += one.accepted and one.changed
                count["shown"] += one.changed
                count["slow"] += one.seconds > 10
                count["crashed"] += bool(one.error)
                if one.error:
                    print(f"{name}: {one.error}")
    of_all, of_shown = (
        f"{100 * count['wrong'] / n:.1f} %" if n else "-" for n in (len(seeds), count["shown"])
    )
    return (
        f"| {name} | {len(seeds):,} | {count['crashed']} | {count['slow']} | {count['refused']:,} "
        f"| {count['same']:,} | {count['wrong']:,} | {of_all} | {of_shown} |"
    )


def main() -> None:
    """Print a table, one row for each kind of file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=100_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="the first seed of each kind")
    parser.add_argument("--quick", action="store_true", help="10 mutants of each kind")
    asked = parser.parse_args()
    files = originals()
    each = 10 if asked.quick else asked.mutants // len(files)
    print(f"seeds {asked.seed} to {asked.seed + each - 1} for each kind")
    print("| kind | mutants | crashed | slow | refused | same | changed | of all | of shown |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, data in files.items():
        seeds = range(asked.seed, asked.seed + each)
        print(fuzz(name, data, seeds), flush=True)


if __name__ == "__main__":
    main()
