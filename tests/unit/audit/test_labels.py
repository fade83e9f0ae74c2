"""Flipped labels are found; clean ones hardly ever doubted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from darkroom.audit import labels
from darkroom.audit.outliers import glance, outliers
from darkroom.images.features_file import write_features
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write


def checked(
    folder: Path, y: np.ndarray, x: np.ndarray
) -> tuple[set[int], list[str], dict[str, object]]:
    """Rows in doubt, what is suggested of them, and the counts."""
    n = len(y)
    write_features(str(folder / "f.h5"), x, np.arange(n) * 2, np.zeros(n), name="pixels", layer="")
    table = pa.table(
        {
            "row": np.arange(n) * 2,
            "class": pa.array(y, pa.int16()),
            "group": [str(i) for i in range(n)],
            "holdout": ["train", "test"] * (n // 2) + ["train"] * (n % 2),
        }
    )
    names = [f"digit {i}" for i in range(int(y.max()) + 1)]
    meta = json.dumps({"classes": names, "folds": ["holdout"], "notes": []})
    pq.write_table(table.replace_schema_metadata({"darkroom": meta}), folder / "s.parquet")
    out = str(folder / "labels.parquet")
    pictures = np.zeros((2 * n, 32, 32), np.uint8)
    if x.shape[1] == 64:
        pictures[::2] = np.kron(15 * x.reshape(-1, 8, 8), np.ones((4, 4))).astype(np.uint8)
    np.save(folder / "t.npy", pictures)
    given = [str(folder / name) for name in ("f.h5", "s.parquet", "t.npy")]
    labels.check_labels(*given, labels=out, cfg={"dataset": "digits"})
    found, about = labels.read_labels(out)
    return set((found["row"] // 2).tolist()), found["suggested"].tolist(), about


def test_flips_are_found_and_clean_labels_left_alone(tmp_path: Path) -> None:
    """5 % of the labels of the digits: over half are found, nearly all that is found is one."""
    digits = load_digits()
    x, y = digits.data.astype(np.float32), digits.target
    doubted, _, about = checked(tmp_path, y, x)
    told = {name: about[name] for name in ("rows", "of", "features", "learned")}
    assert told == {"rows": 1797, "of": 1797, "features": "pixels", "learned": False}
    assert about["far"] == 0
    assert len(doubted) < 0.005 * len(y)
    random = np.random.default_rng(1)
    flipped = set(np.flatnonzero(random.random(len(y)) < 0.05).tolist())
    wrong = y.copy()
    wrong[list(flipped)] = (y[list(flipped)] + 3) % 10
    doubted, suggested, _ = checked(tmp_path, wrong, x)
    assert len(doubted & flipped) > 0.55 * len(flipped)
    assert len(doubted & flipped) > 0.85 * len(doubted)
    first = int(labels.read_labels(str(tmp_path / "labels.parquet"))[0]["row"].iloc[0]) // 2
    assert suggested[0] == f"digit {y[first]}"


@pytest.mark.parametrize("k", [2, 5])
def test_it_learns_what_scikit_learn_would(k: int) -> None:
    digits = load_digits()
    own = digits.target < k
    x, y = StandardScaler().fit_transform(digits.data[own]).astype(np.float32), digits.target[own]
    peer = LogisticRegression(C=labels.STRENGTH / len(y), max_iter=1000).fit(x, y)
    found = labels.probabilities(x, labels.learned(x, y, k))
    np.testing.assert_allclose(found, peer.predict_proba(x), atol=1e-3)


def test_a_group_is_in_one_fold() -> None:
    """What a row's own group shows does not tell its class: the row is held out with it."""
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 5)
    y = random.integers(0, 2, 40)[group]
    x = np.eye(40, dtype=np.float32)[group]  # each group has a feature of its own
    right = (labels.held_out(x, y, group, 2).argmax(axis=1) == y).mean()
    alone = (labels.held_out(x, y, np.arange(200), 2).argmax(axis=1) == y).mean()
    assert right < 0.75 and alone == 1


def test_a_label_is_in_doubt_where_another_class_is_as_probable_as_usual() -> None:
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.45, 0.55], [0.1, 0.9]])
    suggested, margin = labels.doubtful(p, np.array([0, 0, 0, 0, 1]))
    # Class 1 has 0.9 where it is the label: 0.8 is less than is usual for it.
    assert suggested.tolist() == [-1] * 5
    suggested, margin = labels.doubtful(p, np.array([0, 0, 0, 1, 1]))
    assert suggested.tolist() == [-1, -1, 1, -1, -1]
    assert margin[2] == pytest.approx(-0.6)


def test_a_class_of_one_row_or_only_one_class_is_no_error(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    assert checked(tmp_path, np.zeros(20, int), x)[0] == set()
    checked(tmp_path, np.array([1] + [0] * 19), x)


def test_planted_outliers_come_first(tmp_path: Path) -> None:
    """Three upside-down negatives and one blot among 400 digits."""
    digits = load_digits()
    x, y = digits.data[:400].astype(np.float32), digits.target[:400].copy()
    strange = [5, 77, 203, 399]
    x[strange[:3]] = 16 - x[strange[:3], ::-1]
    x[399] = np.random.default_rng(0).integers(0, 17, 64)
    _, _, about = checked(tmp_path, y, x)
    found = [one["row"] // 2 for one in about["outliers"]]  # type: ignore[attr-defined]
    assert set(found) == set(strange) and about["far"] == 4
    far, unlikeness = outliers(glance(np.load(tmp_path / "t.npy")[::2]))
    assert far.tolist() == found and unlikeness[far].min() > np.median(unlikeness)
    assert outliers(x[:10])[0].tolist() == []  # too few to say what is usual


def test_the_report_shows_outliers(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    folder.doubtful([], outliers=[50])
    page = write(folder)
    assert "1 of 120 images is unlike all others" in page.text
    assert "labelled dog unlikeness 0.75 dog/image-00050.png" in page.text


def test_the_report_shows_them_and_warns_of_many(tmp_path: Path) -> None:
    folder = Folder(tmp_path, Plan(seeds=(0,)))
    folder.doubtful([3])
    page = write(folder)
    assert "1 of 120 labels are in doubt" in page.text and "Likely wrong labels :" not in page.text
    folder.doubtful([3, 50, 60, 70, 80, 90])
    page = write(folder)
    assert "Likely wrong labels : 6 labels of 120 (5.0 %) are likely wrong" in page.text
    assert "labelled dog rather cat dog/image-00050.png" in page.text
    folder.doubtful([3, 50, 60, 70, 80, 90], disagree=0.3)  # a classifier that is often wrong
    page = write(folder)
    assert "Likely wrong labels :" not in page.text
    assert "most of these labels may be right" in page.text
