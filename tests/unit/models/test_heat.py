from __future__ import annotations

import numpy as np
import pytest

from darkroom.models import heat


def test_the_heat_lies_where_the_class_is_decided() -> None:
    def ask(pixels: np.ndarray) -> np.ndarray:
        bright = pixels[:, :4, :4].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1)

    pixels = np.zeros((16, 16, 1), np.uint8)
    pixels[:4, :4] = 255
    found = heat.occlusion(ask, pixels, 1, 4)
    assert found is not None
    assert np.unravel_index(found.argmax(), found.shape) == (0, 0)
    assert found[0, 0] == pytest.approx(1 - 16 / 255, abs=0.01)
    assert found.sum() == pytest.approx(found[0, 0])
    assert np.array_equal(heat.occlusion(ask, pixels, 1, 4, rows=3), found)
    assert heat.occlusion(ask, pixels, 1, 4, 0.0) is None


def test_the_heat_stays_within_its_limit() -> None:
    assert heat.grid(0.001, 1.0, (224, 224, 3)) == 12
    assert heat.grid(0.02, 1.0, (224, 224, 3)) == 7
    assert heat.grid(0.1, 1.0, (224, 224, 3)) == 0
    assert heat.grid(0.001, 1.0, (8, 8, 1)) == 8
    assert heat.grid(0.001, 1.0, (224, 224, 3), finest=8) == 8
