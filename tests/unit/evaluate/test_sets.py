"""Sets of classes hold the true one as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.evaluate import sets


def drawn(n: int, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and their probabilities, which are right and then sharpened."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 2, (n, k))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) < random.random((n, 1))).sum(axis=1).clip(max=k - 1)
    p = p**3 / (p**3).sum(axis=1, keepdims=True)  # too sure
    return truth, p.astype(np.float32)


def test_new_rows_have_their_class_in_the_set_as_often_as_it_says() -> None:
    """On average over 95 %, and by no more than one row in a hundred validation rows."""
    shares = []
    for seed in range(200):
        least = sets.limit(*drawn(99, 4, seed))
        truth, p = drawn(200, 4, 1000 + seed)
        shares.append((p >= np.float32(least))[np.arange(200), truth].mean())
    assert 0.945 < np.mean(shares) < 0.965


def test_the_limit_is_a_rank_of_the_validation_rows() -> None:
    p = np.stack([np.arange(1, 40) / 40, 1 - np.arange(1, 40) / 40], axis=1)
    assert sets.limit(np.zeros(39, np.int64), p) == pytest.approx(2 / 40)  # 5 % of 40
    assert sets.limit(np.zeros(18, np.int64), p[:18]) == 0  # too few rows: every class
