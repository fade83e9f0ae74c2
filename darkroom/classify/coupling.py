"""Probabilities of several classes from those of each pair of them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from sklearn.linear_model import LogisticRegression

LEAST = 1e-7  # probability of either class of a pair


def sigmoids(values: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Platt's sigmoid of each pair's decision values, with targets that are never 0 or 1.

    Platt 1999, "Probabilistic outputs for support vector machines", section 2.2.

    Parameters
    ----------
    values : (N, pairs) decision values, positive for the first class of a pair.
    truth : (N,) class codes 0 … K-1.
    classes : K.

    Returns
    -------
    (pairs, 2) slope and intercept; the sigmoid of slope · value + intercept is the probability of
    the first class.
    """
    out = []
    for p, (i, j) in enumerate(combinations(range(classes), 2)):
        own = (truth == i) | (truth == j)
        first = truth[own] == i
        n, m = int(first.sum()), int((~first).sum())
        target = np.where(first, (n + 1) / (n + 2), 1 / (m + 2))
        x = np.tile(values[own, p : p + 1], (2, 1))
        y = np.repeat([1, 0], len(target))
        fitted = LogisticRegression(C=1e6).fit(x, y, np.concatenate([target, 1 - target]))
        out.append((fitted.coef_[0, 0], fitted.intercept_[0]))
    return np.array(out)


def coupled(values: np.ndarray, sigmoid: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities that agree best with those of all pairs.

    Wu, Lin and Weng 2004, Journal of Machine Learning Research 5:975, second method.

    Parameters
    ----------
    values : (N, pairs) decision values. sigmoid : (pairs, 2), see `sigmoids`. classes : K.

    Returns
    -------
    (N, K) float64.
    """
    k, z = classes, np.clip(values * sigmoid[:, 0] + sigmoid[:, 1], -30, 30)
    of_first = np.clip(1 / (1 + np.exp(-z)), LEAST, 1 - LEAST)
    pair = np.zeros((len(values), k, k))  # [n, i, j]: probability of i where it is i or j
    for p, (i, j) in enumerate(combinations(range(k), 2)):
        pair[:, i, j], pair[:, j, i] = of_first[:, p], 1 - of_first[:, p]
    # the least sum of (pair[j, i] p_i − pair[i, j] p_j)², where the p add up to 1
    system = np.zeros((len(values), k + 1, k + 1))
    system[:, :k, :k] = -pair * pair.transpose(0, 2, 1)
    each = np.arange(k)
    system[:, each, each] = (pair**2).sum(axis=1) + 1e-12
    system[:, :k, k] = system[:, k, :k] = 1
    right = np.zeros((len(values), k + 1, 1))
    right[:, k] = 1
    found = np.clip(np.linalg.solve(system, right)[:, :k, 0], LEAST, 1)
    return np.asarray(found / found.sum(axis=1, keepdims=True))
