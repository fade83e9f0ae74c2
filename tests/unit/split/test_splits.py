"""Which images and variants are trained on."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.split.splits import training_rows


def candidates() -> dict[str, np.ndarray]:
    """Class 0: rows 0 to 5, class 1: rows 6 to 8; two variants of each; rows 5 and 8 are test."""
    row = np.concatenate([np.arange(9), np.repeat(np.arange(9), 2)])
    return {
        "row": row,
        "variant": np.concatenate([np.zeros(9, int), np.tile([1, 2], 9)]),
        "part": np.where(np.isin(row, [5, 8]), "test", "train").astype(object),
        "label": (row > 5).astype(np.int16),
    }


def test_without_balance_all_training_candidates() -> None:
    found = candidates()
    chosen = training_rows(**found, balance=None, seed=0)
    assert chosen.dtype == np.int64
    assert chosen.tolist() == np.flatnonzero(found["part"] == "train").tolist()


@pytest.mark.parametrize("balance", [None, 1, 4, 7, 1000, "largest"])
@pytest.mark.parametrize("part", ["validation", "test", "unused", ""])
def test_nothing_but_training_rows(balance: int | str | None, part: str) -> None:
    found = candidates()
    found["part"] = np.where(found["row"] % 2 == 0, "train", part)
    chosen = training_rows(**found, balance=balance, seed=1)
    assert len(chosen) and (found["part"][chosen] == "train").all()
    assert len(set(chosen.tolist())) == len(chosen) and (np.diff(chosen) > 0).all()


def test_largest_takes_originals_first() -> None:
    found = candidates()
    chosen = training_rows(**found, balance="largest", seed=0)
    assert np.bincount(found["label"][chosen]).tolist() == [5, 5]
    originals = found["variant"][chosen] == 0
    assert np.bincount(found["label"][chosen][originals]).tolist() == [5, 2]


def test_a_count_below_the_originals_is_a_sample_of_them() -> None:
    found = candidates()
    chosen = training_rows(**found, balance=2, seed=0)
    assert (found["variant"][chosen] == 0).all()
    assert np.bincount(found["label"][chosen]).tolist() == [2, 2]
    samples = {tuple(training_rows(**found, balance=2, seed=seed)) for seed in range(20)}
    assert len(samples) > 3


def test_a_count_above_all_there_is_takes_all(caplog: pytest.LogCaptureFixture) -> None:
    found = candidates()
    with caplog.at_level("INFO", logger="darkroom"):
        chosen = training_rows(**found, balance=10, seed=0)
    assert np.bincount(found["label"][chosen]).tolist() == [10, 6]
    assert "class 1: 6 images and variants of 10 wanted" in caplog.text


def test_the_choice_does_not_depend_on_the_order() -> None:
    found = candidates()
    order = np.random.default_rng(0).permutation(27)
    mixed = {name: values[order] for name, values in found.items()}
    straight = training_rows(**found, balance=4, seed=5)
    other = training_rows(**mixed, balance=4, seed=5)
    assert sorted(order[other].tolist()) == straight.tolist()


def test_no_training_row_at_all() -> None:
    found = candidates()
    found["part"] = np.full(27, "test")
    assert training_rows(**found, balance="largest", seed=0).tolist() == []
