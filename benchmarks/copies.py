"""Recall and precision on planted copies, and the time that looking for them takes.

    python -m benchmarks.copies FOLDER_OR_ZIP [--most 10000] [--planted 100] [--pairs pairs.png]

Copies of random images are made in each way, the whole is searched, and the planted pairs are
counted. Pairs among the originals are no errors by themselves: CIFAR-10 has many copies of its own.
`--pairs` draws those that are least alike, to be looked at.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from darkroom.decode.file import THUMBNAIL
from darkroom.index.copies import copies

Image = np.ndarray
SUFFIXES = {".jpg", ".jpeg", ".png"}


def jpeg(image: Image, quality: int) -> Image:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def scaled(image: Image, factor: float) -> Image:
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=way)


def cut(image: Image, left: float, top: float, right: float, bottom: float) -> Image:
    h, w = image.shape
    return image[round(top * h) : h - round(bottom * h), round(left * w) : w - round(right * w)]


WAYS: dict[str, Callable[[Image], Image]] = {
    "JPEG, quality 75": lambda i: jpeg(i, 75),
    "JPEG, quality 40": lambda i: jpeg(i, 40),
    "half the size": lambda i: scaled(i, 0.5),
    "twice the size": lambda i: scaled(i, 2),
    "brighter by 30 %": lambda i: cv2.convertScaleAbs(i, alpha=1.3),
    "darker by 30 %": lambda i: cv2.convertScaleAbs(i, alpha=0.7),
    "mirrored": lambda i: i[:, ::-1],
    "turned by 90°": lambda i: np.rot90(i),
    "turned and mirrored": lambda i: np.rot90(i, 3)[:, ::-1],
    "5 % cut, 2.5 % of each side": lambda i: cut(i, 0.025, 0.025, 0.025, 0.025),
    "5 % cut, of two sides": lambda i: cut(i, 0.05, 0.05, 0, 0),
    "5 % cut of each side": lambda i: cut(i, 0.05, 0.05, 0.05, 0.05),
    "5 % cut of two sides, mirrored, JPEG": lambda i: jpeg(cut(i, 0.05, 0.05, 0, 0)[:, ::-1], 75),
}


def small(image: Image) -> Image:
    return cv2.resize(image, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", help="a folder or a zip of images")
    parser.add_argument("--most", type=int, default=10_000, help="images, at random")
    parser.add_argument("--planted", type=int, default=100, help="copies of each kind")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", help="picture of the pairs among the originals to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(args.images)
        if root.is_file():
            with zipfile.ZipFile(root) as archive:
                archive.extractall(folder)
            root = Path(folder)
        paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        random = np.random.default_rng(0)
        chosen = [paths[i] for i in random.permutation(len(paths))[: args.most]]
        images = [np.asarray(cv2.imread(str(p), cv2.IMREAD_GRAYSCALE)) for p in chosen]
    n = len(images)
    thumbnails, sizes = [small(i) for i in images], [i.shape[::-1] for i in images]
    planted: dict[int, tuple[int, str]] = {}
    for way, change in WAYS.items():
        for i in random.permutation(n)[: args.planted]:
            made = np.ascontiguousarray(change(images[i]))
            planted[len(thumbnails)] = (int(i), way)
            thumbnails.append(small(made))
            sizes.append(made.shape[::-1])
    total = len(thumbnails)
    start, cpu = time.perf_counter(), time.process_time()
    rows, of, _, _, likeness = copies(
        np.array(thumbnails), np.array(sizes, np.int64), np.full(total, -1), np.ones(total, bool), args.threads
    )  # fmt: skip
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    name = dict(zip(rows.tolist(), of.tolist(), strict=True))
    print(f"{total:,} images: {wall:.1f} s, {cpu:.1f} s of CPU")
    print("| planted copy | found |\n|---|--:|")
    for way in WAYS:
        own = [name.get(k) == name.get(i, i) for k, (i, w) in planted.items() if w == way]
        print(f"| {way} | {np.mean(own):.3f} |")
    # A planted copy whose set holds an image that is no copy of its own would be a false one.
    among = [(a, b, x) for a, b, x in zip(rows, of, likeness, strict=True) if a < n]
    print(f"originals that are called a copy of another: {len(among)} of {n:,}")
    if args.pairs and among:
        among.sort(key=lambda pair: pair[2])
        tiles = [
            np.hstack([cv2.resize(images[k], (64, 64)) for k in pair[:2]]) for pair in among[:96]
        ]
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
        lines = [np.hstack(tiles[k : k + 8]) for k in range(0, len(tiles), 8)]
        cv2.imwrite(args.pairs, np.vstack(lines))


if __name__ == "__main__":
    main()
