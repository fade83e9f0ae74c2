"""Probabilities of SVMs."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import log_loss

from darkroom.classify import calibration, coupling, model_file, svm_pairs
from darkroom.classify.estimators import Recipe
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


@pytest.mark.parametrize("classes", [3, 10])
def test_several_classes_are_no_worse_than_coupled_pairs(classes):
    """Against libsvm's own: Platt's sigmoids by five folds, coupled (Wu, Lin and Weng 2004)."""
    from sklearn.svm import SVC

    random = np.random.default_rng(0)
    label = random.integers(0, classes, 1500)
    x = random.normal(size=(1500, 12))
    x[np.arange(1500), label] += 2
    train, held = slice(0, 700), slice(700, 1500)
    svm = SVC().fit(x[train], label[train])
    rows = TrainingRows(
        x[train].astype(np.float32), label[train], [str(k) for k in range(classes)],
        np.arange(700), np.ones(700, bool),
    )  # fmt: skip
    recipe = Recipe("svm", False, None, {}, 0, "svm")
    fitted, pairs, _ = calibration.calibrated(recipe, rows, 1, [])
    assert (fitted.support_ == svm.support_).all()
    p = coupling.coupled(svm_pairs.pair_values(fitted, x[held]), pairs, classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        libsvm = SVC(probability=True, random_state=0).fit(x[train], label[train])
    own, other = (log_loss(label[held], q) for q in (p, libsvm.predict_proba(x[held])))
    z = 2 * x[held, :classes]
    best = log_loss(label[held], np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
    assert own < other + 0.01
    assert own < best + 0.25
    assert np.abs(p.sum(axis=1) - 1).max() < 1e-12


def test_pairs_that_agree_give_back_their_probabilities():
    p = np.random.default_rng(0).dirichlet(np.ones(5), 20)
    i, j = np.triu_indices(5, 1)
    logits = np.log(p[:, i] / p[:, j])
    sigmoid = np.tile([1.0, 0.0], (len(i), 1))
    assert coupling.coupled(logits, sigmoid, 5) == pytest.approx(p, abs=1e-4)


def test_a_classifier_on_a_network_that_knows_its_rows_by_heart(tmp_path):
    """Features that give training rows away: sure where it learned, and right in 0.75."""
    random = np.random.default_rng(1)
    n = 1700
    label, part = (
        random.integers(0, 2, n),
        np.repeat(["train", "validation", "test"], [700, 500, 500]),
    )
    x = random.normal(size=(n, 6)) * 0.3
    shown = np.where(part == "train", label, np.where(random.random(n) < 0.75, label, 1 - label))
    x[:, 0] += 3 * shown
    made = {"kind": "network", "model": "small", "seed": 0}
    case = Case(tmp_path, x, np.array(["a", "b"])[label], part, made=made)
    for kind in ("svm", "random_forest", "logistic_regression"):
        result = case.fit(kind)
        test = (result.table["part"] == "test").to_numpy()
        p, truth = result.p[test], result.table["class"].to_numpy()[test]
        sure, right = p.max(axis=1), p.argmax(axis=1) == truth
        assert 0.68 < right.mean() < 0.82, kind
        assert abs(sure.mean() - right.mean()) < 0.05, kind
        assert -np.log(p[np.arange(500), truth]).mean() < 0.62, kind  # 2.2 without
        assert "the validation images set how sure its probabilities are" in result.notes


@pytest.mark.parametrize("classes", [2, 3])
def test_rows_held_out_of_the_fit_need_no_temperature(tmp_path, classes):
    """Of features that no network learned, only what is not calibrated yet gets a temperature."""
    random = np.random.default_rng(0)
    label = random.integers(0, classes, 300)
    x = random.normal(size=(300, 6))
    x[np.arange(300), label] += 2
    part = np.repeat(["train", "validation", "test"], 100)
    names = np.array(["a", "b", "c"])[label]
    case = Case(tmp_path, x, names, part)
    for kind, plain in (("svm", True), ("linear_svm", True), ("random_forest", False)):
        result = case.fit(kind, tag=kind)
        assert (model_file.load(result.model).temperature == 1) is plain, kind
        assert ("validation images set how sure" in result.notes) is not plain, kind
    part[label == 0] = "test"  # too few rows of a class to hold any out
    part[np.flatnonzero(label == 0)[:1]] = "train"
    few = Case(tmp_path, x, names, part).fit("svm", tag="few")
    assert model_file.load(few.model).temperature != 1


def test_without_validation_rows_the_report_says_so(tmp_path):
    x, label = digits()
    part = np.where(np.arange(300) < 200, "train", "test")
    result = Case(tmp_path, x[:300], label[:300], part).fit("logistic_regression")
    assert "no validation images: its probabilities are as training left them" in result.notes


def test_held_out_rows_without_a_mistake_do_not_make_it_certain(tmp_path):
    random = np.random.default_rng(0)
    label = np.array(["a", "b", "c"])[np.arange(90) % 3]
    x = random.normal(size=(90, 4)) + 20 * np.eye(4)[np.arange(90) % 3]
    part = np.where(np.arange(90) < 60, "train", "test")
    result = Case(tmp_path, x, label, part).fit("svm")
    assert "Platt’s sigmoid of each two classes, coupled" in result.notes
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
    assert result.accuracy > 0.96
