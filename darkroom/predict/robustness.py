"""The stage that measures how well the best model does on images that were made worse."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError
from darkroom.evaluate.comparisons import difference
from darkroom.evaluate.judged import Groups
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import pooled
from darkroom.evaluate.tables import write_table
from darkroom.features.predictions import decide
from darkroom.images.store import Images, open_images
from darkroom.machine.progress import progress
from darkroom.models import beside, trained
from darkroom.models.trained import Opened, Trained
from darkroom.predict.corruptions import STRENGTHS, VALUES, corrupted
from darkroom.predict.unseen import batch_of
from darkroom.split.splits import Splits, read_splits

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MOST = 1000  # test images, a sample of them where there are more
NOTHING = "none"  # the same images, unchanged


class MeasureRobustness(TypedDict):
    """Settings of the stage: the data set's name."""

    dataset: str


def measure_robustness(
    output: str,
    *,
    thresholds: str,
    splits: str,
    images: str | Sequence[str],
    cfg: MeasureRobustness,
    threads: int,
) -> None:
    """Predict test images with noise, blur, less contrast and so on by the data set's best model.

    In a cross-validation it is the model of the fold that the validation images rank first, on the test
    images of that fold. What is changed are the pixels that the model sees, after resizing.

    Parameters
    ----------
    output : `robustness.parquet` to write, and beside it the same as CSV; see docs/formats.md.
    thresholds : `thresholds.parquet`, beside `summary` and `metrics`.
    splits : `splits.parquet`.
    images : `images/{view}.h5` of every view.
    cfg : settings.
    threads : cores to use.

    Raises
    ------
    UserError
        There are no test images, or a model is missing or damaged.
    """
    results = str(Path(thresholds).parent)
    model = trained.best(results).each[0]
    threshold, _ = beside.threshold(thresholds, model) or (0.5, "")
    views = [images] if isinstance(images, str) else images  # Snakemake gives one file as a string
    opened = next(one for one in map(open_images, views) if one.view == model.view)
    split = read_splits(splits)
    at, truth, group = _rows(opened, split, model.run.fold)
    if not len(at):
        raise UserError(
            f"{cfg['dataset']}: robustness is measured on test images, and {model.run.fold} has none: set "
            "split.test, or leave robustness out"
        )
    ask = model.open(threads)
    kinds = [(NOTHING, 0), *((kind, strength) for kind in VALUES for strength in STRENGTHS)]
    lines: list[dict[str, Any]] = []
    clean: NDArray[np.bool_] | None = None
    with progress(f"{cfg['dataset']}: robustness", len(kinds) * len(at), "images") as bar:
        for kind, strength in kinds:
            p, unlike = _predict(ask, opened, at, kind, strength)
            called = decide(p, threshold).astype(np.int64)
            right = called == truth
            clean = right if clean is None else clean
            scores = pooled([RunRows.of(truth, called, p, group)])
            line: dict[str, Any] = {"kind": kind, "strength": strength, "images": len(at)}
            for metric in ("accuracy", "balanced_accuracy"):
                low, high = scores.ends[metric]
                line |= {metric: scores.value[metric], f"{metric}_low": low, f"{metric}_high": high}
            line |= _less(right, clean, truth, group)
            line["confidence"] = float(p[np.arange(len(p)), called].mean())
            line["unlike"] = float(np.mean(unlike >= ask.limit)) if unlike is not None else np.nan
            lines.append(line)
            bar.update(len(at))
    _write(output, lines, model)
    worst = max(lines[1:], key=lambda line: -line["accuracy"])
    log.info(
        "%s: %s reaches %.3f on %d test images, and at worst %.3f (%s of strength %d)",
        cfg["dataset"], model.name, lines[0]["accuracy"], len(at), worst["accuracy"], worst["kind"],
        worst["strength"],
    )  # fmt: skip


def _rows(
    images: Images, split: Splits, fold: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Places of the test images in their file, their classes and groups; at most `MOST`."""
    part, label = split.lookup(images.row, fold)
    at = np.flatnonzero((part == "test") & (images.variant == 0))
    if len(at) > MOST:
        at = np.sort(np.random.default_rng(0).permutation(at)[:MOST])
    group = Groups.of(split).of_rows(images.row[at], "test", fold) if len(at) else at
    return at, label[at].astype(np.int64), group


def _predict(
    ask: Opened, images: Images, at: NDArray[np.int64], kind: str, strength: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """(N, K) probabilities and the (N,) unlikeness of images that were made worse."""
    parts, unlike = [], []
    _, height, width, channels = images.images.shape
    size = batch_of((height, width, channels))
    for start in range(0, len(at), size):
        places = at[start : start + size]
        pixels = np.stack([np.asarray(images.images[i], np.uint8) for i in places])
        if kind != NOTHING:
            pixels = np.stack(
                [
                    corrupted(image, kind, strength, int(images.row[i]))
                    for image, i in zip(pixels, places, strict=True)
                ]
            )
        p, u = ask.both(pixels)
        parts.append(p)
        unlike.append(u)
    found = [u for u in unlike if u is not None]
    return np.concatenate(parts), np.concatenate(found) if found else None


def _less(
    right: NDArray[np.bool_],
    clean: NDArray[np.bool_],
    truth: NDArray[np.int64],
    group: NDArray[np.int64],
) -> dict[str, float]:
    """The balanced accuracy less that of the unchanged images, with its interval: of the same images."""
    import pandas as pd

    about = pd.DataFrame({"class": truth, "group": group, "fold": ""})
    found = difference(pd.Series(right), pd.Series(clean), about, None)
    assert found is not None
    return {"change": found.mean, "change_low": found.low, "change_high": found.high}


def _write(output: str, lines: list[dict[str, Any]], model: Trained) -> None:
    import pandas as pd

    table: pd.DataFrame = pd.DataFrame(lines)
    table.attrs["model"] = model.name
    write_table(output, table)
