"""Classifiers on real digits: every kind, calibration, groups, saving."""

import json
import logging
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkroom.classify import fitting
from darkroom.errors import UserError
from darkroom.features.predictions import probabilities, read_predictions
from darkroom.images import store

KINDS = ["svm", "linear_svm", "random_forest", "logistic_regression", "knn"]
FEW_TREES = {"random_forest": {"n_estimators": 60}}


class Case:
    """A feature set and a split of its own folder, and fits on them."""

    def __init__(self, folder, x, label, part, *, group=None, row=None, variant=None):
        n = len(x)
        self.folder = folder
        self.x = np.asarray(x, np.float32)
        self.row = np.arange(n) if row is None else np.asarray(row)
        self.variant = np.zeros(n, np.int16) if variant is None else np.asarray(variant)
        self.features = str(folder / "features.h5")
        self.splits = str(folder / "splits.parquet")
        store.write_features(
            self.features, self.x, self.row, self.variant, name="pixels", layer="pixels"
        )
        first = self.variant == 0
        names = sorted(set(label))
        self.label = np.array([names.index(c) for c in label])
        row_ = self.row[first]
        table = pd.DataFrame(
            {
                "row": row_.astype(np.int64),
                "label": np.asarray(label, dtype=object)[first],
                "class": self.label[first].astype(np.int16),
                "group": [f"row {r}" for r in row_] if group is None else list(group),
                "given": None,
                "holdout": np.asarray(part, dtype=object)[first],
            }
        )
        self.table, self.classes = table, names
        meta = {"classes": names, "folds": ["holdout"], "notes": []}
        pq.write_table(
            pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(
                {"darkroom": json.dumps(meta)}
            ),
            self.splits,
        )

    def fit(self, kind, *, threads=1, balance=None, tag="model", **given):
        classifier = {
            "kind": kind,
            "scale": None,
            "pca": None,
            "settings": FEW_TREES.get(kind, {}),
            "max_rows": None,
            "seed": 0,
            "memory_mb": 2000,
        } | given
        cfg = {
            "dataset": "digits",
            "fold": "holdout",
            "features": "pixels",
            "name": "mine",
            "classifier": classifier,
            "balance": balance,
            "balance_seed": 0,
        }
        model = self.folder / tag / "model.skops"
        told = self.folder / tag / "predictions.parquet"
        fitting.fit(
            self.features,
            self.splits,
            model_path=str(model),
            predictions_path=str(told),
            cfg=cfg,
            threads=threads,
        )
        table, meta = read_predictions(str(told))
        return Result(str(model), table, meta)


class Result:
    def __init__(self, model, table, meta):
        self.model, self.table, self.meta = model, table, meta
        self.p = probabilities(table, meta["classes"])
        self.accuracy = (table["class"] == table["predicted"])[table["part"] == "test"].mean()
        self.notes = " | ".join(meta["notes"])


def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16, np.array([str(k) for k in y])


def parts(n, seed=0):
    return np.random.default_rng(seed).choice(
        ["train", "validation", "test"], n, p=[0.5, 0.15, 0.35]
    )


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    x, label = digits()
    return Case(tmp_path_factory.mktemp("digits"), x, label, parts(len(x)))


def test_is_light_while_the_workflow_is_read():
    code = (
        "import sys; from darkroom.classify.fitting import forecast, check_settings;"
        "forecast('svm', 9, 9); check_settings('a', {'kind': 'svm', 'settings': {}});"
        "print([m for m in ('sklearn', 'skops', 'cv2', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


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


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_predicts_the_same(case, kind):
    result = case.fit(kind, pca=20)
    fitted = fitting.load(result.model)
    place = {row: i for i, row in enumerate(case.row)}
    x = case.x[[place[r] for r in result.table["row"]]]
    before = x.copy()
    again = fitted.probabilities(x)
    assert np.allclose(again, result.p, rtol=1e-6, atol=1e-12)  # the table is float32
    assert np.array_equal(again.argmax(axis=1), result.table["predicted"])
    fitted.pipeline.predict_proba(x)
    assert np.array_equal(x, before)  # scaling in place ended with the fit
    assert fitted.classes == case.classes
    assert fitted.about["features"] == "pixels"
    assert fitted.about["classifier"]["kind"] == kind
    with zipfile.ZipFile(result.model) as file:
        names = file.namelist()
    assert "schema.json" in names
    assert all(name.endswith((".json", ".npy")) for name in names)
    assert not list(case.folder.rglob("*.part"))


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_trees_of_neighbours_can_be_loaded(case, algorithm, metric):
    result = case.fit("knn", pca=5, settings={"algorithm": algorithm, "metric": metric})
    assert fitting.load(result.model).known == list(range(10))


def test_a_model_that_could_not_be_loaded_is_not_saved(case):
    with pytest.raises(UserError, match="known to be safe"):
        case.fit("knn", pca=5, tag="odd", settings={"algorithm": "ball_tree", "metric": "canberra"})
    assert not list((case.folder / "odd").iterdir())


def test_forged_and_broken_files_are_refused(tmp_path, case):
    import os

    import skops.io
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    forged = tmp_path / "forged.skops"
    evil = Pipeline([("run", FunctionTransformer(os.system))])
    about = {"versions": {}}
    skops.io.dump({"pipeline": evil, "known": [0], "classes": ["a"], "about": about}, forged)
    with pytest.raises(UserError, match=r"refused.*system"):
        fitting.load(str(forged))
    broken = tmp_path / "broken.skops"
    broken.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match="damaged"):
        fitting.load(str(broken))
    other = tmp_path / "other.skops"
    skops.io.dump({"a": 1}, other)
    with pytest.raises(UserError, match="no model of this workflow"):
        fitting.load(str(other))
    with pytest.raises(UserError, match="no such model"):
        fitting.load(str(tmp_path / "none.skops"))


def test_another_version_is_told(case, tmp_path, caplog):
    fitted = fitting.load(case.fit("knn").model)
    fitted.about["versions"]["scikit-learn"] = "1.0"
    fitted.save(str(tmp_path / "old.skops"))
    with caplog.at_level(logging.WARNING, "darkroom.classify.fitting"):
        fitting.load(str(tmp_path / "old.skops"))
    assert "1.0" in caplog.text


# ---------------------------------------------------------------- settings


def test_settings_reach_the_estimator(case):
    fitted = fitting.load(
        case.fit("svm", settings={"C": 3, "kernel": "poly", "degree": 2}, scale=False).model
    )
    assert list(fitted.pipeline.named_steps) == ["classifier"]
    machine = fitted.pipeline[-1].calibrated_classifiers_[0].estimator
    assert (machine.C, machine.kernel, machine.degree) == (3, "poly", 2)


def test_scaling_is_for_all_but_the_forest(case):
    steps = {
        kind: list(fitting.load(case.fit(kind, max_rows=100).model).pipeline.named_steps)
        for kind in ("knn", "random_forest")
    }
    assert steps == {"knn": ["scale", "classifier"], "random_forest": ["classifier"]}


def test_pca_by_count_and_by_variance(case):
    count = case.fit("logistic_regression", pca=12)
    assert "PCA: 12 components of 64" in count.notes
    some = fitting.load(case.fit("logistic_regression", pca=0.5).model)
    assert 2 < some.pipeline.named_steps["pca"].n_components_ < 12
    with pytest.raises(UserError, match="pca is 65, but there are only 64 values"):
        case.fit("knn", pca=65)


@pytest.mark.parametrize("kind", KINDS)
def test_known_settings_are_those_of_scikit_learn(kind):
    recipe = fitting._Recipe(kind, True, None, {}, 0, "here")
    real = set(recipe.estimator().get_params())
    assert set(fitting.SETTINGS[kind].split()) == real - set(fitting.OWN)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"settings": {"c": 1}}, "did you mean 'C'"),
        ({"settings": {"gama": 1}}, "did you mean 'gamma'"),
        ({"settings": {"zzz": 1}}, "known: C, "),
        ({"settings": {"probability": True}}, "cannot be set here"),
        ({"settings": {"n_estimators": 1}}, "no setting of svm"),
    ],
)
def test_wrong_names_are_told_before_anything_runs(given, words):
    with pytest.raises(UserError, match=r"classifiers\.mine") as error:
        fitting.check_settings("mine", {"kind": "svm", **given})
    assert words in str(error.value)


def test_right_names_pass():
    fitting.check_settings("mine", {"kind": "svm", "settings": {"gamma": 1}})


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("svm", {"C": -1}, "'C' parameter of SVC"),
        ("svm", {"kernel": "rbff"}, "'kernel' parameter"),
        ("logistic_regression", {"solver": "liblinear"}, "liblinear"),
        ("knn", {"n_neighbors": 5000}, "n_neighbors"),
    ],
)
def test_wrong_values_are_one_sentence(case, kind, settings, words):
    with pytest.raises(UserError, match=r"^classifiers\.mine: scikit-learn") as error:
        case.fit(kind, settings=settings)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_class_weights_by_name(case):
    weights = dict.fromkeys(case.classes, 1.0) | {"3": 1e-6}
    light = case.fit("logistic_regression", settings={"class_weight": weights})
    three = light.table["class"] == 3
    assert (light.table["predicted"][three] == 3).mean() < 0.2
    with pytest.raises(UserError, match=r"class_weight names 'three'"):
        case.fit("logistic_regression", settings={"class_weight": {"three": 2}})


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_unfinished_fit_is_told(case):
    assert "max_iter = 2" in case.fit("logistic_regression", settings={"max_iter": 2}).notes
    assert "max_iter = 2" in case.fit("svm", settings={"max_iter": 2}).notes
    assert "max_iter" not in case.fit("linear_svm").notes


# ---------------------------------------------------------------- rows


def test_max_rows_is_a_stratified_sample(tmp_path):
    x, label = digits()
    keep = (label != "7") | (np.arange(len(label)) % 20 == 0)  # sevens are rare
    case = Case(tmp_path, x[keep], label[keep], parts(keep.sum()))
    result = case.fit("knn", max_rows=90)
    fitted = fitting.load(result.model).pipeline[-1]
    assert fitted.n_samples_fit_ == 90
    counts = np.bincount(fitted._y)
    assert counts[7] == 1
    assert all(8 <= c <= 12 for k, c in enumerate(counts) if k != 7)
    assert "stratified sample of 90 of" in result.notes
    assert "sample" not in case.fit("knn", max_rows=10_000).notes
    with pytest.raises(UserError, match="max_rows is 9, but there are 10 classes"):
        case.fit("knn", max_rows=9)


def test_sample_has_the_size_asked_and_every_class():
    label = np.repeat([0, 1, 2, 3], [1000, 2, 1, 1])
    for n in (4, 5, 10, 999, 1003):
        chosen = fitting._sample(label, n, 0)
        assert len(chosen) == len(set(chosen)) == n
        assert set(label[chosen]) == {0, 1, 2, 3}
        assert (np.diff(chosen) > 0).all()


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
    reason = f"the {train:,} training rows of 200 values take 1 MB, more than memory_mb (1)"
    note = f"trained on a stratified sample of 1,250 rows: {reason}"
    assert note in few.meta["notes"]
    assert note in fitting.load(few.model).about["notes"]
    whole = wide.fit(kind, tag="whole", memory_mb=2)
    assert "sample" not in whole.notes
    assert few.accuracy > whole.accuracy - 0.08
    assert not np.array_equal(few.p, whole.p)
    same = wide.fit(kind, tag="whole", memory_mb=2000)
    assert np.array_equal(same.p, whole.p)


@pytest.mark.parametrize(
    ("kind", "rows", "words"),
    [
        ("linear_svm", 5_000_000, "to a sample of 3,906,250"),
        ("random_forest", 5_000_000, "to a sample of 3,906,250"),
        ("knn", 1_000, None),
    ],
)
def test_a_sample_is_forecast(kind, rows, words):
    message = fitting.forecast(kind, rows, 128, memory_mb=2000).message
    assert (words in message) if words else message is None


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
    right = result.table["class"] == result.table["predicted"]
    assert right[known].mean() > 0.9


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
    fitted = fitting.load(result.model).pipeline[-1]
    train = (part == "train").sum()
    assert fitted.n_samples_fit_ == 2 * train
    assert len(result.table) == n - train
    balanced = case.fit("knn", scale=False, balance=5)
    assert fitting.load(balanced.model).pipeline[-1].n_samples_fit_ == 50


# ---------------------------------------------------------------- calibration


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
    data = fitting._Training(
        x=np.zeros((240, 2), np.float32),
        y=random.integers(0, 3, 40)[group],
        names=["a", "b", "c"],
        group=group,
        original=np.tile([True, True, False, False, False, False], 40),
    )
    folds, small = fitting._calibration_folds(data, 0)
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
    monkeypatch.setattr(fitting, "CALIBRATION_ROWS", 200)
    result = case.fit("svm")
    assert "of 200 training rows held out" in result.notes
    assert result.accuracy > 0.97


# ---------------------------------------------------------------- forecast


def test_forecast_grows_and_offers_what_to_use():
    small, large = (fitting.forecast("svm", n, 250) for n in (2_000, 1_000_000))
    assert small.message is None
    assert small.seconds < 10
    assert large.seconds > 1000 * small.seconds
    assert "linear_svm" in large.message
    assert "days" in large.message or "hours" in large.message
    offered = int(large.message.split("max_rows: ")[1].split(" ")[0])
    fine = fitting.forecast("svm", 1_000_000, 250, offered)
    assert fine.message is None
    assert 300 < fine.seconds <= 600  # seconds


def test_work_is_in_proportion():
    work = fitting.work
    assert work("svm") > work("random_forest") > 5 * work("knn")
    assert work("svm", max_rows=10_000) < work("random_forest") / 3
    assert work("random_forest", {"n_estimators": 30}) == pytest.approx(work("random_forest") / 10)
    assert work("random_forest", {"n_estimators": "many"}) > 0  # scikit-learn will say it


@pytest.mark.parametrize("kind", KINDS[1:])
def test_forecast_warns_of_kernel_machines_only(kind):
    assert fitting.forecast(kind, 10**7, 1000) == fitting.Forecast(None, None)


def test_a_long_fit_says_how_long(case, monkeypatch, caplog):
    monkeypatch.setattr(fitting, "FACTOR", 1.0)
    with caplog.at_level(logging.INFO, "darkroom.classify.fitting"):
        case.fit("svm", max_rows=100)
    assert "a kernel SVM on 100 rows" in caplog.text
