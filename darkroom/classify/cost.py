"""Estimates of the time, cores and rows of a fit. Called at start-up, so it imports nothing slow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.classify.kinds import CALIBRATED, CALIBRATION_FOLDS, trees
from darkroom.machine.units import rough_duration

# Seconds of one fit of scikit-learn's SVC on one core: FACTOR · rows² · (features + CONSTANT).
# Measured with the defaults on standardised features of a network's form (a 2-core machine;
# rows × features, classes: seconds where classes overlap little, so that the accuracy is 0.92 …
# more, 0.72 … most, 0.48): 4,000 × 250, 10: 0.4, 0.8, -; 8,000 × 250, 10: 1.7, 4.3, 7.5;
# 16,000 × 250, 10: 5.4, 17, 33; 32,000 × 250, 10: -, 54, -; 32,000 × 64, 10: -, 26, -;
# 8,000 × 1,000, 10: 5.5, -, 29; 20,000 × 250, 2: -, 35, 46. That is 0.8 to 4.6 · 10⁻¹⁰; the
# number of classes and libsvm's cache (200 MB or 1 GB) mattered little.
FACTOR, CONSTANT = 2.5e-10, 30
SENSIBLE = 1800.0
# A fit and those of its calibration, counted in fits to all rows: an SVM takes the square of the rows.
FITS = 1 + CALIBRATION_FOLDS * (1 - 1 / CALIBRATION_FOLDS) ** 2


@dataclass(frozen=True)
class Forecast:
    """Expected seconds of a fit on one core (None: unknown), and a warning or None."""

    seconds: float | None
    message: str | None


def forecast(
    kind: str,
    rows: int,
    features: int,
    *,
    max_rows: int | None = None,
    memory_mb: int | None = None,
) -> Forecast:
    """Expected time of a fit, and a warning where it is long or uses a sample of the rows.

    Parameters
    ----------
    kind : kind of the classifier.
    rows : number of training rows, variants included.
    features : features per row.
    max_rows : the classifier's setting.
    memory_mb : the classifier's setting; None: all rows fit.

    Returns
    -------
    Seconds for `svm` (calibration included; within a factor of three), else None; a message
    above half an hour, or where not all rows fit in `memory_mb`.
    """
    used, sample = min(rows, max_rows or rows), None
    if memory_mb is not None and used > (fit := rows_that_fit(features, memory_mb)):
        reason = too_many(used, features, memory_mb)
        used, sample = fit, f"{reason}: it is fitted to a sample of {fit:,} of them"
    if kind != "svm":
        return Forecast(None, sample)
    seconds = _svm_seconds(used, features)
    if seconds <= SENSIBLE:
        return Forecast(seconds, sample)
    few = max(100, _round_down(math.sqrt(SENSIBLE / 3 / FACTOR / (features + CONSTANT) / FITS)))
    return Forecast(
        seconds,
        f"a kernel SVM on {used:,} rows of {features} features takes about {rough_duration(seconds)}"
        f" on one core; use kind: linear_svm or "
        f"logistic_regression, whose time grows with the rows and not with their square, or "
        f"max_rows: {few} (a sample; about {rough_duration(_svm_seconds(few, features))})",
    )


def work(kind: str, settings: Mapping[str, Any], max_rows: int | None = None) -> float:
    """Rough seconds of a fit on one core, before the data are known; jobs get cores in proportion.

    It assumes 50,000 rows of 250 features: with fewer rows a wrong share costs little. A forest
    of 300 trees took 100 s on these, logistic regression and the neighbours of 10,000 rows 7 s.

    Parameters
    ----------
    kind : kind of the classifier.
    settings : settings of its scikit-learn estimator.
    max_rows : the classifier's setting.
    """
    rows, features = min(max_rows or 50_000, 50_000), 250
    if kind == "svm":
        return _svm_seconds(rows, features)
    if kind == "random_forest":
        return 2.7e-8 * trees(settings) * rows * math.log2(max(rows, 2)) * math.sqrt(features)
    return 1.4e-4 * rows * (FITS if kind in CALIBRATED else 1)


def rows_that_fit(features: int, memory_mb: int) -> int:
    """Rows of float32 features that fit in `memory_mb` (10^6 bytes), at least one."""
    return max(1, int(memory_mb / (4e-6 * features)))


def too_many(rows: int, features: int, memory_mb: int) -> str:
    """Why not all rows are used: the start or the end of a sentence."""
    return (
        f"the {rows:,} training rows of {features} features take {4e-6 * rows * features:,.0f} MB, "
        f"more than memory_mb ({memory_mb:,})"
    )


def _svm_seconds(rows: float, features: int) -> float:
    """One fit of a kernel SVM and those of its calibration, on one core."""
    return FACTOR * rows**2 * (features + CONSTANT) * FITS


def _round_down(value: float) -> int:
    step = 10 ** max(0, int(math.log10(max(value, 1))) - 1)
    return int(value // step * step)
