"""What a reader must be told beside the scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.evaluate.comparisons import Difference
from darkroom.evaluate.ranking import Choice
from darkroom.report import findings
from darkroom.report.findings import Copies, Facts


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
    distance, match = findings.near_duplicates(asked, known, limit, block)
    assert (distance == brute(asked, known, limit)).all()
    found = match >= 0
    assert found.sum() == (distance >= 0).sum() > 0
    apart = np.bitwise_count(asked[found] ^ known[match[found]])
    assert (apart == distance[found]).all()


def test_near_duplicates_of_nothing() -> None:
    none, some = np.zeros(0, np.uint64), np.array([3], np.uint64)
    assert findings.near_duplicates(none, some)[0].shape == (0,)
    assert findings.near_duplicates(some, none)[0].tolist() == [-1]


def test_near_duplicates_of_many_alike_stay_small() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    # Few distinct pieces, as flat pictures have: nearly all pairs share one.
    values = rng.integers(0, 2**12, 6000, dtype=np.uint64)
    tracemalloc.start()
    distance, _ = findings.near_duplicates(values[:3000], values[3000:], block=1 << 16)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert (distance == brute(values[:3000], values[3000:], findings.NEAR)).all()


def test_hashes_skip_what_has_none() -> None:
    values, held = findings.hashes(pd.Series(["00000000000000ff", None, "8000000000000000"]))
    assert values.tolist() == [255, 2**63]
    assert held.tolist() == [0, 2]


def a_split() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": [0, 1, 2, 3, 4, 5],
            "class": [0, 0, 1, 0, 1, 0],
            "holdout": ["train", "train", "train", "test", "test", "unused"],
        }
    )


def test_baseline_is_the_training_majority_on_the_test_rows() -> None:
    assert findings.baseline(a_split(), ["holdout"], "test") == 0.5
    assert findings.baseline(a_split(), ["holdout"], "validation") is None


def test_counts_by_class_and_part() -> None:
    table = findings.counts(a_split(), ["a", "b", "empty"], ["holdout"])
    assert table.loc["a"].tolist() == [2, 0, 1, 1]
    assert table.loc["b"].tolist() == [1, 0, 1, 0]
    assert table.loc["empty"].sum() == 0


def test_copies_across_the_split_and_with_other_labels() -> None:
    manifest = pd.DataFrame(
        {
            "row": range(6),
            "path": list("abcdef"),
            "label": ["x", "x", "y", "x", "y", None],
            "duplicate_of": pd.array([None, None, None, 1, 1, None], dtype="Int64"),
        }
    )
    found = findings.copies(manifest, a_split(), ["holdout"])
    assert found.across == 2
    assert found.disputed == 1
    assert found.table[["path", "of"]].to_numpy().tolist() == [["d", "b"], ["e", "b"]]


def test_reasons_are_counted_one_by_one() -> None:
    manifest = pd.DataFrame(
        {
            "status": ["converted", "converted", "converted", "unusable", "ok"],
            "reason": [
                "16-bit: divided by 257; palette: converted to rgb",
                "3 frames: the first is taken",
                "7 frames: the first is taken; palette: converted to rgb",
                "truncated",
                "",
            ],
        }
    )
    assert findings.reasons(manifest) == [
        ("palette: converted to rgb", 2),
        ("… frames: the first is taken", 2),
        ("16-bit: divided by 257", 1),
    ]


KEYS = [("cnn", "svm"), ("cnn", "head")]


def facts(**changes: Any) -> Facts:
    counts = pd.DataFrame(
        {"train": [500.0, 500], "validation": [100.0, 100], "test": [2500.0, 2500], "unused": 0.0},
        index=["cat", "dog"],
    )
    nothing = Copies(pd.DataFrame(), 0, 0)
    plain: dict[str, Any] = {
        "part": "test",
        "n": 5000,
        "low": 0.94,
        "high": 0.96,
        "baseline": 0.5,
        "counts": counts,
        "choice": Choice(KEYS[0], KEYS, "validation"),
        "names": {KEYS[0]: "svm on cnn", KEYS[1]: "cnn (network)"},
        "versus": Difference(0.02, 0.01, 0.03, 5000, 100),
        "better": None,
        "seeds": 3,
        "networks": True,
        "picked_epoch": True,
        "files": 6200,
        "unusable": 0,
        "copies": nothing,
        "near": 0,
        "near_rest": None,
        "grouped": True,
        "folds": 1,
    }
    return Facts(**(plain | changes))


def told(**changes: Any) -> dict[str, str]:
    return dict(findings.caveats(facts(**changes)))


def test_a_clean_result_has_one_thing_to_keep_in_mind() -> None:
    said = told()
    assert list(said) == ["Test images used once"]
    assert "the epoch of each network" in said["Test images used once"]
    assert "the best of the classifiers" in said["Test images used once"]


@pytest.mark.parametrize(
    ("changes", "lead", "words"),
    [
        ({"part": "validation"}, "No test images", "flatter"),
        ({"low": 0.8, "high": 0.9}, "Wide interval", "±0.050"),
        ({"seeds": 1}, "One seed", "trained once"),
        ({"unusable": 62}, "Unusable files", "62 of 6,200 files (1.0 %)"),
        ({"grouped": False}, "No groups", "patient"),
        ({"near": 3, "near_rest": 0.9}, "Look-alikes across the split", "0.900"),
        ({"near": 1}, "Look-alikes across the split", "1 test image looks"),
        ({"copies": Copies(pd.DataFrame(), 0, 4)}, "Copies across the split", "4 test images are"),
        ({"copies": Copies(pd.DataFrame(), 1, 0)}, "Contradicting labels", "1 file has"),
        ({"better": ("knn", 0.99)}, "Another scores higher on the test", "knn reaches 0.990"),
        (
            {"versus": Difference(0.001, -0.01, 0.012, 9, 3)},
            "Not distinguishable",
            "cnn (network): on the same images their accuracy differs by +0.001 (−0.010 to +0.012)",
        ),
        (
            {"versus": Difference(0, 0, 0, 9, 0)},
            "Not distinguishable",
            "the very same images",
        ),
    ],
)
def test_each_caveat_is_told(changes: dict[str, Any], lead: str, words: str) -> None:
    said = told(**changes)
    assert words in said[lead]
    assert lead not in told()


def test_uneven_and_scarce_classes() -> None:
    counts = facts().counts
    counts.loc["fox"] = [30.0, 5, 7, 0]
    said = told(counts=counts)
    assert "cat has 73.8 times as many images as fox" in said["Uneven classes"]
    assert "would reach 0.500" in said["Uneven classes"]
    assert "fox (7)" in said["Classes with few images"]
    assert "cat" not in said["Classes with few images"]
    # Of three folds each class is tested three times over.
    assert "Classes with few images" not in told(counts=counts, folds=3)


def test_numbers_in_words() -> None:
    assert findings.number(0.9996) == "> 0.999"
    assert findings.number(1.0) == "1.000"
    assert findings.number(0.12345) == "0.123"
    assert findings.number(math.nan) == "–"
    assert findings.share(1, 10_000) == "below 0.1 %"
    assert findings.share(1, 3) == "33 %"
    assert findings.share(0, 0) == findings.share(0, 9) == "0 %"
    assert findings.signed(-0.0321) == "−0.032"
    assert findings.signed(0.0001) == "0.000"
