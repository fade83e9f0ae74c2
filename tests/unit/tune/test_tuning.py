"""Networks and classifiers tried with drawn settings; what was chosen is used and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom import metrics, overrides
from darkroom.classify.fitting import fit_classifier
from darkroom.errors import UserError
from darkroom.features import predictions
from darkroom.images import features_file
from darkroom.report import drawing, tuning
from darkroom.report.searches import Search
from darkroom.report.searches import read as read_searches
from darkroom.train import training
from darkroom.tune import classifier_trials, model_trials
from darkroom.tune.choose import choose_setting
from tests.support import tiny_data
from tests.support.report_folder import Folder, Plan
from tests.support.report_page import write
from tests.support.stopped import at_most, stopped_after
from tests.unit.tune.test_trials import no_sync  # noqa: F401  (for every test here too)

LOG = {"log": True, "step": None}
# few layers: most of a trial's time is TensorFlow's graph of them
LAYERS = tiny_data.LAYERS[2:]
SPACE: dict[str, Any] = {
    "optimizer.learning_rate": {"low": 1e-3, "high": 1e-1, **LOG},
    "layers.3.dropout.rate": {"low": 0.0, "high": 0.5, "log": False, "step": None},
}


class Tried:
    """A tiny data set in a folder, and a search on it."""

    def __init__(self, folder: Path, **data: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.images, self.splits, _ = tiny_data.write(folder, variants=False, **data)

    def __call__(self, number: int, model: dict[str, Any] | None = None, **tune: Any) -> Any:
        asked = {"space": SPACE, "seed": 0, "prune": True, "objective": "loss", "epochs": 3} | tune
        output = self.folder / f"trial-{number}.json"
        model_trials.try_model(
            self.images,
            self.splits,
            None,
            output=str(output),
            number=number,
            cfg=tiny_data.settings(layers=LAYERS, **(model or {})) | {"name": "cnn", "tune": asked},
            code="a",
            threads=1,
        )
        return json.loads(output.read_text())

    def choose(self, *numbers: int) -> Any:
        return choose(self.folder, *numbers)


def choose(folder: Path, *numbers: int) -> Any:
    choose_setting(
        [str(folder / f"trial-{n}.json") for n in numbers],
        best=str(folder / "best.json"),
        table=str(folder / "trials.csv"),
        cfg={"dataset": "tiny", "fold": "holdout", "model": "it"},
    )
    return json.loads((folder / "best.json").read_text())


# ---------------------------------------------------------------- networks


def test_a_trial_is_judged_by_validation_and_keeps_no_model(tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    found = tried(1, objective="accuracy")
    assert (found["state"], found["epochs"], len(found["values"])) == ("complete", 3, 3)
    assert found["params"]["optimizer.learning_rate"] == 0.01  # as written
    assert found["value"] in found["values"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "images.h5", "journal.log", "splits.parquet", "trial-1.json",
    ]  # fmt: skip


def test_the_kept_epoch_is_the_one_judged(tmp_path: Path) -> None:
    best, last = (Tried(tmp_path / n)(1, {"keep": n, "epochs": 3}) for n in ("best", "last"))
    assert best["value"] == min(best["values"]) and last["value"] == last["values"][-1]


def test_the_same_seed_gives_the_same_best(tmp_path: Path) -> None:
    said = []
    for name in ("one", "two"):
        tried = Tried(tmp_path / name)
        for n in (1, 2):
            tried(n)
        tried.choose(1, 2)
        said.append((tmp_path / name / "best.json").read_bytes())
    assert said[0] == said[1]


def test_cut_off_a_trial_goes_on_from_its_last_whole_epoch(
    tmp_path: Path,
) -> None:
    whole = Tried(tmp_path / "whole")(2)
    tried = Tried(tmp_path / "cut")
    with stopped_after(2 * 3 + 1):  # three steps an epoch: in the third
        tried(2)
    with at_most(3):  # one epoch is left
        found = tried(2)
    same = ("params", "values", "value", "state", "epochs")
    assert {k: found[k] for k in same} == {k: whole[k] for k in same}


def test_what_cannot_be_trained_fails_with_its_reason(tmp_path: Path) -> None:
    tried = Tried(tmp_path)
    pools = {"layers.0.pool.size": [2, 3, 30]}
    by_size = {n: tried(n, space=pools) for n in range(1, 4)}
    failed = [r for r in by_size.values() if r["params"]["layers.0.pool.size"] == 30]
    assert failed and all(r["state"] == "failed" and "layers[0]" in r["reason"] for r in failed)
    assert tried.choose(*by_size)["params"]["layers.0.pool.size"] in (2, 3)


def test_a_divergence_fails_with_its_reason(tmp_path: Path) -> None:
    space = {"optimizer.learning_rate": {"low": 1e18, "high": 1e20, **LOG}}
    found = Tried(tmp_path)(1, {"epochs": 2}, space=space)
    assert found["state"] == "failed" and found["value"] is None
    assert (
        "diverged" in found["reason"] or "no number" in found["reason"] or "nan" in found["reason"]
    )


def test_without_validation_rows_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models\.cnn\.tune needs validation rows.*split"):
        Tried(tmp_path, validation=False)(1)


def test_the_training_takes_what_was_chosen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tried = Tried(tmp_path)
    tried(1, space={"layers.2.dense.units": [5, 7]})
    tried.choose(1)
    with caplog.at_level("INFO", "darkroom.train.training"):
        training.train_model(
            tried.images,
            tried.splits,
            None,
            model_path=str(tmp_path / "model.keras"),
            history_path=str(tmp_path / "history.csv"),
            resume=str(tmp_path / ".resume"),
            cfg=tiny_data.settings(layers=LAYERS, epochs=1),
            code="a",
            threads=1,
            tuned=str(tmp_path / "best.json"),
        )
    import keras

    units = keras.models.load_model(tmp_path / "model.keras").get_layer("code").units
    assert (
        units == json.loads((tmp_path / "best.json").read_text())["params"]["layers.2.dense.units"]
    )
    assert f"tuned: layers.2.dense.units {units} (trial 1 of 1, loss" in caplog.text
    (tmp_path / "best.json").write_text('{"params": {"nothing": 1}}')
    with pytest.raises(UserError, match=r"best\.json cannot be used.*no setting 'nothing'"):
        overrides.chosen(tiny_data.MODEL, str(tmp_path / "best.json"))


# ---------------------------------------------------------------- classifiers

KNN: dict[str, Any] = {
    "kind": "knn", "scale": None, "pca": None, "settings": {"n_neighbors": 3},
    "max_rows": None, "memory_mb": 2000, "seed": 0, "refit": False,
}  # fmt: skip
NEIGHBOURS = {"settings.n_neighbors": [1, 3, 9, 400], "settings.weights": ["uniform", "distance"]}


class Fitted:
    """Noisy features of three classes, and a search for the settings of neighbours."""

    def __init__(self, folder: Path, **data: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        _, self.splits, _ = tiny_data.write(folder, variants=False, **data)
        random = np.random.default_rng(0)
        label = np.sort(np.arange(90) % 3)
        values = np.eye(3, dtype=np.float32)[label] + random.normal(0, 0.5, (90, 3))
        self.features = str(folder / "features.h5")
        features_file.write_features(
            self.features, values.astype(np.float32), np.arange(90), np.zeros(90, np.int16),
            name="f", layer="l",
        )  # fmt: skip
        self.cfg = {
            "dataset": "tiny", "fold": "holdout", "features": "f", "name": "knn",
            "classifier": KNN, "balance": None, "balance_seed": 0,
        }  # fmt: skip

    def __call__(self, number: int, **tune: Any) -> Any:
        asked = {"space": NEIGHBOURS, "seed": 0, "objective": "accuracy"} | tune
        output = self.folder / f"trial-{number}.json"
        classifier_trials.try_classifier(
            self.features,
            self.splits,
            output=str(output),
            number=number,
            cfg=self.cfg | {"tune": asked},
            code="a",
            threads=1,
        )
        return json.loads(output.read_text())

    def fit(self, settings: dict[str, Any], tuned: str | None = None) -> tuple[Any, Any]:
        path = str(self.folder / "predictions.parquet")
        fit_classifier(
            self.features,
            self.splits,
            model_path=str(self.folder / "model.skops"),
            predictions_path=path,
            cfg=self.cfg | {"classifier": KNN | {"settings": settings}},
            tuned=tuned,
        )
        return predictions.read_predictions(path)


@pytest.mark.parametrize("objective", ["accuracy", "log_loss", "balanced_accuracy", "f1_macro"])
def test_a_classifier_is_judged_as_the_evaluation_does(tmp_path: Path, objective: str) -> None:
    fitted = Fitted(tmp_path)
    found = fitted(2, objective=objective)
    table, about = fitted.fit(
        {k.removeprefix("settings."): v for k, v in found["params"].items()}
        if found["state"] == "complete"
        else {}
    )
    assert found["state"] == "complete"
    own = table[table["part"] == "validation"]
    scores, _ = metrics.scores(
        own["class"], own["most_probable"], predictions.probabilities(own, about["classes"])
    )
    assert found["value"] == pytest.approx(float(scores[objective]), abs=1e-12)


def test_the_fit_takes_what_was_chosen_and_says_so(tmp_path: Path) -> None:
    fitted = Fitted(tmp_path)
    found = [fitted(n) for n in range(1, 9)]
    refused = [r for r in found if r["params"]["settings.n_neighbors"] == 400]
    assert refused and all("neighbors" in r["reason"] for r in refused)
    best = choose(tmp_path, *range(1, 9))
    assert best["value"] == max(r["value"] for r in found if r["value"] is not None)
    table, about = fitted.fit({"n_neighbors": 3}, tuned=str(tmp_path / "best.json"))
    expected, _ = fitted.fit({k.removeprefix("settings."): v for k, v in best["params"].items()})
    assert table.equals(expected)
    assert any(note.startswith("tuned: settings.n_neighbors") for note in about["notes"])


def test_a_classifier_needs_validation_rows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classifiers\.knn\.tune needs validation rows"):
        Fitted(tmp_path, validation=False)(1)


# ---------------------------------------------------------------- figures


def drawn(folder: Path, searches: list[Search]) -> str:
    path = str(folder / "tuning.svg")
    with drawing.drawing():
        drawing.save(tuning.drawn(searches), path)
    return Path(path).read_text()


def test_the_figure_shows_every_search(tmp_path: Path) -> None:
    fitted = Fitted(tmp_path)
    for n in range(1, 13):
        fitted(n)
    choose(tmp_path, *range(1, 13))
    searches = read_searches([str(tmp_path / "best.json")])
    (row,) = tuning.table(searches)
    assert (row["name"], row["of"], row["trials"]) == ("knn on f", "", 12)
    assert row["failed"] == sum(t.state == "failed" for t in searches[0].trials) > 0
    text = drawn(tmp_path, searches)
    for words in (
        "knn on f: accuracy",
        "settings.weights",
        "distance",
        "400",
        "failed",
        "importance",
    ):
        assert words in text
    assert "stopped early" not in text and "not known" not in text
    assert drawn(tmp_path, searches) == text


def test_the_figure_says_what_it_cannot_show(tmp_path: Path) -> None:
    assert "No setting was tuned" in drawn(tmp_path, [])
    fitted = Fitted(tmp_path)
    fitted(1)
    choose(tmp_path, 1)
    assert "not known: 1 trials came to" in drawn(
        tmp_path, read_searches([str(tmp_path / "best.json")])
    )


def test_the_page_has_a_part_on_tuning_where_there_was_any(tmp_path: Path) -> None:
    fitted = Fitted(tmp_path / "search")
    for n in range(1, 4):
        fitted(n)
    best = choose(tmp_path / "search", 1, 2, 3)
    folder = Folder(tmp_path / "report", Plan())
    assert 'id="tuning"' not in write(folder).html
    page = write(folder, ["tuning.svg"], tuning=str(tmp_path / "search" / "best.json")).html
    assert 'id="tuning"' in page and 'href="#tuning"' in page
    shown = f"<code>settings.n_neighbors</code> {best['params']['settings.n_neighbors']}"
    assert shown in page and "knn on f" in page
