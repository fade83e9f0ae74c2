"""New pictures: predicted as the data set's own are, and again only when something changed."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pandas
import pytest

from tests.support.pictures import picture
from tests.support.workspace import Workspace

TARGET = "results/shapes/predictions/new.csv"
CLASSES = ["p:cross", "p:disc", "p:stripes"]


@pytest.fixture
def done(finished: Workspace) -> Iterator[Workspace]:
    """The finished workspace with a folder of new pictures; both are put back."""
    before = copy.deepcopy(finished.config)
    new = finished.root / "new"
    shutil.copytree(finished.root / "pictures", new / "known")
    (new / "deep/down").mkdir(parents=True)
    cv2.imwrite(str(new / "deep/down/a b.png"), picture("disc", 77))
    (new / "broken.png").write_bytes((new / "known/disc/000.png").read_bytes()[:90])
    (new / "notes.txt").write_text("no picture")
    finished.config["predict"] = {"new": "new"}
    yield finished
    finished.config = before
    shutil.rmtree(new)
    shutil.rmtree(finished.root / "results/shapes/predictions", ignore_errors=True)


def test_from_a_folder_to_a_table_and_when_it_is_made_anew(done: Workspace) -> None:
    printed = done.run(TARGET)
    assert "the best by the validation images" in printed
    assert "2 of 2 steps" not in printed and "train_model" not in printed
    table = pandas.read_csv(done.root / TARGET, keep_default_na=False).set_index("file")
    assert len(table) == 48 + 2
    assert table.loc["broken.png", "status"] == "unusable"
    assert table.loc["broken.png", "predicted"] == ""
    assert table.loc["deep/down/a b.png", "predicted"] in ("cross", "disc", "stripes")

    # exactly what the data set's own table says of the same images
    features, _, classifier = table["model"].iloc[0].partition("/")
    own = pandas.read_parquet(done.root / "results/shapes/predictions.parquet")
    own = own[(own["feature_set"] == features) & (own["classifier"] == (classifier or "head"))]
    here = table.loc["known/" + own["path"]]
    p = here[CLASSES].astype(float).to_numpy()
    assert p == pytest.approx(own[CLASSES].to_numpy(), abs=2e-6)
    names = np.array(["cross", "disc", "stripes"])[own["predicted"]]
    assert (here["predicted"] == names).all()

    # nothing changed, nothing runs, nor for a picture's time; its content and the name of the model do
    assert done.pending(TARGET) == {}
    (done.root / "new/notes.txt").write_text("more")
    os.utime(done.root / "new/deep/down/a b.png")
    assert done.pending(TARGET) == {}
    with (done.root / "new/deep/down/a b.png").open("ab") as picture:
        picture.write(b"\0")  # behind the end of the image
    assert done.pending(TARGET) == {"predict_images": 1}
    done.run("predict")
    assert done.pending(TARGET) == {}
    done.config["predict"] = {"new": {"source": "new", "model": "pixels/svm"}}
    assert done.pending(TARGET) == {"predict_images": 1}
    done.run(TARGET)
    table = pandas.read_csv(done.root / TARGET)
    assert set(table["model"]) == {"pixels/svm"}
    done.config["classifiers"]["svm"]["settings"] = {"C": 3}
    assert done.pending(TARGET) == {"fit_classifier": 1, "predict_images": 1}


def test_the_best_model_is_exported_and_again_when_it_changes(done: Workspace) -> None:
    done.run("export")
    out = done.root / "results/shapes/export"
    try:
        checked = [sys.executable, str(out / "check.py")]
        assert subprocess.run(checked, capture_output=True, check=False).returncode == 0
        assert (out / "model_card.md").is_file()
        assert done.pending("export") == {}
        copied = done.root / "darkroom/predict/exported/check.py"
        text = copied.read_text()
        copied.write_text(text.replace("ANOTHER", "another"))
        assert done.pending("export") == {"export_model": 1}
        copied.write_text(text)
        done.config["classifiers"]["svm"]["settings"] = {"C": 3}
        changed = {"fit_classifier", "evaluate_dataset", "write_report", "export_model"}
        assert set(done.pending("export")) == changed
    finally:
        shutil.rmtree(out)


def test_a_named_classifier_needs_no_other(workspace: Workspace) -> None:
    """Nothing is trained but what was asked for."""
    workspace.config["predict"] = {"new": {"source": "pictures", "model": "pixels/svm"}}
    assert workspace.pending(TARGET) == {
        "download_source": 1, "index_files": 1, "check_files": 1, "find_copies": 1, "split_rows": 1,
        "prepare_images": 1, "augment_images": 1, "describe_images": 1, "fit_classifier": 1,
        "predict_images": 1,
    }  # fmt: skip
    workspace.config["predict"] = {"new": {"source": "pictures", "model": "tiny-seed0"}}
    named = workspace.pending(TARGET)
    assert named["train_model"] == 1 and not {"fit_classifier", "evaluate_dataset"} & set(named)
    everything = workspace.pending("predict", "--config", "predict={new: pictures}")
    assert everything["fit_classifier"] == 4 and everything["evaluate_dataset"] == 1


def test_mistakes_are_told_before_anything_runs(workspace: Workspace) -> None:
    workspace.config["predict"] = {"new": {"source": "pictures", "model": "tiny-seed0/svn"}}
    assert "did you mean 'tiny-seed0/svm'?" in workspace.fail(TARGET)
    workspace.config["predict"] = {"new": "picturs"}
    assert "picturs: there is no such folder or picture" in workspace.fail("predict")
    assert not (workspace.root / "logs").exists()
