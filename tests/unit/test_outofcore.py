"""More features than may be held: in passes as in memory, or on a sample that is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom import classifiers, outofcore, store
from darkroom.errors import UserError
from tests.unit.test_classifiers import Case, digits, parts

SMALL = 1  # MB


def wide(n: int = 3600, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes in 200 values of different scales: 1.4 MB are trained on."""
    random = np.random.default_rng(seed)
    label = np.arange(n) % classes
    centre = random.normal(0, 0.13, (classes, 200))
    x = (centre[label] + random.normal(0, 1, (n, 200))) * random.uniform(0.1, 30, 200)
    return x + random.uniform(-50, 50, 200), np.array([f"c{k}" for k in label])


@pytest.fixture(scope="module", params=[2, 3])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    x, label = wide(classes=request.param)
    return Case(tmp_path_factory.mktemp("wide"), x, label, parts(len(x)))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outofcore, "BLOCK_BYTES", 60_000)  # 75 rows: many blocks, the last a part


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("linear_svm", {}),
        ("linear_svm", {"settings": {"C": 0.01, "class_weight": "balanced"}}),
        ("linear_svm", {"settings": {"class_weight": {"c0": 3.0}, "fit_intercept": False}}),
        ("logistic_regression", {}),
        ("logistic_regression", {"settings": {"C": 0.1, "class_weight": {"c1": 4.0}}}),
        ("logistic_regression", {"settings": {"fit_intercept": False}, "pca": 165}),
        ("linear_svm", {"scale": True, "pca": 165}),
    ],
)
def test_passes_find_the_solution_of_memory(case: Case, kind: str, given: dict[str, Any]) -> None:
    given = given | {"settings": given.get("settings", {}) | {"tol": 1e-6}}
    held = case.fit(kind, tag="held", **given)
    passes = case.fit(kind, tag="passes", memory_mb=SMALL, **given)
    assert "in passes over the file: the" in passes.notes and "memory_mb (1)" in passes.notes
    assert "passes" not in held.notes
    a, b = (classifiers.load(r.model).pipeline.steps[-1][1] for r in (held, passes))
    if kind == "linear_svm":
        a, b = (m.calibrated_classifiers_[0].estimator for m in (a, b))
    assert type(a) is type(b)
    if "pca" not in given:  # components may have either sign
        np.testing.assert_allclose(a.coef_, b.coef_, atol=0.003)
        offsets = [m.intercept_ - np.mean(m.intercept_) for m in (a, b)]  # all of them may shift
        np.testing.assert_allclose(*offsets, atol=0.003)
    # Probabilities of the machine are learned from other held-out rows.
    np.testing.assert_allclose(held.p, passes.p, atol=0.05 if kind == "linear_svm" else 0.01)
    assert (held.table["predicted"] == passes.table["predicted"]).mean() > 0.99
    assert held.accuracy == pytest.approx(passes.accuracy, abs=0.005)
    assert held.accuracy > 1 / len(case.classes) + 0.2


def test_a_budget_that_holds_all_changes_no_bit(case: Case) -> None:
    for kind in ("linear_svm", "logistic_regression", "random_forest"):
        few, many = (case.fit(kind, tag=str(mb), memory_mb=mb) for mb in (2, 2000))
        assert few.p.tobytes() == many.p.tobytes() and few.meta["notes"] == many.meta["notes"]


def test_threads_change_no_bit_of_passes(case: Case) -> None:
    one, two = (
        case.fit("linear_svm", tag=f"{n} threads", memory_mb=SMALL, threads=n) for n in (1, 3)
    )
    assert one.p.tobytes() == two.p.tobytes()


@pytest.mark.parametrize("kind", ["svm", "random_forest", "knn"])
def test_others_learn_from_a_sample_and_say_so(case: Case, kind: str) -> None:
    few = case.fit(kind, tag="sample", memory_mb=SMALL)
    train = int((case.table["holdout"] == "train").sum())
    rows = 1_000_000 // 800
    assert f"stratified sample of {rows:,} rows: the {train:,} training" in few.notes
    about = classifiers.load(few.model).about
    assert any("memory_mb (1)" in note for note in about["notes"])
    held = case.fit(kind, tag="held", memory_mb=2000)
    assert held.notes.count("sample") == 0
    assert few.accuracy > held.accuracy - 0.08


def test_an_odd_setting_takes_the_sample(case: Case) -> None:
    told = case.fit("linear_svm", tag="odd", memory_mb=SMALL, settings={"loss": "hinge", "C": 0.01})
    assert "stratified sample of" in told.notes and "passes" not in told.notes


def test_few_components_are_held_after_one_reading(case: Case) -> None:
    """Then the rest is as in memory: a fraction of the variance keeps the same components."""
    held = case.fit("logistic_regression", tag="held", pca=0.5)
    passes = case.fit("logistic_regression", tag="passes", pca=0.5, memory_mb=SMALL)
    steps = [dict(classifiers.load(r.model).pipeline.steps)["pca"] for r in (held, passes)]
    a, b = steps
    assert a.n_components_ == b.n_components_ < 200
    np.testing.assert_allclose(a.explained_variance_ratio_, b.explained_variance_ratio_, rtol=1e-3)
    same = np.abs((a.components_ * b.components_).sum(axis=1))
    np.testing.assert_allclose(same, 1, atol=0.05)
    np.testing.assert_allclose(held.p, passes.p, atol=0.02)


def test_features_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    x, label = wide()
    x[-1, 7] = np.nan
    broken = Case(tmp_path, x, label, ["train"] * 2000 + ["test"] * 1599 + ["train"])
    with pytest.raises(UserError, match="not numbers"):
        broken.fit("linear_svm", memory_mb=SMALL)


def test_passes_that_end_too_early_are_told(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    told = case.fit("linear_svm", memory_mb=SMALL, settings={"max_iter": 3}, tag="early")
    assert "stopped after max_iter = 3" in told.notes
    monkeypatch.setattr(outofcore, "PASSES", 4)
    told = case.fit("logistic_regression", memory_mb=SMALL, tag="early")
    assert "stopped after max_iter = 4" in told.notes


def test_memory_holds_blocks_and_not_all_rows(tmp_path: Path) -> None:
    """16 MB of features, read in blocks of 60 kB: what is allocated stays far below."""
    import tracemalloc

    n, d = 20_000, 200
    random = np.random.default_rng(0)
    path = str(tmp_path / "f.h5")
    y = np.arange(n) % 3
    with store.features_writer(path, n, d, np.arange(n), np.zeros(n), name="f", layer="f") as out:
        out[:] = random.normal(0, 1, (n, d)) + y[:, None]
    rows = outofcore.Blocks(store.open_features(path).features, np.arange(n))
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    tracemalloc.start()
    step = StandardScaler()
    made = outofcore.prepared([("scale", step)], rows, SMALL, 1)
    assert isinstance(made, outofcore.Blocks)
    outofcore.fit("linear_svm", LinearSVC(), made, y, [None], 1, passes=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000 < 4 * n * d


@pytest.mark.parametrize(
    ("kind", "rows", "words"),
    [
        ("linear_svm", 5_000_000, "in passes over the file"),
        ("random_forest", 5_000_000, "to a sample of 3,906,250"),
        ("knn", 1_000, None),
    ],
)
def test_it_is_told_before_anything_runs(kind: str, rows: int, words: str | None) -> None:
    told = classifiers.forecast(kind, rows, 128, {}, None, 2000).message
    assert (words in told) if words and told else told is None


def test_calibration_holds_whole_groups_out(tmp_path: Path) -> None:
    """Rows of a group are near copies: probabilities learned from their own fits are too sure."""
    x, label = wide(600)
    random = np.random.default_rng(1)
    many = np.repeat(x, 6, axis=0) + random.normal(0, 1e-3, (3600, 200))
    group = np.repeat([f"g{i}" for i in range(600)], 6)
    part = np.repeat(parts(600), 6)
    losses = []
    for name, groups in (("grouped", group), ("apart", [f"r{i}" for i in range(3600)])):
        case = Case(tmp_path / name, many, np.repeat(label, 6), part, group=list(groups))
        told = case.fit("linear_svm", memory_mb=SMALL, settings={"C": 1.0, "max_iter": 100})
        assert "in passes" in told.notes
        own = told.table["part"] == "test"
        truth = told.table["class"].to_numpy()[own]
        losses.append(-np.log(told.p[own][np.arange(own.sum()), truth] + 1e-12).mean())
    assert losses[0] < 0.8 * losses[1]


def test_digits_in_passes(tmp_path: Path) -> None:
    x, label = digits()
    many = np.repeat(x, 6, axis=0) + np.random.default_rng(0).normal(0, 0.1, (6 * len(x), 64))
    case = Case(tmp_path, many, np.repeat(label, 6), parts(len(many)))
    held, passes = (
        case.fit("logistic_regression", tag=str(mb), memory_mb=mb) for mb in (2000, SMALL)
    )
    assert "in passes" in passes.notes
    assert abs(held.accuracy - passes.accuracy) < 0.004 and passes.accuracy > 0.93
