"""Transfer learning from end to end, on a small backbone whose weights a mirror holds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import h5py
import pandas
import pytest

from tests.support.backbone_weights import mobilenet_weights, two_blocks, two_blocks_in
from tests.support.workspace import Workspace, make_workspace

OFFICIAL = "mobilenet_2_5_224_tf_no_top.h5"  # what Keras asks for, whatever the size
HEAD = {"backbone": "small", "layers": [{"dense": 4}], "epochs": 2, "batch": 16}
FITTED = {"fit_classifier", "evaluate_dataset", "write_report"}
TRAINED = {"train_model", "extract_features"} | FITTED


@pytest.fixture(scope="module")
def transferred(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = make_workspace(tmp_path_factory.mktemp("transfer"))
    two_blocks_in(made.root)  # whole ones are in test_presets.py
    (made.root / "mirror").mkdir()
    with two_blocks():
        mobilenet_weights(made.root / "mirror" / OFFICIAL)
    made.config["mirror"] = "mirror"
    made.config["datasets"]["shapes"] |= {"augment": {}, "split": {"folds": 2}}
    made.config["features"] = {
        "small": {"kind": "backbone", "application": "MobileNet", "settings": {"alpha": 0.25},
                  "view": {"size": 32}}
    }  # fmt: skip
    made.config["models"] = {
        "frozen": HEAD | {"layers": [{"dropout": 0.1}]},
        "tuned": HEAD | {"fine_tune": {"blocks": 1, "epochs": 1, "augment": {"flip": "horizontal"}}},
    }  # fmt: skip
    made.config["run"] |= {
        "models": ["frozen", "tuned"], "features": ["small"], "classifiers": ["logistic"],
    }  # fmt: skip
    made.config["classifiers"] = {"logistic": {"kind": "logistic_regression"}}
    made.run()
    return made


@pytest.fixture
def done(transferred: Workspace) -> Iterator[Workspace]:
    before = deepcopy(transferred.config)
    yield transferred
    transferred.config = before


def test_features_once_and_a_network_from_raw_pixels(transferred: Workspace) -> None:
    results = transferred.root / "results/shapes"
    metrics = pandas.read_csv(results / "metrics.csv")
    runs = {tuple(r) for r in metrics[["feature_set", "classifier"]].itertuples(index=False)}
    assert runs == {
        ("frozen-seed0", "head"), ("tuned-seed0", "head"), ("small", "logistic"),
        ("tuned-seed0", "logistic"),
    }  # fmt: skip
    assert [p.name for p in (results / "images").iterdir()] == ["32x32-rgb-squash.h5"]
    assert [p.name for p in (results / "features").iterdir()] == ["small.h5"]
    with h5py.File(results / "features/small.h5") as file:
        assert file["features"].shape == (48, 256)
        assert json.loads(file.attrs["made"])["weights"] == "data/weights/small.onnx"
    history = pandas.read_csv(results / "fold-1/tuned-seed0/history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert "tuned" in (results / "report.html").read_text()
    # in a plain Keras, without Darkroom
    code = (
        "import sys, keras, numpy as np\n"
        "for path in sys.argv[1:]:\n"
        "    network = keras.models.load_model(path, safe_mode=True)\n"
        "    said = network.predict_on_batch(np.zeros((2, 32, 32, 3), np.uint8))\n"
        "    assert said.shape == (2, 3), said.shape\n"
    )
    paths = [results / f"fold-2/{run}/model.keras" for run in ("frozen-seed0", "tuned-seed0")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True, cwd="/")
    assert not (transferred.root / "data/weights/.small").exists()


def test_a_second_run_does_nothing(done: Workspace) -> None:
    assert done.pending() == {}


def test_a_changed_head_learns_again_and_nothing_is_embedded(done: Workspace) -> None:
    done.config["models"]["frozen"]["layers"] = [{"dropout": 0.2}]
    assert set(done.pending()) == TRAINED - {"fit_classifier"}  # its features are the backbone's
    done.config["models"]["frozen"]["layers"] = [{"dense": 5}]
    pending = done.pending()
    assert set(pending) == TRAINED and pending["train_model"] == 2


def test_a_changed_fine_tuning_concerns_its_network_alone(done: Workspace) -> None:
    done.config["models"]["tuned"]["fine_tune"]["blocks"] = 2
    pending = done.pending()
    assert set(pending) == TRAINED and pending["train_model"] == 2


def test_other_weights_embed_and_train_again(done: Workspace) -> None:
    done.config["features"]["small"]["weights"] = f"mirror/{OFFICIAL}"
    assert set(done.pending()) == {"download_weights", "embed_images", "check_labels"} | TRAINED
    del done.config["features"]["small"]["weights"]
    done.config["features"]["small"]["pool"] = "max"  # it stands in the ONNX file
    assert set(done.pending()) == {"download_weights", "embed_images", "check_labels"} | TRAINED


def test_a_changed_split_embeds_nothing_again(done: Workspace) -> None:
    done.config["datasets"]["shapes"]["split"] = {"folds": 2, "seed": 5}
    assert set(done.pending()) == {"split_rows", "audit_dataset", "check_labels"} | TRAINED


def test_the_weights_are_part_of_what_is_downloaded(done: Workspace) -> None:
    (done.root / "data/weights/small.onnx").rename(done.root / "kept.h5")
    try:
        assert done.pending("download") == {"download_weights": 1}
    finally:
        (done.root / "kept.h5").rename(done.root / "data/weights/small.onnx")


def test_mistakes_are_told_before_anything_runs(done: Workspace) -> None:
    small = done.config["features"]["small"]
    small["application"] = "MobilNet"
    assert "features.small: application: keras.applications has no 'MobilNet'" in done.fail("-n")
    small |= {"application": "MobileNet", "weights": "nowhere.h5"}
    assert "features.small: weights 'nowhere.h5': there is no such file" in done.fail("-n")


def test_weights_that_do_not_fit_are_a_sentence(done: Workspace) -> None:
    (done.root / "cut.h5").write_bytes((done.root / "mirror" / OFFICIAL).read_bytes()[:5000])
    done.config["features"]["cut"] = done.config["features"]["small"] | {"weights": "cut.h5"}
    said = done.fail("data/weights/cut.h5")
    assert "features.cut: cut.h5, the weights of MobileNet, is cut short" in said
    assert not Path(done.root / "data/weights/cut.h5").exists()
