"""The stage on real digits: every kind, its rows, what it writes."""

import logging

import numpy as np
import pytest
import yaml

from darkroom import ROOT
from darkroom.classify import cost, model_file
from darkroom.classify.fitting import FitClassifier
from darkroom.classify.kinds import ClassifierSettings
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from tests.support.feature_case import KINDS, Case, digits, parts


def test_the_configuration_gives_the_settings_of_the_stage():
    settings = Settings.load(yaml.safe_load((ROOT / "config.yaml").read_text()))
    wildcards = {"fold": "holdout", "features": "cnn-seed0", "classifier": "svm"}
    cfg = stage_settings(settings, "fit_classifier", {"dataset": "digits", **wildcards})
    assert cfg.keys() == FitClassifier.__required_keys__
    assert cfg["classifier"].keys() == ClassifierSettings.__required_keys__


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_digits(case, kind):
    result = case.fit(kind)
    least = {"svm": 0.97, "linear_svm": 0.93, "random_forest": 0.95, "knn": 0.96}
    assert result.accuracy > least.get(kind, 0.94)
    assert np.allclose(result.p.sum(axis=1), 1, atol=1e-5)
    assert ((result.p >= 0) & (result.p <= 1)).all()
    # probabilities mean something: far better than the classes' shares (2.3)
    truth = result.p[np.arange(len(result.p)), result.table["class"]]
    assert -np.log(np.maximum(truth, 1e-15)).mean() < 0.5
    held = case.table[case.table["holdout"] != "train"]
    assert sorted(result.table["row"]) == sorted(held["row"])
    assert set(result.meta["seconds"]) == {"fit", "predict"}


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_repeats_change_no_bit(case, kind):
    once = case.fit(kind, pca=0.95)
    again = case.fit(kind, pca=0.95, threads=3, tag="threads")
    assert np.array_equal(once.p, again.p)


def test_seed_matters(case):
    assert not np.array_equal(case.fit("random_forest").p, case.fit("random_forest", seed=1).p)


def test_max_rows_is_a_stratified_sample(tmp_path):
    x, label = digits()
    keep = (label != "7") | (np.arange(len(label)) % 20 == 0)  # sevens are rare
    case = Case(tmp_path, x[keep], label[keep], parts(keep.sum()))
    result = case.fit("knn", max_rows=90)
    fitted = model_file.load(result.model).pipeline[-1]
    assert fitted.n_samples_fit_ == 90
    counts = np.bincount(fitted._y)
    assert counts[7] == 1
    assert all(8 <= c <= 12 for k, c in enumerate(counts) if k != 7)
    assert "stratified sample of 90 of" in result.notes
    assert "sample" not in case.fit("knn", max_rows=10_000).notes
    with pytest.raises(UserError, match="max_rows is 9, but there are 10 classes"):
        case.fit("knn", max_rows=9)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Overlapping classes in 200 features: 1.4 MB of them are training rows."""
    random = np.random.default_rng(0)
    label = np.arange(3600) % 3
    x = random.normal(0, 0.13, (3, 200))[label] + random.normal(0, 1, (3600, 200))
    return Case(tmp_path_factory.mktemp("wide"), x, [f"c{k}" for k in label], parts(3600))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_beyond_memory_mb_are_replaced_by_a_stratified_sample(wide, kind):
    few = wide.fit(kind, tag="sample", memory_mb=1)
    train = int((wide.table["holdout"] == "train").sum())
    reason = f"the {train:,} training rows of 200 features take 1 MB, more than memory_mb (1)"
    note = f"trained on a stratified sample of 1,250 rows: {reason}"
    assert note in few.meta["notes"]
    assert note in model_file.load(few.model).about["notes"]
    whole = wide.fit(kind, tag="whole", memory_mb=2)
    assert "sample" not in whole.notes
    assert few.accuracy > whole.accuracy - 0.08
    assert not np.array_equal(few.p, whole.p)
    same = wide.fit(kind, tag="whole", memory_mb=2000)
    assert np.array_equal(same.p, whole.p)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gone", [["9"], ["0", "4"]])
def test_absent_classes_get_probability_zero(tmp_path, kind, gone):
    x, label = digits()
    x, label = x[:600], label[:600]
    part = parts(len(x))
    part[np.isin(label, gone)] = "test"
    case = Case(tmp_path, x, label, part)
    result = case.fit(kind)
    assert result.p.shape[1] == 10
    places = [int(g) for g in gone]
    assert (result.p[:, places] == 0).all()
    assert f"no training rows of {', '.join(gone)}: probability 0" in result.notes
    known = ~np.isin(result.table["class"], places)
    right = result.table["class"] == result.table["most_probable"]
    assert right[known].mean() > 0.9


def test_refit_learns_from_the_validation_rows_once_they_have_judged(case):
    once, again = case.fit("knn", tag="once"), case.fit("knn", tag="again", refit=True)
    validation = (once.table["part"] == "validation").to_numpy()
    assert np.array_equal(once.p[validation], again.p[validation])
    assert not np.array_equal(once.p[~validation], again.p[~validation])
    assert again.accuracy >= once.accuracy
    both = case.table["holdout"].isin(["train", "validation"]).sum()
    assert model_file.load(again.model).pipeline[-1].n_samples_fit_ == both
    assert f"then trained again on {both:,} with these" in again.notes
    assert list(again.table["row"]) == list(once.table["row"])


def test_refit_without_validation_rows_is_one_fit(tmp_path):
    x, label = digits()
    part = np.where(np.arange(len(x)) % 3, "train", "test")
    plain = Case(tmp_path, x, label, part)
    once, again = plain.fit("knn"), plain.fit("knn", tag="again", refit=True)
    assert np.array_equal(once.p, again.p) and "again" not in again.notes


def test_a_logistic_regression_is_as_free_whatever_the_number_of_features(case):
    result = case.fit("logistic_regression", scale=False)
    fitted = model_file.load(result.model).pipeline[-1]
    train = case.x[(case.table["holdout"] == "train").to_numpy()]
    assert np.isclose(fitted.C, 16 / train.var(axis=0).sum(), rtol=1e-4)
    assert f"C = {fitted.C:.3g}, by the variance of the features" in result.notes
    own = case.fit("logistic_regression", tag="own", settings={"C": 3.0})
    assert model_file.load(own.model).pipeline[-1].C == 3 and "variance" not in own.notes


def test_one_class_or_no_rows(tmp_path):
    x, label = digits()
    part = np.where(label == "0", "train", "test")
    with pytest.raises(UserError, match="needs training rows of two classes"):
        Case(tmp_path, x, label, part).fit("knn")


def test_features_that_are_not_numbers(tmp_path):
    x, label = digits()
    x = x.copy()
    x[5, 3] = np.nan
    with pytest.raises(UserError, match="diverged"):
        Case(tmp_path, x, label, np.full(len(x), "train")).fit("knn")


def test_nothing_to_predict(tmp_path):
    x, label = digits()
    result = Case(tmp_path, x[:200], label[:200], np.full(200, "train")).fit("knn")
    assert len(result.table) == 0


def test_variants_are_trained_on_only_where_their_parent_is(tmp_path):
    x, label = digits()
    n = 300
    part = parts(n)
    # a variant is its parent pushed far away; an equal number of values, another place
    both = np.concatenate([x[:n], x[:n] + 5])
    names = np.concatenate([label[:n], label[:n]])
    case = Case(
        tmp_path,
        both,
        names,
        np.concatenate([part, part]),
        row=np.tile(np.arange(n), 2),
        variant=np.repeat([0, 1], n),
    )
    result = case.fit("knn", scale=False)
    fitted = model_file.load(result.model).pipeline[-1]
    train = (part == "train").sum()
    assert fitted.n_samples_fit_ == 2 * train
    assert len(result.table) == n - train
    balanced = case.fit("knn", scale=False, balance=5)
    assert model_file.load(balanced.model).pipeline[-1].n_samples_fit_ == 50


def test_a_long_fit_says_how_long(case, monkeypatch, caplog):
    monkeypatch.setattr(cost, "FACTOR", 1.0)
    with caplog.at_level(logging.INFO, "darkroom.classify.fitting"):
        case.fit("svm", max_rows=100)
    assert "a kernel SVM on 100 rows" in caplog.text
