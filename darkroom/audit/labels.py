"""Labels that are likely wrong, by predictions of a classifier that did not learn from them.

Confident learning (Northcutt, Jiang and Chuang 2021, Journal of Artificial Intelligence Research
70:1373): a row is in doubt where another class is more probable than its own, and at least as probable
as that class is, on average, for rows with its label. The classifier is a strongly regularised logistic
regression on one feature set, so that a wrong label among its rows moves it little.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from darkroom.audit.outliers import glance, outliers
from darkroom.images.features_file import open_features
from darkroom.machine import disk, parquet_file
from darkroom.split.assign import deal
from darkroom.split.splits import read_splits
from darkroom.temperature import applied

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MOST = 10_000
"""Rows that are checked, of each class its share."""
MOST_OUTLIERS = 100
"""Outliers that are listed."""
FOLDS = 5
STRENGTH = 10.0
"""Inverse regularisation, over the rows: C of scikit-learn is this divided by their number."""


class CheckLabels(TypedDict):
    """Settings of the stage."""

    dataset: str


def check_labels(
    features: str, splits: str, thumbnails: str, *, labels: str, cfg: CheckLabels
) -> None:
    """Write the rows whose labels are in doubt, the most doubtful first, and the outliers.

    Parameters
    ----------
    features : of one feature set. splits, thumbnails : of the same data set.
    labels : the Parquet file to write; see docs/formats.md.
    cfg : settings.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    split = read_splits(splits)
    table = split.table.sort_values("row")
    opened = open_features(features)
    own = np.flatnonzero((opened.variant == 0) & np.isin(opened.row, table["row"]))
    _, label = split.lookup(opened.row[own], split.folds[0])
    y = label.astype(np.int64)
    if len(own) > MOST:
        from darkroom.classify.rows import stratified_sample  # with scikit-learn: two seconds

        kept = stratified_sample(y, MOST, 0)
        own, y = own[kept], y[kept]
    rows = opened.row[own]
    at = np.searchsorted(table["row"].to_numpy(), rows)
    _, group = np.unique(table["group"].to_numpy().astype(str)[at], return_inverse=True)
    x = opened.features[own]
    p = held_out(x, y, group, len(split.classes))
    suggested, margin = doubtful(p, y)
    order = np.argsort(margin, kind="stable")
    order = order[suggested[order] >= 0]
    n = np.arange(len(y))
    out = pa.table(
        {
            "row": rows[order],
            "label": [split.classes[c] for c in y[order]],
            "suggested": [split.classes[c] for c in suggested[order]],
            "p_label": p[n, y][order],
            "p_suggested": p[n, np.maximum(suggested, 0)][order],
        }
    )
    by_features = opened.made.get("kind") == "backbone"
    far, unlikeness = outliers(
        x if by_features else glance(np.load(thumbnails, mmap_mode="r")[rows])
    )
    listed = [
        {"row": int(rows[i]), "unlikeness": float(unlikeness[i])} for i in far[:MOST_OUTLIERS]
    ]
    about = json.dumps({"rows": len(rows), "of": len(table), "features": opened.name,
                        "learned": opened.made.get("kind") == "network",
                        "disagree": float((p.argmax(axis=1) != y).mean()),
                        "outliers": listed, "far": len(far), "by_features": by_features})  # fmt: skip
    with disk.whole(labels) as part:
        pq.write_table(out.replace_schema_metadata({"darkroom": about}), part)
    log.info(
        "%s: %d of %d labels are in doubt; %d images are unlike all others",
        cfg["dataset"], len(order), len(rows), len(far),
    )  # fmt: skip


def held_out(
    x: NDArray[np.float32], y: NDArray[np.int64], group: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """(N, K) probabilities of each row by a classifier that learned from other folds; 0 without any.

    Parameters
    ----------
    x : (N, D) features. y : (N,) classes. group : (N,) codes: a group is in one fold.
    k : number of classes.
    """
    p = np.zeros((len(y), k))
    count = np.bincount(y, minlength=k)
    folds = min(FOLDS, len(np.unique(group)), int(count.max()))
    want = count[:, None] // folds + (np.arange(folds) < count[:, None] % folds)
    order = np.random.default_rng(0).permutation(len(y)).astype(np.uint64)
    fold = deal(group.astype(np.int64), y, want, order)
    for i in range(folds):
        train, rest = fold != i, fold == i
        known, code = np.unique(y[train], return_inverse=True)
        if len(known) < 2 or not rest.any():
            continue
        middle, spread = x[train].mean(axis=0), x[train].std(axis=0)
        spread[spread == 0] = 1
        weights = learned((x[train] - middle) / spread, code, len(known))
        p[np.ix_(rest, known)] = probabilities((x[rest] - middle) / spread, weights)
    return p


def learned(x: NDArray[np.float32], y: NDArray[np.int64], k: int) -> NDArray[np.float32]:
    """Logistic regression, as scikit-learn's of C = `STRENGTH` / N, which takes two seconds to import.

    Parameters
    ----------
    x : (N, D) standardised features. y : (N,) classes. k : number of classes, each with a row.

    Returns
    -------
    (D + 1, K) weights, the intercepts last.
    """
    from scipy.optimize import minimize

    n, share = np.arange(len(y)), STRENGTH / len(y)
    penalty = 2 if k == 2 else 1  # scikit-learn has one weight for two classes, which are opposite

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        w = flat.reshape(-1, k)
        p = probabilities(x, w.astype(np.float32))
        value = -share * np.log(np.maximum(p[n, y], 1e-300)).sum()
        p[n, y] -= 1
        slope = np.vstack([x.T @ p.astype(np.float32), p.sum(axis=0)]) * share
        slope[:-1] += penalty * w[:-1]
        return float(value + penalty * (w[:-1] ** 2).sum() / 2), slope.ravel()

    start = np.zeros((x.shape[1] + 1) * k)
    enough = {"maxiter": 300, "gtol": 1e-4 * STRENGTH}  # of the slope, as scikit-learn's
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=enough)
    return np.asarray(found.x.reshape(-1, k), np.float32)


def probabilities(x: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, K) probabilities by weights that `learned` gave."""
    return applied(x @ weights[:-1] + weights[-1], 1.0)


def doubtful(
    p: NDArray[np.float64], y: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class that each row more likely is of.

    Parameters
    ----------
    p : (N, K) held-out probabilities. y : (N,) labels.

    Returns
    -------
    suggested : (N,) class, -1 where the label is not in doubt.
    margin : (N,) probability of the label less that of the suggested class.
    """
    n, k = np.arange(len(y)), p.shape[1]
    usual = np.array([p[y == c, c].mean() if (y == c).any() else np.inf for c in range(k)])
    others = np.where(p >= usual, p, 0.0)
    others[n, y] = 0
    best = others.argmax(axis=1)
    margin = p[n, y] - others[n, best]
    return np.where(margin < 0, best, -1), margin


def read_labels(path: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """The rows in doubt; `rows` that were checked, `of` how many, by which `features`; `outliers`."""
    table = parquet_file.read(path)
    about: dict[str, object] = json.loads((table.schema.metadata or {})[b"darkroom"])
    return table.replace_schema_metadata(None).to_pandas(), about
