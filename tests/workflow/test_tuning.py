"""Settings searched for by trials that are jobs: run, extended, killed and gone on with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import until
from tests.support.workspace import Workspace, make_workspace

MODEL = {
    "space": {
        "optimizer.learning_rate": {"low": "1e-3", "high": "1e-1", "log": True},
        "layers.3.dense": [4, 8],
    },
    "trials": 2,
    "epochs": 2,
}
CLASSIFIER = {"space": {"settings.C": {"low": 0.1, "high": 100, "log": True}}, "trials": 2}
CHOSEN = {"choose_setting": 1, "train_model": 1, "extract_features": 1, "fit_classifier": 1,
          "evaluate_dataset": 1, "write_report": 1}  # fmt: skip


def prepare(made: Workspace) -> None:
    made.config["run"]["classifiers"] = ["svm"]
    made.config["models"]["tiny"]["tune"] = json.loads(json.dumps(MODEL))
    made.config["classifiers"]["svm"]["tune"] = json.loads(json.dumps(CLASSIFIER))


def folder(made: Workspace, *names: str) -> Path:
    return made.root.joinpath("results/shapes/holdout/tuning", *names)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("tuned"))
    prepare(made)
    done = made.snakemake()
    assert done.returncode == 0, done.stdout
    return made


@pytest.fixture
def done(tuned: Workspace) -> Iterator[Workspace]:
    """The tuned workspace; a test's settings are put back."""
    before = json.dumps(tuned.config)
    yield tuned
    tuned.config = json.loads(before)


def test_what_was_chosen_is_trained_fitted_and_reported(done: Workspace) -> None:
    best = read(folder(done, "tiny", "best.json"))
    params = best["params"]
    assert params["layers.3.dense"] in ({"units": 4, "activation": "relu"},
                                        {"units": 8, "activation": "relu"})  # fmt: skip
    log = (done.root / "logs/shapes/holdout/train_model-tiny-seed0.log").read_text()
    assert "tuned: optimizer.learning_rate" in log and "of 2, loss" in log
    rows = list(csv.DictReader((folder(done, "tiny") / "trials.csv").open()))
    assert [row["number"] for row in rows] == ["1", "2"]
    of_svm = read(folder(done, "tiny-seed0", "svm", "best.json"))
    assert of_svm["objective"] == "accuracy" and of_svm["trials"] == 2
    assert folder(done, "pixels", "svm", "best.json").exists()
    page = (done.root / "results/shapes/report.html").read_text()
    assert 'id="tuning"' in page and "svm on pixels" in page and "settings.C" in page
    assert f"tuned: settings.C {of_svm['params']['settings.C']:.3g}" in page  # a note


def test_trials_keep_no_model_and_no_state(done: Workspace) -> None:
    names = {p.name for p in folder(done, "tiny").iterdir()}
    assert names == {"best.json", "trials.csv", "journal.log", "trial-1.json", "trial-2.json"}
    assert done.pending() == {}


def test_more_trials_run_only_those(done: Workspace) -> None:
    done.config["models"]["tiny"]["tune"]["trials"] = 4
    assert done.pending() == CHOSEN | {
        "try_model": 2, "try_classifier": 2, "choose_classifier_setting": 1,
    }  # fmt: skip  # the features of the network are new: so is the search on them
    done.config["models"]["tiny"]["tune"]["trials"] = 2
    done.config["classifiers"]["svm"]["tune"]["trials"] = 4
    assert done.pending() == {
        "try_classifier": 4, "choose_classifier_setting": 2, "fit_classifier": 2,
        "evaluate_dataset": 1, "write_report": 1,
    }  # fmt: skip


def test_another_space_runs_all(done: Workspace) -> None:
    done.config["models"]["tiny"]["tune"]["space"]["batch"] = [2, 4]
    assert done.pending()["try_model"] == 2
    done.config["models"]["tiny"]["tune"]["space"].pop("batch")
    assert done.pending() == {}
    done.config["classifiers"]["svm"]["tune"]["objective"] = "log_loss"
    assert done.pending()["try_classifier"] == 4


def test_without_tuning_again_nothing_is_tried(done: Workspace) -> None:
    del done.config["models"]["tiny"]["tune"]
    pending = done.pending()
    assert "try_model" not in pending and pending["train_model"] == 1


def test_no_validation_rows_are_told_before_anything_runs(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["split"] = {"validation": 0}
    told = done.fail("--dry-run")
    assert "models.tiny.tune needs validation rows" in told and "split.validation" in told


def test_an_unknown_setting_of_a_classifier_is_told(done: Workspace) -> None:
    done.config["classifiers"]["svm"]["tune"]["space"] = {"settings.CC": [1, 2]}
    assert "'CC' is no setting of svm" in done.fail("--dry-run")


def test_killed_and_run_again_it_ends_as_without(tuned: Workspace, tmp_path: Path) -> None:
    (tmp_path / "killed").mkdir()
    made = make_workspace(tmp_path / "killed")
    prepare(made)
    target = "results/shapes/holdout/tuning/tiny/best.json"
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(
            made.command(target), cwd=made.root, env=made.environment(),
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        )  # fmt: skip
        journal = folder(made, "tiny", "journal.log")
        until(lambda: journal.exists() and '"op_code":7' in journal.read_text())
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert not folder(made, "tiny", "best.json").exists()
    assert made.snakemake(target).returncode == 0
    assert (
        read(folder(made, "tiny", "best.json"))["params"]
        == read(folder(tuned, "tiny", "best.json"))["params"]
    )
