"""How unlike a picture is to all that a model learned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom import unlikeness
from darkroom.errors import UserError


def rows(n: int, seed: int, direction: int) -> np.ndarray:
    """Features near an axis, of any length."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 0.1, (n, 16))
    x[:, direction] += 1
    return np.asarray(x * random.uniform(1, 5, (n, 1)), np.float32)


def known(training: np.ndarray, validation: np.ndarray) -> unlikeness.Known | None:
    return unlikeness.known(
        training, np.arange(len(training)), validation, np.arange(len(validation)), 0
    )


def test_it_is_the_angle_to_the_fifth_nearest() -> None:
    training = np.eye(8, dtype=np.float32)[[0, 0, 0, 0, 0, 1]] * 3
    found = known(training, training[:1])
    assert found is not None
    angle = np.float32([[1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 9, 0, 0, 0, 0, 0]])
    assert found.of(angle) == pytest.approx([1 - 2**-0.5, 1], abs=1e-3)


def test_one_in_a_hundred_like_the_training_images_is_called_unlike_and_others_are() -> None:
    found = known(rows(1000, 0, 0), rows(400, 1, 0))
    assert found is not None
    assert (found.of(rows(400, 1, 0)) >= found.limit).mean() == pytest.approx(0.01, abs=0.003)
    assert (found.of(rows(4000, 2, 0)) >= found.limit).mean() < 0.03
    assert (found.of(rows(100, 3, 5)) >= found.limit).all()


def test_the_sample_is_bounded_and_of_originals() -> None:
    x = np.vstack([rows(3000, 0, 0), rows(3000, 0, 1)])
    found = unlikeness.known(x, np.arange(3000), rows(100, 1, 0), np.arange(100), 0)
    assert found is not None and found.sample.shape == (unlikeness.MOST, 16)
    assert (found.sample[:, 0] > found.sample[:, 1]).all()
    wide = known(np.ones((300, 25_000), np.float32), np.ones((1, 25_000), np.float32))
    assert wide is not None and wide.sample.shape[0] == unlikeness.FEWEST


def test_nothing_sets_the_limit_without_validation_rows() -> None:
    assert known(rows(100, 0, 0), rows(0, 1, 0)) is None


def test_a_file_gives_the_same_and_one_of_nothing_gives_none(tmp_path: Path) -> None:
    found = known(rows(300, 0, 0), rows(50, 1, 0))
    path = tmp_path / "unlike.npz"
    unlikeness.write(str(path), found, "dense")
    read = unlikeness.read(path)
    assert found is not None and read is not None
    assert read[1] == "dense" and read[0].limit == found.limit
    assert (read[0].of(rows(9, 2, 3)) == found.of(rows(9, 2, 3))).all()
    unlikeness.write(str(path), None, "dense")
    assert unlikeness.read(path) is None and unlikeness.read(tmp_path / "none.npz") is None
    path.write_bytes(b"PK\3\4 nothing")
    with pytest.raises(UserError, match="cannot be read"):
        unlikeness.read(path)
