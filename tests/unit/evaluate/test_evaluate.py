from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, recall_score

from darkroom.errors import UserError
from darkroom.evaluate import doubt
from darkroom.evaluate.evaluate import evaluate_dataset
from darkroom.evaluate.ranking import CHOSEN, choose
from darkroom.features import predictions
from darkroom.names import run_name
from darkroom.split import plan, splits

CLASSES = ["a", "b", "c"]
TABLES = ("metrics", "summary", "class_metrics", "thresholds", "abstention")
TYPES: Any = {"class": str, "seed": "Int64"}


class Study:
    """A data set in a folder, split for real, with made-up predictions of known skill."""

    def __init__(
        self, folder: Path, n: int = 300, classes: list[str] = CLASSES, **split: Any
    ) -> None:
        self.folder = folder
        self.classes = classes
        k = len(classes)
        self.table = pd.DataFrame(
            {
                "row": np.arange(n),
                "path": [f"{classes[i % k]}/{i}.png" for i in range(n)],
                "label": [classes[i % k] for i in range(n)],
                "group": None,
                "split": None,
                "sha256": [str(i) for i in range(n)],
                "status": "ok",
            }
        )
        self.cfg = {
            "dataset": "d",
            "classes": None,
            "duplicates": "group",
            "split": {
                "given": "use",
                "validation": 0.15,
                "test": 0.2,
                "folds": None,
                "stratify": True,
                "seed": 0,
                "quotas": {},
                **split,
            },
        }
        self.files: list[str] = []

    def split(self) -> splits.Splits:
        self.table.to_parquet(self.folder / "manifest.parquet")
        manifest, output = self.folder / "manifest.parquet", self.folder / "splits.parquet"
        indices = str(self.folder / "class_indices.json")
        copies = self.folder / "copies.parquet"
        pd.DataFrame({"row": [], "of": []}, dtype="int64").to_parquet(copies)
        plan.split_rows(str(manifest), str(copies), str(output), indices=indices, cfg=self.cfg)
        self.splits = splits.read_splits(str(output))
        return self.splits

    def predict(
        self,
        features: str | tuple[str, int],
        classifier: str,
        fold: str = "holdout",
        skill: float = 2,
        seed: int = 0,
        shift: float = 0,
    ) -> None:
        """Of the features of a network and its seed, or of others by their name."""
        table = self.splits.table
        rows = table[table[fold].isin(["validation", "test"])]
        rng = np.random.default_rng([seed, len(self.files)])
        z = rng.normal(size=(len(rows), len(self.classes)))
        z[np.arange(len(rows)), rows["class"]] += skill
        z[:, -1] += shift
        made = (
            {} if isinstance(features, str) else dict(zip(("model", "seed"), features, strict=True))
        )
        name = features if isinstance(features, str) else run_name(*features)
        run = predictions.Run.on(name, made, fold=fold, classifier=classifier)
        path = str(self.folder / fold / name / classifier / "predictions.parquet")
        predictions.write_predictions(
            path,
            rows["row"],
            rows[fold],
            rows["class"],
            np.exp(z),
            dataset="d",
            run=run,
            classes=self.classes,
        )
        self.files.append(path)

    def evaluate(
        self, threshold: float | str = 0.5, point: dict[str, float] | None = None
    ) -> dict[str, pd.DataFrame]:
        out = self.folder / "out"
        evaluate_dataset(
            self.files,
            str(self.folder / "manifest.parquet"),
            str(self.folder / "splits.parquet"),
            **{name: str(out / f"{name}.parquet") for name in TABLES},
            collected=str(out / "predictions.parquet"),
            cfg={"dataset": "d", "threshold": threshold, "operating_point": point, "notice": ""},
        )
        made = {p.name for p in out.iterdir()}
        assert made == {f"{n}.{s}" for n in TABLES for s in ("csv", "parquet")} | {
            "predictions.parquet"
        }
        tables = {f"{n}.csv": pd.read_csv(out / f"{n}.csv", dtype=TYPES) for n in TABLES}
        for name, table in tables.items():
            exact = pd.read_parquet((out / name).with_suffix(".parquet"))
            pd.testing.assert_frame_equal(exact, table, check_dtype=False, atol=1e-6)
        return {**tables, "predictions.parquet": pd.read_parquet(out / "predictions.parquet")}


METRICS = [
    f"{metric}{end}"
    for metric in (
        "accuracy",
        "balanced_accuracy",
        "precision_macro",
        "recall_macro",
        "f1_macro",
        "f1_weighted",
        "roc_auc",
        "log_loss",
        "brier",
    )
    for end in ("", "_low", "_high")
]


def test_the_files(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.split()
    for seed in (0, 1):
        study.predict(("cnn", seed), "head")
        study.predict(("cnn", seed), "svm", skill=1)
    study.predict("pixels", "svm", skill=0.5)
    tables = study.evaluate()

    metrics = tables["metrics.csv"]
    names = ["model", "seed", "fold", "feature_set", "classifier", "part", "n", "groups"]
    decisions = list(doubt.COLUMNS)
    assert list(metrics.columns) == names + METRICS + decisions
    assert (metrics["groups"] == metrics["n"]).all()
    assert len(metrics) == 5 * 2
    assert metrics["feature_set"].drop_duplicates().tolist() == ["cnn-seed0", "cnn-seed1", "pixels"]
    assert metrics.loc[metrics["model"] == "pixels", "seed"].isna().all()
    assert set(metrics.loc[metrics["model"] == "cnn", "seed"]) == {0, 1}
    assert metrics.groupby("part")["n"].unique().map(list).to_dict() == {
        "test": [60],
        "validation": [36],
    }
    together = tables["predictions.parquet"]
    front = [*names[:5], "path", "row", "part", "class", "most_probable", "predicted"]
    assert list(together.columns) == [*front, "p:a", "p:b", "p:c"]
    assert len(together) == 5 * 96
    path = study.table.set_index("row")["path"]
    assert (together["path"].to_numpy() == path[together["row"]].to_numpy()).all()

    for _, line in metrics.iterrows():
        same = together[
            (together["feature_set"] == line["feature_set"])
            & (together["classifier"] == line["classifier"])
            & (together["part"] == line["part"])
        ]
        assert line["accuracy"] == pytest.approx(
            accuracy_score(same["class"], same["predicted"]), abs=1e-6
        )
        for metric in METRICS[::3]:
            of_few = metric[:2] == "f1" and line["part"] == "validation"  # 12 a class
            if metric in ("log_loss", "brier") or of_few:  # the losses of fewer than 100 rows
                assert np.isnan(line[f"{metric}_low"])
            else:
                assert line[f"{metric}_low"] <= line[metric] <= line[f"{metric}_high"]

    assert tables["thresholds.csv"].empty, "three classes have no threshold"
    by_class = tables["class_metrics.csv"]
    assert list(by_class.columns) == [
        "model", "classifier", "part", "class", "n",
        "precision", "precision_low", "precision_high", "recall", "recall_low", "recall_high",
        "f1", "f1_low", "f1_high", "roc_auc", "roc_auc_low", "roc_auc_high",
    ]  # fmt: skip
    assert len(by_class) == 3 * 2 * 3
    first = together.query("part == 'test' and model == 'cnn' and classifier == 'head'")
    recall = by_class.query("part == 'test' and model == 'cnn' and classifier == 'head'")
    assert recall["recall"].to_numpy() == pytest.approx(
        recall_score(first["class"], first["predicted"], average=None), abs=1e-6
    )
    assert recall["class"].tolist() == CLASSES and recall["n"].tolist() == [20, 20, 20]

    summary = tables["summary.csv"]
    ends = ("", "_sd", "_low", "_high")
    sizes = ["runs", "images", "groups"]
    assert (
        list(summary.columns)
        == ["model", "classifier", "part", *sizes]
        + [f"{metric}{end}" for metric in METRICS[::3] for end in ends]
        + decisions
    )
    assert summary[["model", "classifier"]].drop_duplicates().to_numpy().tolist() == [
        ["cnn", "head"],
        ["cnn", "svm"],
        ["pixels", "svm"],
    ]
    assert summary["runs"].tolist() == [2, 2, 2, 2, 1, 1]
    assert summary["images"].tolist() == [36, 60] * 3
    for _, line in summary.iterrows():
        runs = metrics[
            (metrics["model"] == line["model"])
            & (metrics["classifier"] == line["classifier"])
            & (metrics["part"] == line["part"])
        ]
        assert line["accuracy"] == pytest.approx(runs["accuracy"].mean(), abs=1e-6)
        if line["runs"] == 2:
            assert line["accuracy_sd"] == pytest.approx(runs["accuracy"].std(), abs=1e-6)
        else:
            assert np.isnan(line["accuracy_sd"])


def widths(tables: dict[str, pd.DataFrame]) -> tuple[float, float]:
    """Mean width of the runs' accuracy intervals on the test, and of their mean's."""
    runs, means = (tables[n].query("part == 'test'") for n in ("metrics.csv", "summary.csv"))
    assert len(means) == 1
    width = runs["accuracy_high"] - runs["accuracy_low"]
    return float(width.mean()), float((means["accuracy_high"] - means["accuracy_low"]).item())


def test_equal_seeds_tell_no_more_than_one(tmp_path: Path) -> None:
    # Three seeds with the very same predictions: the mean is as uncertain as each.
    study = Study(tmp_path)
    study.split()
    study.predict(("cnn", 0), "head")
    table, meta = predictions.read_predictions(study.files[0])
    for seed in (1, 2):
        path = str(tmp_path / f"{seed}.parquet")
        meta["run"] = meta["run"]._replace(seed=seed, feature_set=run_name("cnn", seed))
        p = predictions.probabilities(table, CLASSES)
        predictions.write_predictions(path, table["row"], table["part"], table["class"], p, **meta)
        study.files.append(path)
    one, mean = widths(study.evaluate())
    assert mean == pytest.approx(one, abs=1e-6)


def test_folds_pool_to_the_whole_data_set(tmp_path: Path) -> None:
    # Five folds test each of 300 images once: a fifth of a fold's variance for the mean, and what
    # folds differ by beyond their images.
    study = Study(tmp_path, folds=5)
    for fold in study.split().folds:
        study.predict(("cnn", 0), "svm", fold=fold, skill=1)
    tables = study.evaluate()
    one, mean = widths(tables)
    assert mean < one
    summary = tables["summary.csv"].query("part == 'test'").iloc[0]
    assert summary["runs"] == 5
    expected = 2 * 1.96 * np.sqrt(summary["accuracy"] * (1 - summary["accuracy"]) / 300)
    assert 0.95 * expected < mean < 2 * expected


def test_whole_groups_count(tmp_path: Path) -> None:
    # Ten images of each patient, right or wrong together: wider than for single images.
    found = []
    for grouped in (False, True):
        folder = tmp_path / str(grouped)
        folder.mkdir()
        study = Study(folder, n=900)
        study.table["label"] = [CLASSES[i // 10 % 3] for i in range(900)]
        if grouped:
            study.table["group"] = [f"p{i // 10}" for i in range(900)]
        rows = study.split().table
        rows = rows[rows["holdout"] == "test"]
        right = (rows["row"] // 10 * 7 % 10 < 7).to_numpy()
        p = np.full((len(rows), 3), 0.1)
        p[np.arange(len(rows)), np.where(right, rows["class"], (rows["class"] + 1) % 3)] = 0.8
        study.files = [str(folder / "p.parquet")]
        predictions.write_predictions(
            study.files[0],
            rows["row"],
            rows["holdout"],
            rows["class"],
            p,
            dataset="d",
            run=predictions.Run("x", None, "holdout", "x", "svm"),
            classes=CLASSES,
        )
        found.append(widths(study.evaluate())[0])
    assert found[1] == pytest.approx(found[0] * np.sqrt(10), rel=0.3)


def test_perfect_predictions_keep_an_interval(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.split()
    study.predict(("cnn", 0), "head", skill=50)
    tables = study.evaluate()
    for name in ("metrics.csv", "summary.csv"):
        line = tables[name].query("part == 'test'").iloc[0]
        assert line["accuracy"] == line["accuracy_high"] == 1
        assert line["accuracy_low"] == pytest.approx(0.025 ** (1 / 60), abs=1e-6)
        assert line["roc_auc"] == line["roc_auc_high"] == 1 > line["roc_auc_low"] > 0.9
    by_class = tables["class_metrics.csv"].query("part == 'test'")
    assert by_class["recall_low"].to_numpy() == pytest.approx([0.025 ** (1 / 20)] * 3, abs=1e-6)


def test_fewer_than_five_patients_give_no_interval(tmp_path: Path) -> None:
    found = {}
    for patients in (3, 8):
        (tmp_path / str(patients)).mkdir()
        study = Study(tmp_path / str(patients), n=30 * patients, test=0)
        study.table["group"] = [f"p{i // 30}" for i in range(30 * patients)]
        study.table["split"] = "validation"
        study.table.loc[:2, "split"] = "train"
        study.table.loc[:2, "group"] = "other"
        study.split()
        study.predict("pixels", "svm")
        tables = study.evaluate()
        found[patients] = tables["summary.csv"].iloc[0]
        assert found[patients]["groups"] == patients
        assert found[patients]["accuracy"] > 0.5
        ends = tables["class_metrics.csv"]["recall_low"]
        assert ends.isna().all() if patients < 5 else ends.notna().all()
    for metric in METRICS[::3]:
        assert np.isnan(found[3][f"{metric}_low"]), metric
    assert found[8]["accuracy_low"] < found[8]["accuracy"] < found[8]["accuracy_high"]


def test_what_each_fold_chooses_is_scored_by_that_fold_alone(tmp_path: Path) -> None:
    """The validation rows of a fold are test rows of others: over all folds they would choose these."""
    study = Study(tmp_path, folds=3)
    folds = study.split().folds
    skills = {"svm": (2.5, 0.5, 1), "knn": (0.5, 2.5, 1), "forest": (1, 1, 2.5)}
    for classifier, by_fold in skills.items():
        for fold, skill in zip(folds, by_fold, strict=True):
            study.predict("pixels", classifier, fold, skill=skill)
    tables = study.evaluate()
    runs = tables["metrics.csv"].set_index(["fold", "classifier", "part"])["accuracy"]
    best = dict(zip(folds, skills, strict=True))
    line = tables["summary.csv"].query("model == '*' and part == 'test'")
    assert line["runs"].item() == 3 and line["images"].item() == 300
    expected = np.mean([runs[fold, best[fold], "test"] for fold in folds])
    assert line["accuracy"].item() == pytest.approx(expected, abs=1e-3)
    assert choose(tables["summary.csv"]).key != CHOSEN  # type: ignore[union-attr]


def test_the_table_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    study = Study(tmp_path)
    study.split()
    for features in (("cnn", 0), ("cnn", 1), "a_long_name"):
        study.predict(features, "svm")
    caplog.clear()
    summary = study.evaluate()["summary.csv"].query("part == 'test'")
    title, head, first, second = caplog.messages
    assert title == "d: 60 test images, 95 % intervals"
    assert head.split("  ")[1] == "model" and "balanced accuracy" in head and "ROC AUC" in head
    line = summary.iloc[0]
    cell = f"{line['accuracy']:.3f} [{line['accuracy_low']:.3f}, {line['accuracy_high']:.3f}]"
    assert first.split()[:3] == ["cnn", "svm", "2"] and cell in first
    assert second.split()[:3] == ["a_long_name", "svm", "1"]
    assert first.index(cell) == head.index("accuracy") == second.index("0.")


def test_validation_is_told_where_there_is_no_test(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    study = Study(tmp_path, test=0)
    study.split()
    study.predict("pixels", "svm")
    caplog.clear()
    assert set(study.evaluate()["metrics.csv"]["part"]) == {"validation"}
    assert "validation images, as there is no test set" in caplog.messages[0]


def test_mistakes_leave_nothing_behind(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.split()
    with pytest.raises(UserError, match="d: nothing to evaluate"):
        study.evaluate()
    study.predict("pixels", "svm")
    table, meta = predictions.read_predictions(study.files[0])
    p = predictions.probabilities(table, CLASSES)
    meta["classes"] = ["a", "b", "other"]
    predictions.write_predictions(
        study.files[0], table["row"], table["part"], table["class"], p, **meta
    )
    with pytest.raises(ValueError, match="other classes"):
        study.evaluate()
    meta["classes"] = CLASSES
    wrong = np.where(table["part"] == "test", "validation", "test")
    predictions.write_predictions(study.files[0], table["row"], wrong, table["class"], p, **meta)
    with pytest.raises(ValueError, match="not validation rows"):
        study.evaluate()
    assert list((tmp_path / "out").iterdir()) == []


def test_notes_of_the_classifiers_are_handed_on_each_once(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.split()
    for seed in range(2):
        study.predict(("cnn", seed), "svm", seed=seed)
        table, meta = predictions.read_predictions(study.files[-1])
        p = predictions.probabilities(table, CLASSES)
        meta |= {"notes": ["fitted on a sample of 100 rows", f"seed {seed}"]}
        predictions.write_predictions(
            study.files[-1], table["row"], table["part"], table["class"], p, **meta
        )
    study.evaluate()
    metadata = pq.read_metadata(tmp_path / "out/predictions.parquet").metadata
    notes = json.loads(metadata[b"darkroom"])["notes"]
    assert notes == ["svm: fitted on a sample of 100 rows", "svm: seed 0", "svm: seed 1"]


# ---------------------------------------------------------------- thresholds of two classes


def two_classes(folder: Path, **split: Any) -> Study:
    """Dogs are seen too seldom: a threshold below 0.5 serves better."""
    study = Study(folder, classes=["cat", "dog"], **split)
    for fold in study.split().folds:
        study.predict(("cnn", 0), "head", fold, skill=1.5, shift=-2)
        study.predict("pixels", "svm", fold, skill=1, shift=-1)
    return study


def test_a_given_threshold_decides_every_table(tmp_path: Path) -> None:
    study = two_classes(tmp_path)
    usual, low = study.evaluate(), study.evaluate(threshold=0.2)
    for tables, threshold in ((usual, 0.5), (low, 0.2)):
        told = tables["thresholds.csv"]
        told_of = ["model", "feature_set", "classifier", "fold", "positive", "how"]
        assert told[told_of].to_numpy().tolist() == [
            ["cnn", "cnn-seed0", "head", "holdout", "dog", "given"],
            ["pixels", "pixels", "svm", "holdout", "dog", "given"],
        ]
        assert told["threshold"].tolist() == [threshold] * 2
        said = tables["predictions.parquet"]
        assert ((said["p:dog"] >= threshold) == (said["predicted"] == 1)).all()
        assert ((said["p:dog"] > said["p:cat"]) == (said["most_probable"] == 1)).all()
        for _, line in told.iterrows():
            for part in ("validation", "test"):
                same = said[(said["feature_set"] == line["feature_set"]) & (said["part"] == part)]
                cat, dog = (
                    tables["class_metrics.csv"]
                    .query(f"model == '{line['model']}' and part == '{part}'")
                    .itertuples()
                )
                ends = (line[f"{part}_sensitivity_low"], line[f"{part}_sensitivity_high"])
                assert ends == pytest.approx((dog.recall_low, dog.recall_high), abs=1e-6)
                assert dog.recall == pytest.approx(line[f"{part}_sensitivity"], abs=1e-6)
                assert cat.recall == pytest.approx(line[f"{part}_specificity"], abs=1e-6)
                assert dog.precision == pytest.approx(line[f"{part}_precision"], abs=1e-6)
                assert cat.precision == pytest.approx(line[f"{part}_npv"], abs=1e-6)
                metrics = tables["metrics.csv"].query(
                    f"feature_set == '{line['feature_set']}' and part == '{part}'"
                )
                right = accuracy_score(same["class"], same["predicted"])
                assert metrics["accuracy"].item() == pytest.approx(right, abs=1e-6)
    assert (
        low["thresholds.csv"]["test_sensitivity"] > usual["thresholds.csv"]["test_sensitivity"]
    ).all()
    # what the threshold cannot change
    for metric in ("roc_auc", "log_loss"):
        assert (low["metrics.csv"][metric] == usual["metrics.csv"][metric]).all()
    # the runs' own files stay as they were
    table, _ = predictions.read_predictions(study.files[0])
    assert (table["most_probable"] == (table["p:dog"] > table["p:cat"])).all()
    assert "predicted" not in table


@pytest.mark.parametrize("how", ["accuracy", "balanced_accuracy", "f1"])
def test_a_threshold_is_chosen_by_validation_and_never_by_the_test(
    tmp_path: Path, how: str
) -> None:
    study = two_classes(tmp_path, folds=3)
    told = study.evaluate(threshold=how)["thresholds.csv"]
    assert (told["how"] == how).all() and told["threshold"].nunique() > 1
    assert (told["threshold"] < 0.5).all()
    # the test rows' answers turned around: the same thresholds, other scores
    for path in study.files:
        table, meta = predictions.read_predictions(path)
        p = predictions.probabilities(table, meta["classes"])
        p[table["part"] == "test"] = p[table["part"] == "test"][:, ::-1]
        predictions.write_predictions(path, table["row"], table["part"], table["class"], p, **meta)
    again = study.evaluate(threshold=how)["thresholds.csv"]
    assert again["threshold"].tolist() == told["threshold"].tolist()
    assert (again["validation_sensitivity"] == told["validation_sensitivity"]).all()
    assert (again["test_sensitivity"] != told["test_sensitivity"]).any()


def test_a_threshold_raises_what_it_was_chosen_for(tmp_path: Path) -> None:
    study = two_classes(tmp_path)
    usual = study.evaluate()["metrics.csv"].query("part == 'validation'")
    for how in ("accuracy", "balanced_accuracy"):
        best = study.evaluate(threshold=how)["metrics.csv"].query("part == 'validation'")
        assert (best[how].to_numpy() > usual[how].to_numpy() + 0.02).all()


@pytest.mark.parametrize("wanted", ["sensitivity", "specificity"])
def test_an_operating_point_reaches_on_validation_what_is_wanted(
    tmp_path: Path, wanted: str
) -> None:
    """And its rates on the test rows are those of its threshold, as if that were given."""
    study = two_classes(tmp_path)
    usual = study.evaluate()["thresholds.csv"]
    told = study.evaluate(point={wanted: 0.9})["thresholds.csv"]
    assert (told["operating_point"] == f"{wanted} 0.9").all()
    pd.testing.assert_frame_equal(told[list(usual)], usual)  # beside it, nothing changes
    for i, threshold in enumerate(told["operating_threshold"]):
        given = study.evaluate(threshold=threshold)["thresholds.csv"].loc[i]
        for name in usual.columns[list(usual).index("how") + 1 :]:
            part, rate = name.split("_", 1)
            assert told.loc[i, f"{part}_operating_{rate}"] == pytest.approx(given[name], abs=1e-9)
        assert given[f"validation_{wanted}"] >= 0.9
        # no threshold of a validation row reaches it with more of the other
        other = "specificity" if wanted == "sensitivity" else "sensitivity"
        table, _ = predictions.read_predictions(study.files[i])
        rows = table[table["part"] == "validation"]
        dog, p = rows["class"].to_numpy() == 1, rows["p:dog"].to_numpy()
        rates = [
            {"sensitivity": (p[dog] >= t).mean(), "specificity": (p[~dog] < t).mean()} for t in p
        ]
        best = max(r[other] for r in rates if r[wanted] >= 0.9)
        assert given[f"validation_{other}"] == pytest.approx(best, abs=1e-6)


def test_operating_points_that_cannot_be(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.split()
    study.predict("pixels", "svm")
    with pytest.raises(UserError, match=r"d\.operating_point is for two classes.*are 3"):
        study.evaluate(point={"sensitivity": 0.9})
    (tmp_path / "two").mkdir()
    study = two_classes(tmp_path / "two", validation=0)
    with pytest.raises(UserError, match=r"operating_point needs validation rows of both"):
        study.evaluate(point={"sensitivity": 0.9})


def test_thresholds_that_cannot_be(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.split()
    study.predict("pixels", "svm")
    for asked in (0.4, "f1"):
        with pytest.raises(UserError, match=r"d\.threshold: a threshold is for two classes.*are 3"):
            study.evaluate(threshold=asked)
    (tmp_path / "two").mkdir()
    study = two_classes(tmp_path / "two", validation=0)
    with pytest.raises(UserError, match=r"needs validation rows of both classes.*has none"):
        study.evaluate(threshold="accuracy")
    assert study.evaluate(threshold=0.4)["thresholds.csv"]["validation_sensitivity"].isna().all()
