"""The section of the map of features: images that the features make alike lie side by side.

t-SNE of the features (van der Maaten and Hinton 2008, Journal of Machine Learning Research 9:2579),
each of length 1, from their first 50 principal components. Two principal components alone would
tear neighbours apart: of the 10 nearest images of each digit 87 % then show the same digit, with
t-SNE and in the features themselves 99 %.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.images.features_file import open_features
from darkroom.report import drawing, tsne
from darkroom.report.curves import COLORS
from darkroom.report.results import Results
from darkroom.report.sheets import fit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST, FEWEST = 400, 10  # images on the map
VALUES = 20_000_000  # of the features that are read
COMPONENTS = 50
NAMED = (
    len(COLORS) - 2
)  # classes with a colour where not all have one: the rest is grey, crosses black
CELL, COLUMNS = 64, 20  # pixels of a thumbnail, thumbnails in a row of the picture that has all
HIGH = 5.2  # inches of the figure
AXES = (0.01, 0.01, 0.98, 0.98)  # left, bottom, width, height, as shares of the figure


@dataclass(frozen=True)
class FeatureMap:
    """Where each image lies.

    Attributes
    ----------
    features : the feature set. row : (N,) of the manifest, the misclassified ones first.
    of : how many images there are of the reported part.
    place : (N, 2) in 0..1. label : (N,) class. predicted : (N,) class, -1 where it is not known.
    """

    features: str
    row: NDArray[np.int64]
    of: int
    place: NDArray[np.float64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(N,) which ones are misclassified."""
        return np.asarray((self.predicted >= 0) & (self.predicted != self.label))


def feature_map(results: Results, features: str) -> FeatureMap | None:
    """The map of a sample of the reported part of the first fold; None of hardly any images.

    Parameters
    ----------
    features : path of a feature set that has the images of that fold.
    """
    opened, split = open_features(features), results.split
    table = split.table[split.table[split.folds[0]] == results.part]
    at = np.flatnonzero((opened.variant == 0) & np.isin(opened.row, table["row"]))
    most = min(MOST, max(FEWEST, VALUES // opened.features.shape[1]))
    of = len(at)
    at = np.sort(np.random.default_rng(0).permutation(at)[:most])
    if len(at) < FEWEST:
        return None
    label = table.set_index("row")["class"].loc[opened.row[at]].to_numpy(np.int64)
    predicted = _predicted(results, opened.row[at])
    place = projected(np.asarray(opened.features[at], np.float32))
    order = np.argsort((predicted < 0) | (predicted == label), kind="stable")
    return FeatureMap(
        opened.name, opened.row[at][order], of, place[order], label[order], predicted[order]
    )


def _predicted(results: Results, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What each row was taken for by what is reported: wrongly by any run, if by one."""
    if results.reported is None:
        return np.full(len(rows), -1, np.int64)
    p = results.predicted(results.reported)
    p = p[p["fold"] == results.split.folds[0]]
    wrong = (p["class"] != p["predicted"]).to_numpy()
    first = p.iloc[np.argsort(~wrong, kind="stable")].drop_duplicates("row").set_index("row")
    return np.asarray(first["predicted"].reindex(rows, fill_value=-1), np.int64)


def projected(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 2) places in 0..1 of (N, D) features; alike ones lie side by side."""
    from threadpoolctl import threadpool_limits

    x = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    x = x - x.mean(axis=0)
    with threadpool_limits(1):  # the same sums each time; more threads gain nothing of so few rows
        # The components of N rows by an N × N matrix: D may be far larger.
        value, vector = np.linalg.eigh(x @ x.T)
        components = (vector * np.sqrt(np.maximum(value, 0)))[:, ::-1][:, :COMPONENTS]
        # A vector's sign is arbitrary: the largest number of each is to be positive.
        largest = components[np.abs(components).argmax(axis=0), range(components.shape[1])]
        components = components * np.sign(largest)
        start = components[:, :2] / max(float(components[:, 0].std()), 1e-9) * 1e-4
        found = tsne.embedded(components, start, min(30, (len(x) - 1) / 3))
    low, high = found.min(axis=0), found.max(axis=0)
    return np.asarray((found - low) / np.maximum(high - low, 1e-9))


def _classes(found: FeatureMap) -> list[int]:
    """The classes that have a colour: the most frequent ones."""
    k = np.bincount(found.label)
    there = np.count_nonzero(k)
    return sorted(
        np.argsort(-k, kind="stable")[: there if there <= len(COLORS) else NAMED].tolist()
    )


def section(results: Results) -> dict[str, Any] | None:
    """Places and words of the points, and their thumbnails; None where there is no map."""
    found = results.feature_map
    if found is None:
        return None
    names = results.split.classes
    left, bottom, width, height = AXES
    points = []
    for row, (x, y), label, predicted in zip(
        found.row, _inside(found.place), found.label, found.predicted, strict=True
    ):
        words = f"{results.paths.get(row, '')}: {names[label]}"
        if predicted >= 0 and predicted != label:
            words += f", predicted {names[predicted]}"
        points.append((f"{left + width * x:.4f}", f"{1 - bottom - height * y:.4f}", words))
    return {
        "features": found.features,
        "points": points,
        "of": found.of,
        "wrong": int(found.wrong.sum()),
        "drawn": len(_classes(found)),
        "classes": len(np.unique(found.label)),
        **_thumbnails(results, found.row),
    }


def _thumbnails(results: Results, rows: Sequence[int] | NDArray[np.int64]) -> dict[str, Any]:
    """One picture with the thumbnails of all points, `COLUMNS` a row, as the address of its data."""
    from PIL import Image

    images = [results.image(int(row)) for row in rows]
    largest = max((max(i.shape[:2]) for i in images if i is not None), default=1)
    cell = min(CELL, largest)
    tall = -(-len(images) // COLUMNS) * cell
    canvas = np.full((tall, COLUMNS * cell, 3), 255, np.uint8)
    for n, image in enumerate(images):
        if image is not None:
            small = fit(image, cell, pixelated=0)
            h, w = small.shape[:2]
            y, x = n // COLUMNS * cell + (cell - h) // 2, n % COLUMNS * cell + (cell - w) // 2
            canvas[y : y + h, x : x + w] = small
    kind, buffer = ("png" if cell < CELL else "jpeg"), io.BytesIO()
    Image.fromarray(canvas).save(buffer, kind, **({} if kind == "png" else {"quality": 75}))
    data = base64.b64encode(buffer.getvalue()).decode()
    return {
        "sheet": f"data:image/{kind};base64,{data}",
        "columns": COLUMNS,
        "pixels": cell <= 48,
    }


def _inside(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places with a margin for the marks."""
    return 0.03 + 0.94 * place


def figure(results: Results) -> Figure:
    """A point an image, with its class as colour and name; a cross where it was misclassified."""
    from matplotlib import patheffects
    from matplotlib.figure import Figure

    found = results.feature_map
    if found is None:
        return drawing.in_words(
            f"There are fewer than {FEWEST} images to be mapped, or no features."
        )
    figure = Figure(figsize=(drawing.WIDTH, HIGH))
    axis = figure.add_axes(AXES)
    axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    place, named = _inside(found.place), _classes(found)
    colors = dict(zip(named, COLORS[: len(named)], strict=True))
    halo = [patheffects.withStroke(linewidth=2.5, foreground=drawing.PAPER)]
    for k in np.unique(found.label):
        own = found.label == k
        axis.scatter(
            place[own, 0], place[own, 1], s=14, lw=0, color=colors.get(k, drawing.GRAY), alpha=0.75
        )
    if found.wrong.any():
        axis.scatter(
            place[found.wrong, 0],
            place[found.wrong, 1],
            s=46,
            marker="x",
            lw=1.3,
            color=drawing.INK,
        )
    for k in named:
        x, y = np.median(place[found.label == k], axis=0)
        axis.text(
            x, y, drawing.plain(results.split.classes[k], 20), ha="center", va="center",
            size=9, weight="bold", path_effects=halo,
        )  # fmt: skip
    return figure
