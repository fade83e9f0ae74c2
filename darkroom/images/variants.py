"""Stored variants of prepared images.

Variants are made before any split. A variant inherits the part of its parent, and is used only
where that is training.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, TypedDict

import cv2
import numpy as np

from darkroom.errors import UserError
from darkroom.images import store
from darkroom.images.joined import forget
from darkroom.images.resize import channel_sums
from darkroom.images.rows import given_as
from darkroom.machine import workers

log = logging.getLogger(__name__)

Filter = Callable[[np.ndarray, np.random.Generator], np.ndarray]


# ---------------------------------------------------------------- intensity filters


def power_law(image: np.ndarray, gamma: float, scale: float = 1.0) -> np.ndarray:
    """scale · 255 · (image/255)^gamma, rounded and saturating; (H, W, C) uint8 in and out.

    Gamma below 1 lightens dark parts; 0.4 and 0.55 are published settings for chest X-rays.
    """
    value = scale * 255 * (np.arange(256) / 255) ** gamma
    table = np.clip(np.rint(value), 0, 255).astype(np.uint8)
    return np.asarray(table[image])


def mean(image: np.ndarray, size: int = 3) -> np.ndarray:
    """Mean filter of size × size pixels; (H, W, C) uint8 in and out."""
    blurred = cv2.blur(image, (size, size), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred).reshape(image.shape)


def high_boost(image: np.ndarray, amount: float = 3.0, size: int = 3) -> np.ndarray:
    """High-boost sharpening: image + amount · (image − its mean); (H, W, C) uint8 in and out.

    The arithmetic saturates. The uint8 arithmetic of the original tutorial wraps instead:
    bright edges turn black and flat parts turn to noise.
    """
    source = image.astype(np.float32)
    blurred = cv2.blur(source, (size, size), borderType=cv2.BORDER_REFLECT_101)
    sharp = source + amount * (source - np.asarray(blurred).reshape(image.shape))
    return np.clip(np.rint(sharp), 0, 255).astype(np.uint8)


def canny(image: np.ndarray, low: int = 50, high: int = 225) -> np.ndarray:
    """Canny sharpening: image + edges (255 on an edge), saturating; (H, W, C) uint8 in and out.

    The edges are those of the grey image (Canny 1986, doi:10.1109/TPAMI.1986.4767851). In the
    original tutorial r + 3·255 wraps to r − 3, so its edges nearly vanish; here they are white.
    """
    gray = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    edges = np.asarray(cv2.Canny(gray, low, high)).reshape(*image.shape[:2], 1)
    return np.asarray(np.maximum(image, edges))  # r + 255 saturates to 255, r + 0 is r


# ---------------------------------------------------------------- geometric filters


def flip(image: np.ndarray, direction: str = "horizontal") -> np.ndarray:
    """Mirror left and right (`horizontal`) or top and bottom (`vertical`)."""
    return image[:, ::-1] if direction == "horizontal" else image[::-1]


def warp(image: np.ndarray, matrix: np.ndarray, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Transform an image linearly about its centre, with a reflected border.

    Parameters
    ----------
    image : (H, W, C) uint8.
    matrix : (2, 2), maps an offset (x, y) from the centre.
    shift : (x, y) in pixels, added after it.

    Returns
    -------
    (H, W, C) uint8.
    """
    height, width = image.shape[:2]
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre - matrix @ centre + np.asarray(shift)
    moved = cv2.warpAffine(
        np.ascontiguousarray(image),
        np.column_stack([matrix, offset]),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(moved).reshape(image.shape)


def rotate(image: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    """Rotate by an angle drawn from ±degrees."""
    angle = np.deg2rad(random.uniform(-degrees, degrees))
    turn = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return warp(image, np.array(turn))


def zoom(image: np.ndarray, fraction: float, random: np.random.Generator) -> np.ndarray:
    """Scale by a factor drawn from 1 ± fraction."""
    return warp(image, np.eye(2) * random.uniform(1 - fraction, 1 + fraction))


def shift(image: np.ndarray, fraction: float, random: np.random.Generator) -> np.ndarray:
    """Move by up to ± fraction of the width and of the height."""
    x, y = random.uniform(-fraction, fraction, 2)
    return warp(image, np.eye(2), (x * image.shape[1], y * image.shape[0]))


def shear(image: np.ndarray, fraction: float, random: np.random.Generator) -> np.ndarray:
    """Move each line sideways by up to ± fraction of its distance from the middle line."""
    return warp(image, np.array([[1, random.uniform(-fraction, fraction)], [0, 1]]))


# ---------------------------------------------------------------- variants of a data set


def variants_of(settings: list[dict[str, dict[str, Any]]]) -> list[tuple[str, Filter]]:
    """Name and filter of each variant: one per entry, or `copies` of a random filter.

    Parameters
    ----------
    settings : single-key mappings, e.g. `{"power_law": {"gamma": 0.4, "scale": 1.0}}`.
    """
    by_value: dict[str, Callable[..., np.ndarray]] = {
        "power_law": power_law,
        "mean": mean,
        "high_boost": high_boost,
        "canny": canny,
        "flip": flip,
    }
    random = {"rotate": rotate, "zoom": zoom, "shift": shift, "shear": shear}
    out: list[tuple[str, Filter]] = []
    copies: Counter[str] = Counter()
    for entry in settings:
        ((kind, spec),) = entry.items()
        if kind in by_value:
            out.append((_name(kind, spec), _fixed(by_value[kind], spec)))
            continue
        (amount,) = (v for k, v in spec.items() if k != "copies")
        for _ in range(spec["copies"]):
            name = f"{kind} {amount:g}"
            copies[name] += 1
            out.append((f"{name} #{copies[name]}", _drawn(random[kind], amount)))
    return out


def _name(kind: str, spec: dict[str, Any]) -> str:
    words = {k: v if isinstance(v, str) else f"{v:g}" for k, v in spec.items()}
    if kind == "power_law":
        scale = "" if spec["scale"] == 1 else f" scale {words['scale']}"
        return f"power_law gamma {words['gamma']}{scale}"
    if kind == "canny":
        return f"canny {words['low']}-{words['high']}"
    if kind == "high_boost":
        return f"high_boost {words['amount']} size {words['size']}"
    return f"{kind} {' '.join(words.values())}"


def _fixed(function: Callable[..., np.ndarray], spec: dict[str, Any]) -> Filter:
    return lambda image, _: function(image, **spec)


def _drawn(function: Callable[..., np.ndarray], amount: float) -> Filter:
    return lambda image, random: function(image, amount, random)


class AugmentImages(TypedDict):
    """What the stored variants of images are made by.

    Attributes
    ----------
    dataset : name of the data set.
    variants : single-key mappings of a filter to its settings.
    labels : source labels that get variants; None: all.
    seed : of the random filters.
    given : `use`: rows given as test get no variants; `ignore`: all rows get them; a mapping:
        rows whose part becomes test get none.
    """

    dataset: str
    variants: list[dict[str, dict[str, Any]]]
    labels: list[str] | None
    seed: int
    given: str | dict[str, str]


def augment_images(
    images: str, manifest: str, output: str, *, cfg: AugmentImages, threads: int = 1
) -> None:
    """Make the variants of prepared images, each with its parent's row.

    Rows given as test get none, as only variants of training rows are used. The random seed of
    a variant is (seed, row, number of the variant), so it depends neither on other images nor
    on the number of threads.

    Parameters
    ----------
    images : prepared images.
    manifest : manifest.parquet.
    output : the file to write.
    cfg : the settings.
    threads : worker processes.

    Raises
    ------
    UserError
        No image has one of `labels`, or the disk is full.
    """
    source = store.open_images(images)
    filters = [function for _, function in variants_of(cfg["variants"])]
    names = ["original", *(name for name, _ in variants_of(cfg["variants"]))]
    wanted = np.ones(len(source), bool)
    if cfg["given"] != "ignore":
        becomes = {part: part for part in ("train", "validation", "test")}
        if not isinstance(cfg["given"], str):
            becomes |= cfg["given"]
        tests = {part for part, to in becomes.items() if to == "test"}
        wanted &= ~given_as(manifest, tests)[source.row]
    if cfg["labels"] is not None:
        if missing := sorted(set(cfg["labels"]) - set(source.labels)):
            raise UserError(
                f"augment.classes: no image has the label {missing[0]!r}; "
                f"there are: {', '.join(source.labels)}"
            )
        wanted &= np.isin(source.label, [source.labels.index(x) for x in cfg["labels"]])
    parents = np.flatnonzero(wanted)
    number, each = np.arange(1, len(filters) + 1), len(filters)
    shape = source.images.shape[1:]
    cv2.setNumThreads(1)

    with store.images_writer(
        output,
        (shape[0], shape[1], shape[2]),
        np.repeat(source.row[parents], each),
        np.tile(number, len(parents)),
        np.repeat(source.label[parents], each),
        labels=source.labels,
        view=source.view,
        dataset=source.dataset,
        variants=names,
        decode=source.decode,
    ) as draft:

        def work(start: int, stop: int) -> None:
            block = (start * each, stop * each)
            made = np.asarray(draft.map("images", *block))
            first = np.asarray(draft.map("mean", *block))
            square = np.asarray(draft.map("mean_square", *block))
            chosen = parents[start:stop]  # may be far apart: read only these
            k = 0
            for parent, image in zip(chosen, np.asarray(source.images[chosen]), strict=True):
                for variant, function in enumerate(filters, 1):
                    draw = np.random.default_rng([cfg["seed"], int(source.row[parent]), variant])
                    made[k] = function(image, draw)
                    first[k], square[k] = channel_sums(made[k])
                    k += 1
            forget(source.images)

        if filters:
            size = workers.block_size(len(parents), int(np.prod(shape)) * each, threads)
            workers.in_blocks(work, len(parents), block=size, threads=threads, what="augment")
    log.info("made %d variants of %d images in %s", each * len(parents), len(parents), output)
