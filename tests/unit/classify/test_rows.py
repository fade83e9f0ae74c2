"""Samples of rows."""

import numpy as np

from darkroom.classify.rows import stratified_sample


def test_sample_has_the_size_asked_and_every_class():
    label = np.repeat([0, 1, 2, 3], [1000, 2, 1, 1])
    for n in (4, 5, 10, 999, 1003):
        chosen = stratified_sample(label, n, 0)
        assert len(chosen) == len(set(chosen)) == n
        assert set(label[chosen]) == {0, 1, 2, 3}
        assert (np.diff(chosen) > 0).all()
