"""t-SNE keeps neighbours, as scikit-learn's does, and gives the same places each time."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness

from darkroom.report import tsne


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """150 digits, and places to begin with."""
    x = load_digits().data[:150]
    _, _, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return x, (x - x.mean(axis=0)) @ axes[:2].T * 1e-5


def test_neighbours_are_kept_as_well_as_by_scikit_learn(digits: tuple[np.ndarray, ...]) -> None:
    x, start = digits
    theirs = TSNE(2, perplexity=20, init=start.astype(np.float32), max_iter=500).fit_transform(x)
    ours = tsne.embedded(x, start, 20)
    assert trustworthiness(x, ours) > trustworthiness(x, theirs) - 0.01
    assert trustworthiness(x, ours) > trustworthiness(x, start) + 0.05
    assert np.array_equal(ours, tsne.embedded(x, start, 20))


def test_neighbours_are_of_the_own_group() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) + np.repeat(np.eye(5)[:3] * 30, 20, axis=0)
    y = tsne.embedded(x, rng.normal(size=(60, 2)) * 1e-4, 8)
    distance = ((y[:, None] - y) ** 2).sum(axis=2)
    nearest = np.argsort(distance, axis=1)[:, 1:6]
    assert (nearest // 20 == np.arange(60)[:, None] // 20).mean() > 0.97


def test_equal_rows_have_places_too() -> None:
    start = np.random.default_rng(0).normal(size=(12, 2)) * 1e-4
    assert np.isfinite(tsne.embedded(np.ones((12, 3)), start, 3)).all()
