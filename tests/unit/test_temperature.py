from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax

from darkroom import temperature


@pytest.mark.parametrize("true", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("k", [2, 5])
def test_the_temperature_of_a_network_is_found(true: float, k: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, k))
    p = temperature.applied(logits, 1.0)
    truth = (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    assert temperature.learned(true * logits, truth) == pytest.approx(true, rel=0.04)
    shifted = log_softmax(true * logits, axis=1)  # of probabilities too
    assert temperature.learned(shifted, truth) == pytest.approx(true, rel=0.04)


def test_few_rows_that_are_all_right_do_not_make_it_certain() -> None:
    logits, truth = np.tile([2.0, 0.0], (10, 1)), np.zeros(10, int)
    found = temperature.learned(logits, truth)
    assert 0.2 < found < 0.9
    assert temperature.learned(np.tile(logits, (100, 1)), np.zeros(1000, int)) < found / 1.5


def test_no_rows_change_nothing() -> None:
    assert temperature.learned(np.zeros((0, 3)), np.zeros(0, int)) == pytest.approx(1, abs=1e-3)
