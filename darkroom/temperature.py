"""One number that makes probabilities as sure as they are right (Guo et al., arXiv:1706.04599)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

WIDEST = 6.0  # of its logarithm


def learned(logits: Floats, truth: NDArray[np.integer[Any]]) -> float:
    """The temperature that logits are to be divided by, from rows that nothing was fitted to.

    It is the most probable one where its logarithm is normally distributed with deviation 1: rows
    that are all right, of which the likelihood alone would make it 0, then make it small.

    Parameters
    ----------
    logits : (N, K), or logarithms of probabilities.
    truth : (N,) classes.
    """
    z = np.asarray(logits, np.float64)
    own = z[np.arange(len(z)), truth]
    low, high = -WIDEST, WIDEST
    while high - low > 1e-9:  # where the slope of the loss by the logarithm changes its sign
        middle = (low + high) / 2
        heat = np.exp(middle)
        expected = (applied(z, heat) * z).sum(axis=1)
        if float((own - expected).sum()) / heat + middle < 0:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def applied(logits: Floats, temperature: float) -> NDArray[np.float64]:
    """(N, K) probabilities of logits at a temperature."""
    z = np.asarray(logits, np.float64) / temperature
    if not z.size:
        return z
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))
