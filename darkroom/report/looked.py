"""The section of heat maps: where the model looked at images that it got wrong, and right.

The model is the one that new pictures are predicted by, with folds that of the best fold on its own
images. Each part of an image in turn is covered (`darkroom.models.heat`): the more that lowers the
probability of the predicted class, the more the model looked there. It asks the model alone, so it
serves networks and classifiers alike.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate.ranking import best_runs
from darkroom.images import store
from darkroom.models import heat, trained
from darkroom.report import drawing
from darkroom.report.drawing import plain
from darkroom.report.results import Results
from darkroom.report.sheets import SIDE, Sheet, fit, sheet, thumbnail
from darkroom.report.words import number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MOST_WRONG, MOST_RIGHT = 6, 18
EACH = 2  # images of a class that were right, where there are few classes
FINEST = 8  # parts along a side
LEAST, MOST = 4e10, 1.5e12  # multiplications for all maps: about 1.5 and 60 seconds of a core
NOTHING = 0.005  # a fall up to this rounds to 0.00
FULL = 0.05  # the least fall that is drawn in full colour: less is hardly anything
BATCH = 32_000_000  # bytes of the images that the model is asked about at a time
SHARE = 0.05  # of what the model takes for all images of the data set
INK = np.array([213, 94, 0], np.float64)  # `drawing.VERMILION`


@dataclass(frozen=True)
class Look:
    """An image, what it was taken for, and where the model looked.

    Attributes
    ----------
    path, truth, predicted : of the image.
    confidence : probability of the predicted class.
    pixels : (H, W, C) uint8, as the model saw them.
    fall : (n, n) float32, by how much covering a part lowers that probability.
    """

    path: str
    truth: str
    predicted: str
    confidence: float
    pixels: NDArray[np.uint8]
    fall: NDArray[np.float32]

    @property
    def most(self) -> float:
        """The largest fall."""
        return float(self.fall.max())

    @property
    def place(self) -> str:
        """Where the largest fall is, in words."""
        n = len(self.fall)
        row, column = np.unravel_index(int(self.fall.argmax()), self.fall.shape)
        down = ("upper", "middle", "lower")[min(int(3 * (row + 0.5) / n), 2)]
        across = ("left", "centre", "right")[min(int(3 * (column + 0.5) / n), 2)]
        return "centre" if (down, across) == ("middle", "centre") else f"{down} {across}"


@dataclass(frozen=True)
class Looked:
    """The heat maps of one model; `why` there are none, where that is so."""

    model: str = ""
    wrong: Sequence[Look] = ()
    right: Sequence[Look] = ()
    why: str = "No model was opened."


def look(results: Results, page: str, models: Sequence[str], views: Sequence[str]) -> Looked:
    """Open the model that predicts new pictures, and cover its images part by part.

    Parameters
    ----------
    page : path of the report, in the folder of the results.
    models : the files of all models and of what they read, as they stand in `results` and `data`.
    views : image files, among them the one that the model learned from.
    """
    runs = [] if results.choice is None else best_runs(results.metrics, results.choice.key)
    if not runs:
        return Looked(why="Nothing was evaluated.")
    run = runs[0]
    file = trained.file_of(
        str(Path(page).parent), run["fold"], run["feature_set"], run["classifier"]
    )
    if file not in models:
        return Looked()
    p = results.predictions
    own = (p["fold"] == run["fold"]) & (p["feature_set"] == run["feature_set"])
    own &= (p["classifier"] == run["classifier"]) & (p["part"] == results.part)
    model = trained.find(file)
    seen = next((i for i in map(store.open_images, views) if i.view == model.view), None)
    if seen is None:
        return Looked(why="The images that the model learned from are not there.")
    began, ask = time.monotonic(), model.open(1)
    chosen = choose(p[own], len(results.split.classes))
    cost = model.multiplications(int(np.prod(seen.images.shape[1:3])))
    found = heat_maps(ask, cost, seen, chosen, results)
    log.info("%d heat maps of %s in %.1f s", len(found), model.name, time.monotonic() - began)
    if chosen.empty:
        return Looked(model.name, why="It predicted nothing.")
    if not found:
        return Looked(model.name, why="The model is too slow here for heat maps.")
    return Looked(
        model.name,
        [one for one in found if one.truth != one.predicted],
        [one for one in found if one.truth == one.predicted],
        "",
    )


def choose(predicted: pd.DataFrame, classes: int) -> pd.DataFrame:
    """The rows to look at: the surest that were wrong, then of each class some in the middle of the right.

    Parameters
    ----------
    predicted : rows of one run, with `row`, `class`, `predicted`, `confidence`.
    classes : how many there are; of many, a part that is spread evenly.
    """
    import pandas as pd

    order = predicted.sort_values(["confidence", "row"], ascending=[False, True], kind="stable")
    hit = order["class"] == order["predicted"]
    found = [order[~hit].head(MOST_WRONG)]
    each = max(1, min(EACH, MOST_RIGHT // classes))
    for k in np.unique(np.linspace(0, classes - 1, min(classes, MOST_RIGHT)).round()):
        own = order[hit & (order["class"] == k)]
        middle = np.linspace(0, len(own) - 1, each + 2)[1:-1].round().astype(int)
        found.append(own.iloc[np.unique(middle)] if len(own) else own)
    return pd.concat(found)


def heat_maps(
    ask: trained.Opened, cost: float, seen: store.Images, chosen: pd.DataFrame, results: Results
) -> list[Look]:
    """A heat map of each chosen row, or of the first of them where the model is slow.

    What is drawn depends on counts alone, so that a busy machine draws the same.

    Parameters
    ----------
    ask : the model. cost : its multiplications for an image.
    seen : images as it sees them. chosen : rows of `choose`.
    """
    if chosen.empty:
        return []
    originals = np.flatnonzero(seen.variant == 0)
    at = originals[np.searchsorted(seen.row[originals], chosen["row"])]
    one = np.asarray(seen.images[at[0]])
    limit = min(MOST, max(LEAST, SHARE * cost * len(originals)))
    shown, side = len(at), 0
    while shown and not (side := heat.grid(cost, limit / shown, one.shape, FINEST)):
        shown //= 2
    rows = max(1, BATCH // max(1, side * one.nbytes))
    names, found = results.split.classes, []
    for place, row in zip(at[:shown], chosen.head(shown).to_dict("records"), strict=True):
        pixels, predicted = np.asarray(seen.images[place]), int(row["predicted"])
        fall = heat.occlusion(ask, pixels, predicted, side, rows=rows)
        assert fall is not None  # no time is set
        found.append(
            Look(
                str(results.paths.get(row["row"], "")),
                names[int(row["class"])],
                names[predicted],
                float(row["confidence"]),
                pixels,
                fall,
            )
        )
    return found


def marked(one: Look) -> NDArray[np.uint8]:
    """The image in grey, its parts the more orange the more the model looked there.

    Returns
    -------
    (h, w, 3) uint8.
    """
    shown = fit(one.pixels, SIDE).astype(np.float64)
    (height, width), n = one.pixels.shape[:2], len(one.fall)
    parts = []
    for size, drawn in ((height, shown.shape[0]), (width, shown.shape[1])):
        edges = np.linspace(0, size, n + 1).round()[1:-1]
        parts.append(np.searchsorted(edges, np.arange(drawn) * size / drawn, side="right"))
    opacity = 0.75 * (one.fall / max(one.most, FULL))[np.ix_(*parts)][:, :, None]
    grey = (shown @ [0.299, 0.587, 0.114])[:, :, None]
    return np.asarray((1 - opacity) * grey + opacity * INK, np.uint8)


def section(results: Results) -> dict[str, Any]:
    """Each image, and beside it where the model looked."""
    looked = results.looked or Looked()
    return {
        "model": looked.model,
        "why": looked.why,
        "groups": [
            (heading, [_shown(one) for one in found])
            for heading, found in (("Misclassified", looked.wrong), ("Right", looked.right))
            if found
        ],
    }


def _shown(one: Look) -> dict[str, Any]:
    where = f"most at the {one.place}" if one.most > NOTHING else "no single part decides"
    return {
        "look": one,
        "where": where,
        "fell": number(one.most, 2) if one.most > NOTHING else "",
        "images": [
            thumbnail(one.pixels, f"{one.path}: {one.truth}", shown=SIDE),
            thumbnail(marked(one), f"Where the model looked in it: {where}", shown=SIDE),
        ],
    }


def figure(results: Results) -> Figure:
    """Pairs of images in rows, with their classes below."""
    looked = results.looked or Looked()
    found = [*looked.wrong, *looked.right]
    if not found:
        return drawing.in_words(looked.why)
    images, words = [], []
    for one in found:
        images += [fit(one.pixels, SIDE), marked(one)]
        words += [
            f"is {plain(one.truth, 20)}\npredicted {plain(one.predicted, 16)}",
            f"at {number(one.confidence, 2)}\nby covering −{number(one.most, 2)}",
        ]
    at = range(0, len(images), 6)
    return sheet(
        Sheet([("", images[i : i + 6]) for i in at], captions=[words[i : i + 6] for i in at]), SIDE
    )
