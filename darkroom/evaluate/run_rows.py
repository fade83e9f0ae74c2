"""What a run predicted of a part, as far as scores need it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from darkroom import metrics

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class RunRows:
    """What a run predicted of a part, as far as scores need it.

    Attributes
    ----------
    group : (N,) code of each row's group, of the data set.
    truth, predicted : (N,) classes.
    losses : log loss and Brier score, (N,) each.
    area : (K,) area under the ROC curve of each class.
    area_variance : (K,) by groups.
    area_influence : (N,) of each row on the overall area.
    smooth_influence : (N,) the same as two normal distributions would have it: by the rank of a row
        among those of its class, whether it is misplaced or not.
    classes : K.
    """

    group: Codes
    truth: Codes
    predicted: Codes
    losses: dict[str, Floats]
    area: Floats
    area_variance: Floats
    area_influence: Floats
    smooth_influence: Floats
    classes: int

    @classmethod
    def of(
        cls, truth: Codes, predicted: Codes, probabilities: NDArray[np.float32], group: Codes
    ) -> RunRows:
        """Keep what scores need of predictions; probabilities are not kept.

        Parameters
        ----------
        truth, predicted, group : (N,).
        probabilities : (N, K).
        """
        n, k = probabilities.shape
        _, own = np.unique(group, return_inverse=True)
        groups = int(own.max(initial=-1)) + 1
        areas, variances, influence = np.full(k, np.nan), np.full(k, np.nan), np.zeros(n)
        smooth = np.zeros(n)
        for c in range(1, 2) if k == 2 else range(k):
            mine = truth == c
            if not mine.any() or mine.all():
                continue
            odds = metrics.rest_odds(probabilities, c)
            place = metrics.placements(mine, odds)
            areas[c] = place[mine].mean()
            share = np.where(mine, 1 / mine.sum(), 1 / (~mine).sum())
            # divided so that their squares sum to the variance without bias
            with np.errstate(divide="ignore", invalid="ignore"):
                pull = (place - areas[c]) * share / np.sqrt(1 - share)
            variances[c] = (np.bincount(own, pull, minlength=groups) ** 2).sum()
            influence += pull
            distance = 2**0.5 * special.ndtri(np.clip(areas[c], 0.5 / n, 1 - 0.5 / n))
            for one, sign in ((mine, 1), (~mine, -1)):
                of = int(one.sum())
                normal = special.ndtri(metrics.ranks(odds[one]) / (of + 1))
                place = special.ndtr(distance + sign * normal)
                smooth[one] += (place - place.mean()) / of
        if k == 2:
            areas[0], variances[0] = areas[1], variances[1]
        else:
            influence /= max(int((~np.isnan(areas)).sum()), 1)
        return cls(
            group=group,
            truth=truth,
            predicted=predicted,
            losses={
                "log_loss": metrics.log_losses(truth, probabilities),
                "brier": metrics.brier_scores(truth, probabilities),
            },
            area=areas,
            area_variance=variances,
            area_influence=influence,
            smooth_influence=smooth,
            classes=k,
        )
