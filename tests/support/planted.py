"""A data set of two classes that nothing tells apart but what is planted, as the stages prepare it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from darkroom.audit.sample import Sample, draw
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.images.prepare import prepare_images
from darkroom.index.copies import find_copies
from darkroom.index.manifest import index_files
from darkroom.sources.download import download_source
from darkroom.split.plan import split_rows

SIDE = 72
CLASSES = ("cat", "dog")


def _line(image: np.ndarray) -> np.ndarray:
    image[:, 0] = 250
    return image


def _tag(image: np.ndarray) -> np.ndarray:
    image[5:17, 5:17] = 250
    return image


# What is done to the pictures of dogs, and how the file is named and written.
PLANTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, list[int]]] = {
    "nothing": (lambda image: image, "{}.png", []),
    "size": (lambda image: cv2.resize(image, (96, SIDE)), "{}.png", []),
    "format": (lambda image: image, "{}.bmp", []),
    "quality": (lambda image: image, "{}.jpg", [cv2.IMWRITE_JPEG_QUALITY, 80]),
    "border": (_line, "{}.png", []),
    "brightness": (lambda image: cv2.add(image, np.full_like(image, 40)), "{}.png", []),
    "tag": (_tag, "{}.png", []),
    "source": (lambda image: image, "scanner-{}.png", []),
}


def texture(random: np.random.Generator) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: soft random patches of about one brightness."""
    soft: np.ndarray = cv2.GaussianBlur(random.normal(0, 1, (SIDE, SIDE, 3)), (0, 0), 4)
    tint, noise = random.normal(0, 6, 3), random.normal(0, 2, soft.shape)
    made: np.ndarray = np.clip(120 + 300 * soft + tint + noise, 0, 255).astype(np.uint8)
    return made


def write(folder: Path, plant: str, n: int, seed: int) -> None:
    """Write class folders of n pictures each."""
    random = np.random.default_rng(seed)
    change, name, options = PLANTS[plant]
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for i in range(n):
            image, to = texture(random), name.format(i)
            quality = plant == "quality"
            if label == "cat":
                options_of, to = (
                    ([cv2.IMWRITE_JPEG_QUALITY, 92], to) if quality else ([], f"{i}.png")
                )
            else:
                image, options_of = change(image), options
            assert cv2.imwrite(str(folder / label / to), image, options_of)


def sample(root: Path, plant: str, *, n: int = 120, seed: int = 0) -> Sample:
    """Take a data set to its prepared images, and draw the sample of the audit.

    Parameters
    ----------
    root : folder to write in.
    """
    write(root / "pictures", plant, n, seed)
    made = Settings.load(
        {
            "run": {"datasets": ["pets"], "models": ["cnn"]},
            "datasets": {
                "pets": {
                    "source": str(root / "pictures"),
                    "view": {"size": SIDE},
                    "split": {"test": 0.4, "seed": seed},
                }
            },
            "models": {"cnn": {"layers": ["flatten"]}},
        }
    )
    view = next(iter(made.views_of("pets")))
    paths = [str(root / name) for name in ("source.json", "manifest.parquet", "splits.parquet")]

    def cfg(stage: str) -> dict[str, object]:
        return stage_settings(made, stage, {"dataset": "pets", "view": view})

    source, manifest, splits = paths
    download_source(source, cfg=cfg("download_source"))  # type: ignore[arg-type]
    thumbnails, copies, table = (str(root / n) for n in ("t.npy", "copies.parquet", "copies.csv"))
    index_files(source, manifest, thumbnails, cfg=cfg("index_files"), threads=1)  # type: ignore[arg-type]
    find_copies(manifest, thumbnails, copies, table=table, cfg=cfg("find_copies"), threads=1)  # type: ignore[arg-type]
    split_rows(manifest, copies, splits, indices=str(root / "c.json"), cfg=cfg("split_rows"))  # type: ignore[arg-type]
    images = str(root / "images.h5")
    prepare_images(source, manifest, images, cfg=cfg("prepare_images"))  # type: ignore[arg-type]
    return draw(manifest, splits, images, source)
