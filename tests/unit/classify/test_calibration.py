"""Probabilities of SVMs."""

import numpy as np
import pytest

from darkroom.classify import calibration
from darkroom.classify.rows import TrainingRows
from tests.support.feature_case import Case, digits, parts


@pytest.mark.parametrize("kind", ["svm", "linear_svm"])
@pytest.mark.parametrize("pair", [("0", "1"), ("3", "8")])
def test_two_classes(tmp_path, kind, pair):
    x, label = digits()
    two = np.isin(label, pair)
    result = Case(tmp_path, x[two], label[two], parts(two.sum())).fit(kind)
    assert result.accuracy > 0.96
    assert "sigmoid" in result.notes
    truth = result.p[np.arange(len(result.p)), result.table["class"]]
    assert -np.log(truth).mean() < 0.2


def test_calibration_is_that_of_scikit_learn(case):
    """The same folds given to CalibratedClassifierCV give the same probabilities."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    result = case.fit("svm")
    assert "temperature" in result.notes
    train = (case.table["holdout"] == "train").to_numpy()
    scaler = StandardScaler().fit(case.x[train])
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    reference = CalibratedClassifierCV(
        SVC(random_state=0), ensemble=False, method="temperature", cv=folds
    ).fit(scaler.transform(case.x[train]), case.label[train])
    place = {row: i for i, row in enumerate(case.row)}
    x = case.x[[place[r] for r in result.table["row"]]]
    expected = reference.predict_proba(scaler.transform(x))
    assert np.allclose(result.p, expected, atol=1e-4)


def test_held_out_rows_without_a_mistake_do_not_make_it_certain(tmp_path):
    random = np.random.default_rng(0)
    label = np.array(["a", "b", "c"])[np.arange(90) % 3]
    x = random.normal(size=(90, 4)) + 20 * np.eye(4)[np.arange(90) % 3]
    part = np.where(np.arange(90) < 60, "train", "test")
    result = Case(tmp_path, x, label, part).fit("svm")
    assert "sigmoid" in result.notes
    assert result.accuracy == 1
    assert result.p.max() < 0.999


def test_a_class_of_one_group_still_gets_a_probability(tmp_path):
    x, label = digits()
    x, label = x[:500], label[:500]
    part = parts(500)
    group = [f"row {i}" if name != "6" else "all sixes" for i, name in enumerate(label)]
    part[label == "6"] = "train"
    result = Case(tmp_path, x, label, part, group=group).fit("svm")
    assert "too few training rows of 6 to hold any out" in result.notes
    assert np.isfinite(result.p).all()
    assert result.accuracy > 0.9
    assert result.p[:, 6].mean() < 0.1


def test_calibration_folds_keep_groups_and_hold_out_originals_only():
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 6)
    data = TrainingRows(
        x=np.zeros((240, 2), np.float32),
        y=random.integers(0, 3, 40)[group],
        classes=["a", "b", "c"],
        group=group,
        original=np.tile([True, True, False, False, False, False], 40),
    )
    folds, small = calibration.calibration_folds(data, 0)
    assert small == []
    assert len(folds) == 3
    for train, test in folds:
        assert not set(group[train]) & set(group[test])
        assert data.original[test].all()
    held = np.concatenate([test for _, test in folds])
    assert sorted(held) == list(np.flatnonzero(data.original))


def test_one_group_in_all_is_calibrated_on_itself(tmp_path):
    x, label = digits()
    part = np.where(np.arange(200) < 120, "train", "test")
    case = Case(tmp_path, x[:200], label[:200], part, group=["all"] * 200)
    result = case.fit("linear_svm")
    assert "too few training rows of 0, 1, 2" in result.notes
    assert result.accuracy > 0.8


def test_calibration_of_many_rows_takes_a_sample(monkeypatch, case):
    monkeypatch.setattr(calibration, "CALIBRATION_ROWS", 200)
    result = case.fit("svm")
    assert "of 200 training rows held out" in result.notes
    assert result.accuracy > 0.97
