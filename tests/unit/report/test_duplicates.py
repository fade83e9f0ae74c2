"""Copies and look-alikes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from darkroom.report import duplicates
from tests.unit.report.test_results import a_split


def brute(asked: np.ndarray, known: np.ndarray, limit: int) -> np.ndarray:
    d = np.bitwise_count(asked[:, None] ^ known[None, :]).min(axis=1).astype(int)
    return np.where(d <= limit, d, -1)


@pytest.mark.parametrize("block", [1, 50, 1 << 22])
@pytest.mark.parametrize("limit", [0, 1, 4])
def test_near_duplicates_are_those_of_a_full_comparison(block: int, limit: int) -> None:
    rng = np.random.default_rng(limit)
    known = rng.integers(0, 2**64, 300, dtype=np.uint64)
    asked = np.concatenate([rng.integers(0, 2**64, 100, dtype=np.uint64), known[:120]])
    for i in range(100, 220):  # up to six bits turned over
        for bit in rng.choice(64, i % 7, replace=False):
            asked[i] ^= np.uint64(1) << np.uint64(bit)
    asked[7] = asked[8]
    distance, match = duplicates.near_duplicates(asked, known, limit, block)
    assert (distance == brute(asked, known, limit)).all()
    found = match >= 0
    assert found.sum() == (distance >= 0).sum() > 0
    apart = np.bitwise_count(asked[found] ^ known[match[found]])
    assert (apart == distance[found]).all()


def test_near_duplicates_of_nothing() -> None:
    none, some = np.zeros(0, np.uint64), np.array([3], np.uint64)
    assert duplicates.near_duplicates(none, some)[0].shape == (0,)
    assert duplicates.near_duplicates(some, none)[0].tolist() == [-1]


def test_near_duplicates_of_many_alike_stay_small() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    # Few distinct pieces, as flat pictures have: nearly all pairs share one.
    values = rng.integers(0, 2**12, 6000, dtype=np.uint64)
    tracemalloc.start()
    distance, _ = duplicates.near_duplicates(values[:3000], values[3000:], block=1 << 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert (distance == brute(values[:3000], values[3000:], duplicates.NEAR)).all()


def test_hashes_skip_what_has_none() -> None:
    values, held = duplicates.hashes(pd.Series(["00000000000000ff", None, "8000000000000000"]))
    assert values.tolist() == [255, 2**63]
    assert held.tolist() == [0, 2]


def test_copies_across_the_split_and_with_other_labels() -> None:
    manifest = pd.DataFrame(
        {
            "row": range(6),
            "path": list("abcdef"),
            "label": ["x", "x", "y", "x", "y", None],
            "duplicate_of": pd.array([None, None, None, 1, 1, None], dtype="Int64"),
        }
    )
    found = duplicates.copies(manifest, a_split(), ["holdout"])
    assert found.across == 2
    assert found.disputed == 1
    assert found.table[["path", "of"]].to_numpy().tolist() == [["d", "b"], ["e", "b"]]
