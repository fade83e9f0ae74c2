"""How sure predictions are, and whether rightly so: calibration, sets of classes, abstention.

- `calibration_error`: see `metrics.calibration_error`. It is never negative, so luck alone makes it
  positive: about 0.03 of 500 rows whose probabilities are right. Its interval is of what remains
  without this luck: of the true errors that give so large or small a measured one, and may begin
  at 0.
- `aurc`: the area under the curve of risk against coverage (Geifman & El-Yaniv 2017, Neural
  Information Processing Systems 30): the mean over all shares of the most confident rows of the
  share that is wrong among them. `most_confident` is that curve, as accuracy.
- sets of classes: see `sets`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from darkroom import metrics
from darkroom.evaluate import intervals
from darkroom.evaluate.intervals import Bounds, Variance
from darkroom.evaluate.sums import LEAST_FOR_LOSS, Layout, Rates
from darkroom.features.predictions import SET_LEVEL

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

BINS = 10
DRAWS = 1000  # of the gaps of all bins
# The mean error of several runs is mostly luck where they have few rows: 0.92 of the intervals held.
LEAST_FOR_SEVERAL = 200
COVERAGES = np.arange(20, 0, -1) / 20
WITH_ENDS = ("calibration_error", "aurc", "set_coverage", "set_size")
COLUMNS = (
    *(f"{name}{end}" for name in WITH_ENDS[:2] for end in ("", "_low", "_high")),
    "set_level",
    "set_from",
    *(f"{name}{end}" for name in WITH_ENDS[2:] for end in ("", "_low", "_high")),
)


@dataclass(frozen=True)
class Doubt:
    """What the predictions of a run say of their own doubt, row by row.

    Attributes
    ----------
    group : (N,) code of each row's group, of the data set.
    confidence : (N,) probability of the predicted class.
    right : (N,) whether that is the true one.
    held : (N,) whether the set of classes holds the true one.
    size : (N,) classes in the set.
    set_from : probability from which on a class is in the set.
    """

    group: Codes
    confidence: Floats
    right: Flags
    held: Flags
    size: Floats
    set_from: float

    @classmethod
    def of(
        cls,
        truth: Codes,
        predicted: Codes,
        probabilities: NDArray[np.float32],
        group: Codes,
        set_from: float,
    ) -> Doubt:
        """Keep what is needed of predictions; parameters as those of `judged.judge`."""
        every = np.arange(len(truth))
        inside = probabilities >= np.float32(set_from)
        return cls(
            group=group,
            confidence=probabilities[every, predicted].astype(np.float64),
            right=truth == predicted,
            held=inside[every, truth],
            size=inside.sum(axis=1).astype(np.float64),
            set_from=set_from,
        )


def measured(
    runs: Sequence[Doubt], seeds: Sequence[object] = (), folds: Sequence[object] = ()
) -> dict[str, float]:
    """Measure runs together: means over these, but a share of all rows for `set_coverage`.

    Parameters
    ----------
    runs : of one model and classifier, at least one.
    seeds, folds : of each run; nothing: all alike.

    Returns
    -------
    A number for each of `COLUMNS`; NaN where an interval cannot be given.
    """
    layout = Layout.of(
        [run.group for run in runs], seeds or [0] * len(runs), folds or [0] * len(runs)
    )
    sizes = np.concatenate([run.size for run in runs])
    held = np.concatenate([run.held for run in runs])
    every, zero = np.arange(len(held)), np.zeros(len(held), np.int64)
    low, high = Rates.of(layout, every, zero, held, 1).ends()
    size, centred = float(sizes.mean()), (sizes - sizes.mean()) / len(sizes)
    risks = [risk(run) for run in runs]
    area = float(np.mean([value for value, _ in risks]))
    influence = [own + (value - area) / len(own) for value, own in risks]
    found = {
        "calibration_error": _calibration(layout, runs),
        "aurc": (area, *layout.positive(area, np.concatenate(influence) / len(runs))),
        "set_coverage": (float(held.mean()), float(low[0]), float(high[0])),
        "set_size": (size, *layout.positive(size, centred)),
    }
    out = {
        f"{name}{end}": value
        for name, values in found.items()
        for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
    out |= {"set_level": SET_LEVEL, "set_from": float(np.mean([run.set_from for run in runs]))}
    out["set_coverage_high"] = min(out["set_coverage_high"], 1.0)
    out |= {f"{name}_low": 0.0 for name in WITH_ENDS if out[f"{name}_low"] < 0}
    return {name: out[name] for name in COLUMNS}


def most_confident(
    runs: Sequence[Doubt], seeds: Sequence[object], folds: Sequence[object]
) -> list[dict[str, float]]:
    """Accuracy of the most confident part of each run's rows, for each of `COVERAGES`.

    Parameters
    ----------
    runs, seeds, folds : as those of `measured`.

    Returns
    -------
    Of each `coverage`: `images` (rows of all runs together), `confidence` (the least of a row, the
    mean over runs), and `accuracy` with its interval.
    """
    ordered = [np.argsort(-run.confidence, kind="stable") for run in runs]
    out = []
    for coverage in COVERAGES:
        kept = [own[: max(round(coverage * len(own)), 1)] for own in ordered]
        layout = Layout.of(
            [run.group[own] for run, own in zip(runs, kept, strict=True)], seeds, folds
        )
        right = np.concatenate([run.right[own] for run, own in zip(runs, kept, strict=True)])
        every, zero = np.arange(len(right)), np.zeros(len(right), np.int64)
        low, high = Rates.of(layout, every, zero, right, 1).ends()
        least = [run.confidence[own[-1]] for run, own in zip(runs, kept, strict=True)]
        out.append(
            {
                "coverage": float(coverage),
                "images": len(right),
                "confidence": float(np.mean(least)),
                "accuracy": float(right.mean()),
                "accuracy_low": max(float(low[0]), 0.0),
                "accuracy_high": min(float(high[0]), 1.0),
            }
        )
    return out


def risk(run: Doubt) -> tuple[float, Floats]:
    """The area under the curve of risk against coverage, and the influence of each row on it.

    Rows of equal confidence enter in no order: each counts as the mean of them.
    """
    n = len(run.right)
    order = np.argsort(-run.confidence, kind="stable")
    wrong = (~run.right[order]).astype(np.float64)
    _, tie = np.unique(-run.confidence[order], return_inverse=True)
    level = (np.bincount(tie, wrong) / np.bincount(tie))[tie]
    rank = np.arange(1, n + 1)
    risks = level.cumsum() / rank
    value = float(risks.mean())
    later, owed = (1 / rank)[::-1].cumsum()[::-1], (risks / rank)[::-1].cumsum()[::-1]
    influence = np.empty(n)
    influence[order] = (risks - value + wrong * later - owed) / n
    return value, influence


def _calibration(layout: Layout, runs: Sequence[Doubt]) -> tuple[float, float, float]:
    """The mean calibration error of some runs, and its bounds.

    Of each bin of each run the gap is a sum over rows, so the gaps of all bins are normally
    distributed about the true ones, with the covariance of sums over groups. Drawn is what error
    they would give if the true gaps had the shape of the measured ones; or, for the upper bound,
    if they were as large in all bins as luck makes them there, of which the least is seen.
    """
    r = len(runs)
    each = [metrics.calibration_error(run.confidence, run.right, BINS) for run in runs]
    value = float(np.mean(each))
    if layout.groups < (LEAST_FOR_LOSS if r == 1 else LEAST_FOR_SEVERAL):
        return value, np.nan, np.nan
    n = np.array([len(run.right) for run in runs], np.int64)
    of_run = np.repeat(np.arange(r), n)
    sure = np.concatenate([run.confidence for run in runs])
    off = (sure - np.concatenate([run.right for run in runs])) / (r * n[of_run])
    column = of_run * BINS + np.clip((sure * BINS).astype(np.int64), 0, BINS - 1)
    gap = np.asarray(np.bincount(column, off, r * BINS), np.float64)
    covariance = _covariance(layout, column, off, of_run, n, gap)
    noise = _noise(covariance)

    def error(shape: Floats, tail: float, noise: Floats) -> float:
        """The error of true gaps of a shape, of which the measured error is below with this probability."""
        shape = shape / max(abs(shape).sum(), 1e-300)
        low, high = 0.0, 1.0
        if (abs(noise).sum(axis=0) <= value).mean() <= tail:
            return 0.0
        for _ in range(30):
            middle = (low + high) / 2
            below = (abs(middle * shape[:, None] + noise).sum(axis=0) <= value).mean()
            low, high = (middle, high) if below > tail else (low, middle)
        return low

    tail, sign = (1 - intervals.LEVEL) / 2, np.sign(gap)
    even = sign * np.sqrt(np.maximum(np.diag(covariance), 0))
    wide = noise
    if r > 1:
        # The mean over runs keeps what luck adds to each, but not how this varies. So it counts
        # that a bin of few rows may be all right by chance: they vary as their probabilities say,
        # alike for all starts.
        by_chance = np.bincount(column, sure * (1 - sure) / (r * n[of_run]) ** 2, r * BINS)
        unseen = np.sqrt(np.maximum(by_chance - np.diag(covariance), 0))
        same = np.kron(layout.fold_of_run[:, None] == layout.fold_of_run, np.eye(BINS))
        wide = _noise(covariance + np.outer(unseen, unseen) * same)
    low = error(gap, 1 - tail, wide)
    high = max(value, error(gap, tail, noise), error(even, tail, noise))
    test = float(sign @ covariance @ sign)
    others = _others(layout, np.array(each), covariance, sign, test)
    bounds = Bounds(np.array([low]), np.array([high]), np.array([np.inf]))
    lows, highs = intervals.widened(np.array([value]), bounds, np.array([test]), others)
    least = round(float(lows[0]), 12)  # 0 is told from what rounding leaves of it
    return value, max(0.0, least), min(float(highs[0]), 1.0)  # max(-0.0, 0.0) would be -0.0


def _noise(covariance: Floats) -> Floats:
    """(B, DRAWS) normally distributed errors of gaps, half of them the other half's negatives."""
    scale, turn = np.linalg.eigh(covariance)
    noise = turn * np.sqrt(np.maximum(scale, 0))
    noise = noise @ np.random.default_rng(0).normal(size=(len(scale), DRAWS // 2))
    return np.concatenate([noise, -noise], axis=1)


def _covariance(
    layout: Layout, column: Codes, off: Floats, of_run: Codes, n: Codes, gap: Floats
) -> Floats:
    """(R·B, R·B) covariance of the gaps: the jackknife over groups of sums less their expectation."""
    every, r = np.arange(len(off)), len(n)
    sums = layout.table(every, column, off, len(gap))
    share = layout.table(every, of_run, 1 / n[of_run], r)  # of each run's rows
    left = 1 - np.bincount(layout.group, minlength=layout.groups) / len(off)
    weight = sparse.diags_array(1 / left)
    sums, share = weight @ sums, weight @ share
    expected = np.zeros((r, len(gap)))
    expected[np.repeat(np.arange(r), BINS), np.arange(len(gap))] = gap
    cross = (sums.T @ share).toarray() @ expected
    within: Any = expected.T @ (share.T @ share).toarray() @ expected
    return np.asarray((sums.T @ sums).toarray() - cross - cross.T + within)


def _others(
    layout: Layout, each: Floats, covariance: Floats, sign: Floats, test: float
) -> list[Variance]:
    """Variances of the random starts and of the training images, as `Layout.others` has them."""
    out, s, f = [], layout.seeds, layout.folds
    if s > 1:
        means = [each[layout.seed_of_run == i].mean() for i in range(s)]
        signed = (sign[:, None] * covariance * sign).reshape(len(each), BINS, len(each), BINS)
        one = np.einsum("ibic->i", signed).mean() * len(each) ** 2 / f
        rows = np.array([max((one - test) / (s - 1), 0)])
        out.append(Variance(np.array([np.var(means, ddof=1) / s]), rows, s - 1))
    if f > 1:
        means = [each[layout.fold_of_run == i].mean() for i in range(f)]
        left = max(float(np.var(means, ddof=1)) - f * test, 0) * (1 / f + 1 / (f - 1))
        out.append(Variance(np.array([left]), 0.0, f - 1))
    return out
