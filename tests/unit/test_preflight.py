"""What is said before anything runs."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pandas
import pytest

from darkroom import preflight, survival
from darkroom.config import Settings
from darkroom.errors import UserError

BASE: dict[str, Any] = {
    "run": {"datasets": ["pets"], "models": ["cnn"], "classifiers": ["svm"]},
    "datasets": {"pets": {"source": "pictures"}},
    "models": {"cnn": {"layers": ["flatten"]}},
    "classifiers": {"svm": {"kind": "svm"}},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(10):
            (tmp_path / f"pictures/{label}/{label}-p{i % 3}-{i}.jpg").touch()
    return tmp_path


def settings(**dataset: Any) -> Settings:
    config = copy.deepcopy(BASE)
    config["datasets"]["pets"] |= dataset
    return Settings.load(config)


def said(made: Settings) -> list[str]:
    told: list[str] = []
    preflight.check(made, say=told.append)
    return told


def test_a_folder_that_can_be_split_is_silent(folder: Path) -> None:
    assert said(settings()) == []


def test_folds_that_the_file_names_cannot_give(folder: Path) -> None:
    with pytest.raises(UserError, match="cat"):
        said(settings(split={"folds": 11}))


def test_groups_by_an_expression_count(folder: Path) -> None:
    """Ten images of three patients are not enough for five folds."""
    said(settings(split={"folds": 5}))
    with pytest.raises(UserError, match="group"):
        said(settings(split={"folds": 5}, group=r"-(p\d)-"))


@pytest.mark.parametrize("source", ["pictures", "kaggle:owner/name"])
def test_an_older_index_refuses_nothing_that_is_there_now(folder: Path, source: str) -> None:
    """Whoever adds the images that were missing must not be held up by the last index."""
    manifest = folder / "results/pets/manifest.parquet"
    manifest.parent.mkdir(parents=True)
    pandas.DataFrame(
        {
            "row": range(4),
            "path": [f"{label}/{i}.jpg" for i in range(2) for label in ("cat", "dog")],
            "label": ["cat", "dog"] * 2,
            "group": None,
            "split": None,
            "sha256": list("abcd"),
            "status": "ok",
        }
    ).to_parquet(manifest)
    assert said(settings(source=source, split={"folds": 5})) == []


def test_a_class_that_no_folder_has(folder: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'cat'"):
        said(settings(classes=["cta", "dog"]))


def test_a_table_inside_the_folder_is_read(folder: Path) -> None:
    lines = [f"cat/cat-p{i % 3}-{i}.jpg,{'ab'[i % 2]}" for i in range(10)]
    (folder / "pictures/labels.csv").write_text("\n".join(["file,label", *lines]))
    layout = {"kind": "table", "table": "labels.csv"}
    assert said(settings(layout=layout)) == []
    with pytest.raises(UserError, match="'c'"):
        said(settings(layout=layout, classes=["a", "c"]))


def test_a_source_that_only_a_download_would_tell_is_not_checked(folder: Path) -> None:
    assert said(settings(source="kaggle:owner/name", split={"folds": 5000})) == []


def test_a_setting_that_no_classifier_has(folder: Path) -> None:
    config = copy.deepcopy(BASE)
    config["classifiers"]["svm"]["settings"] = {"gama": 1}
    with pytest.raises(UserError, match="did you mean 'gamma'"):
        said(Settings.load(config))


@pytest.mark.parametrize("target", ["results/pest/report.html", "data/pest/source.json"])
def test_a_target_of_an_unknown_data_set(target: str) -> None:
    with pytest.raises(UserError, match="did you mean 'pets'"):
        preflight.check_targets(settings(), ["-n", target])


def test_targets_that_are_fine() -> None:
    preflight.check_targets(
        settings(), ["results/pets/report.html", "train", "--directory", "results/elsewhere"]
    )


def test_cards() -> None:
    assert preflight.gpus(0) == 0 and preflight.gpus(3) == 3
    assert preflight.gpus("auto") in (0, 1)


def test_jobs_find_the_project_and_their_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv(survival.PARENT, "")
    for _ in range(2):
        preflight.export_to_jobs("/project")
    assert os.environ["PYTHONPATH"].split(os.pathsep) == ["/project", "/elsewhere"]
    assert os.environ[survival.PARENT] == str(os.getpid())
