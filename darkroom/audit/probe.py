"""How well the classes can be told by what a check finds, beside chance.

A small forest (extremely randomised trees: Geurts, Ernst and Wehenkel 2006, Machine Learning 63:3)
learns from the training rows and is judged on the rows that judge the models, of all folds together.
Chance is a permutation test: the labels of the judged rows are exchanged, and the predictions, which
never saw them, are scored anew. Images of a group stay together: the groups of the labels are laid
end to end in another order than those of the predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom import metrics
from darkroom.audit.check import GIVEN_AWAY, Check, Found
from darkroom.audit.sample import Sample
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import pooled

if TYPE_CHECKING:
    import pandas as pd

PERMUTATIONS = 999
TREES = 100
LEAST_ROWS = 10  # judged rows of a class and of the rest, below which no property gives it away

Codes = NDArray[np.int64]


def judge(check: Check, seen: pd.DataFrame, sample: Sample) -> Found | None:
    """Train and judge the classifiers.

    Parameters
    ----------
    check : that saw.
    seen : its columns, of the rows of the sample.

    Returns
    -------
    None where all rows are alike, or no row is judged.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.tree import DecisionTreeClassifier

    x = seen.to_numpy(np.float32)
    differ = (x != x[:1]).any(axis=0)
    x, properties = x[:, differ], [str(name) for name in seen.columns[differ]]
    k = len(sample.classes)
    folds = [(a, b) for a, b in sample.folds if len(a) and len(b)]
    if not properties or not folds or k < 2:
        return None
    judged = np.concatenate([test for _, test in folds])
    truth, group = sample.label[judged], sample.group[judged]
    runs, importance = [], np.zeros(len(properties))
    forest = ExtraTreesClassifier(
        TREES, min_samples_leaf=2, class_weight="balanced", random_state=0, n_jobs=1
    )
    for train, test in folds:
        forest.fit(x[train], sample.label[train])
        p = np.zeros((len(test), k), np.float32)
        p[:, forest.classes_] = forest.predict_proba(x[test])
        y = sample.label[test]
        runs.append(RunRows.of(y, p.argmax(axis=1), p, sample.group[test]))
        importance += forest.feature_importances_
    scores = pooled(runs, folds=range(len(runs)))
    predicted = np.concatenate([run.predicted for run in runs])
    value = scores.value["balanced_accuracy"]
    low, high = scores.ends["balanced_accuracy"]
    order = _Orders(group)
    null = order.of(lambda y: _balanced(y, predicted, k), truth)
    each = one_by_one(truth, predicted, k)
    told = int(np.nanargmax(each))
    by = dict.fromkeys(properties, 0.0)
    for name, share in zip(properties, importance, strict=True):
        by[name] += float(share)
    found: dict[str, Any] = {
        "check": check.name,
        "part": sample.part,
        "images": len(judged),
        "balanced_accuracy": value,
        "low": low,
        "high": high,
        "chance": 1 / k,
        "null": float(np.quantile(null, 0.95)),
        "p": _p(null, value),
        "by": max(by, key=lambda name: by[name]),
        "told": sample.classes[told],
        "others": sample.classes[1 - told] if k == 2 else "",
    }
    if check.alone:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=2 * k + 8, min_samples_leaf=3, class_weight="balanced", random_state=0
        )
        single = []
        for j in range(x.shape[1]):
            said = [tree.fit(x[a][:, [j]], sample.label[a]).predict(x[b][:, [j]]) for a, b in folds]
            single.append(np.concatenate(said))
        enough = _enough(truth, group, k)
        best = np.array([np.where(enough, one_by_one(truth, s, k), 0.0) for s in single])
        column, of_class = np.unravel_index(int(np.nanargmax(best)), best.shape)
        alone = float(best[column, of_class])
        luck = order.of(
            lambda y: max(
                float(np.nanmax(np.where(enough, one_by_one(y, s, k), 0.0))) for s in single
            ),
            truth,
            few=alone < GIVEN_AWAY,
        )
        found |= {
            "alone": alone,
            "alone_property": properties[int(column)],
            "alone_class": sample.classes[of_class],
            "others": sample.classes[1 - int(of_class)] if k == 2 else "",
            "alone_p": _p(luck, alone),
        }
        if k == 2:
            found["told"] = found["alone_class"]
    return Found(**found)


def one_by_one(truth: Codes, predicted: Codes, k: int) -> NDArray[np.float64]:
    """(K,) balanced accuracy of each class against the rest; NaN where either has no row."""
    counts = metrics.confusion(truth, predicted, k).astype(np.float64)
    right, own, called, n = np.diag(counts), counts.sum(1), counts.sum(0), counts.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        out = (right / own + (n - own - called + right) / (n - own)) / 2
    return np.asarray(out)


def _balanced(truth: Codes, predicted: Codes, k: int) -> float:
    counts = np.bincount(truth, minlength=k)
    right = np.bincount(truth[truth == predicted], minlength=k)
    return float((right[counts > 0] / counts[counts > 0]).mean())


def _enough(truth: Codes, group: Codes, k: int) -> NDArray[np.bool_]:
    """(K,) whether the class and the rest have enough groups to be judged."""
    groups = [len(np.unique(group[truth == c])) for c in range(k)]
    rest = [len(np.unique(group[truth != c])) for c in range(k)]
    return np.minimum(groups, rest) >= LEAST_ROWS


def _p(null: NDArray[np.float64], value: float) -> float:
    """Probability of at least the value by chance (Phipson and Smyth 2010, SAGMB 9:39)."""
    return float((1 + (null >= value - 1e-12).sum()) / (1 + len(null)))


class _Orders:
    """Permutations of labels that keep groups together."""

    def __init__(self, group: Codes) -> None:
        self.start = np.argsort(group, kind="stable")
        _, self.count = np.unique(group, return_counts=True)

    def of(
        self, score: Callable[[Codes], float], truth: Codes, *, few: bool = False
    ) -> NDArray[np.float64]:
        """Scores of permuted labels; few of them where nothing depends on their tail."""
        random = np.random.default_rng(0)
        ends = np.cumsum(self.count)
        out = []
        for _ in range(99 if few else PERMUTATIONS):
            if len(self.count) == len(truth):
                out.append(score(random.permutation(truth)))
                continue
            orders = []
            for _ in range(2):
                groups = random.permutation(len(ends))
                size = self.count[groups]
                first = np.repeat((ends - self.count)[groups], size)
                within = np.arange(len(truth)) - np.repeat(np.cumsum(size) - size, size)
                orders.append(self.start[first + within])
            permuted = np.empty_like(truth)
            permuted[orders[0]] = truth[orders[1]]
            out.append(score(permuted))
        return np.array(out)
