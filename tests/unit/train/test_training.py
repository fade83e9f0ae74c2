"""Training: it learns, repeats itself, survives any end, and says what it cannot do."""

from __future__ import annotations

import csv
import json
import logging
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom import temperature
from darkroom.errors import UserError
from darkroom.train import keras_backend, loop, model_file, steps, training
from darkroom.train.devices import Devices
from darkroom.train.feed import class_weights
from darkroom.train.network import by_class
from darkroom.train.steps_keras import KerasSteps
from tests.support import tiny_data
from tests.support.stopped import at_most, stopped_after
from tests.support.waiting import PATIENCE, until

keras = keras_backend.start(1)

# everything that has a state: dropout, batch norm, Adam, a schedule, random changes, mixup
BUSY: dict[str, Any] = {
    "epochs": 6,
    "augment": tiny_data.STILL | {"flip": "horizontal", "shift": 0.1, "mixup": 0.2},
    "class_weights": "balanced",
    "label_smoothing": 0.1,
}


class Run:
    """One folder with a tiny data set, trained in it by `run(...)`."""

    def __init__(self, folder: Path, **data: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.images, self.splits, augmented = tiny_data.write(folder, **data)
        self.augmented = augmented if Path(augmented).exists() else None
        self.model, self.resume = folder / "model.keras", folder / ".resume"
        self.history_path = folder / "history.csv"

    def arguments(self, code: str = "a", **model: Any) -> dict[str, Any]:
        return {
            "images": self.images,
            "splits": self.splits,
            "augmented": self.augmented,
            "model_path": str(self.model),
            "history_path": str(self.history_path),
            "resume": str(self.resume),
            "cfg": tiny_data.settings(**model),
            "code": code,
            "threads": 1,
        }

    def __call__(self, code: str = "a", **model: Any) -> list[np.ndarray]:
        training.train_model(**self.arguments(code, **model))
        return self.weights()

    def weights(self) -> list[np.ndarray]:
        return list(keras.models.load_model(self.model).get_weights())

    def history(self) -> list[dict[str, str]]:
        with self.history_path.open(newline="") as file:
            return list(csv.DictReader(file))


class Plain(Run):
    """Of one layer with weights: where the network does not matter, most of the time is TensorFlow's graph."""

    def arguments(self, code: str = "a", **model: Any) -> dict[str, Any]:
        layers = [{"flatten": {}}, {"dropout": {"rate": 0.3}}]
        return super().arguments(code, **{"layers": layers} | model)


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def learned_temperature(run: Run) -> float:
    """What the last layer of the network that is kept was divided by."""
    with zipfile.ZipFile(run.model) as file:
        return float(json.loads(file.read(model_file.MEMBER))["temperature"])


def test_it_learns_and_writes_model_and_history(tmp_path: Path) -> None:
    run = Run(tmp_path, variants=False)
    run(epochs=12, batch=16)
    history = run.history()
    assert list(history[0]) == list(training.COLUMNS)
    assert [row["epoch"] for row in history] == [str(i) for i in range(1, 13)]
    assert float(history[-1]["val_accuracy"]) > 0.8
    assert float(history[-1]["val_loss"]) < float(history[0]["val_loss"])
    assert float(history[-1]["learning_rate"]) < float(history[2]["learning_rate"]) < 0.01
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "history.csv",
        "images.h5",
        "model.keras",
        "model.onnx",
        "splits.parquet",
    ]


def test_the_saved_network_normalises_by_the_training_rows(tmp_path: Path) -> None:
    run = Run(tmp_path, variants=False)
    run(epochs=1)
    from darkroom.images import store

    pixels = store.open_images(run.images).images
    train = pixels[np.arange(90) % 5 < 3].astype(float)
    network = keras.models.load_model(run.model, safe_mode=True)
    first = keras.Model(network.input, network.get_layer("normalise").output)
    got = np.asarray(first.predict_on_batch(np.asarray(pixels)))
    expected = (pixels - train.mean(axis=(0, 1, 2))) / train.std(axis=(0, 1, 2))
    assert np.allclose(got, expected, atol=1e-4)
    assert np.asarray(network.predict_on_batch(np.asarray(pixels))).shape == (90, 3)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_label_smoothing_does_not_judge_itself_and_the_file_is_as_sure_as_right(
    tmp_path: Path, head: str
) -> None:
    names = tiny_data.CLASSES[: 3 if head == "softmax" else 2]
    run = Run(tmp_path, variants=False, names=names)
    run(epochs=8, batch=16, label_smoothing=0.4, keep="best", head=head)
    from darkroom.images import store

    file = store.open_images(run.images)
    validation = np.flatnonzero(np.arange(len(file.row)) % 5 == 3)
    network = keras.models.load_model(run.model, safe_mode=True)
    p = by_class(np.asarray(network.predict_on_batch(np.asarray(file.images)[validation])))
    truth = file.label[validation]
    heat = learned_temperature(run)
    assert heat < 0.9  # smoothed labels made it unsure
    kept = next(row for row in run.history() if row["kept"] == "1")
    before = temperature.applied(np.log(p.astype(float)), 1 / heat)
    loss = -np.log(before[np.arange(len(truth)), truth]).mean()
    assert float(kept["val_loss"]) == pytest.approx(loss, rel=1e-3)  # plain cross-entropy
    assert -np.log(p[np.arange(len(truth)), truth]).mean() < loss


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tmp_path: Path) -> None:
    run = Run(tmp_path)
    one, two = run(**BUSY), run(**BUSY)
    assert equal(one, two)
    arguments = run.arguments(**BUSY)
    arguments["cfg"]["seed"] = 1
    training.train_model(**arguments)
    assert not equal(one, run.weights())


def test_what_xla_cannot_compile_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"compile: always: XLA cannot compile .* MaxPool"):
        Run(tmp_path, variants=False)(compile="always", epochs=1)


def test_several_gpus_are_not_compiled_for_in_silence() -> None:
    with pytest.raises(UserError, match="compile: always: TensorFlow compiles for one GPU alone"):
        steps.choose(None, tiny_data.MODEL | {"compile": "always"}, Devices("gpu", 2), rows=None)


@pytest.mark.parametrize(
    ("key", "value"), [("compile", "always"), ("steps_per_call", 4), ("on_device", "always")]
)
def test_what_pytorch_has_not_is_not_ignored_in_silence(
    monkeypatch: pytest.MonkeyPatch, key: str, value: Any
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    on = Devices("gpu", 1)
    with pytest.raises(UserError, match=f"{key}: {value}: with backend: torch Keras takes one"):
        steps.choose(None, tiny_data.MODEL | {key: value}, on, rows=None)
    usual = tiny_data.MODEL | {"compile": "never"}
    assert type(steps.choose(None, usual, on, rows=np.zeros(3))) is KerasSteps


def test_batches_of_any_size_share_a_graph() -> None:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    made, step = [], network.train_step
    network.train_step = lambda batch: made.append(batch) or step(batch)
    taken = steps.choose(network, tiny_data.MODEL, Devices("cpu", 1), rows=None)
    random, graphs = np.random.default_rng(0), []
    for size in (5, 3, 5):
        images, targets = random.random((1, size, 4), np.float32), np.eye(2)[[[0] * size]]
        loss, _ = taken.train((images, targets.astype(np.float32), None), [0.01])
        assert 0 < loss < 5
        graphs.append(len(made))
    assert graphs[0] > 0 and len(set(graphs)) == 1


@pytest.mark.parametrize("memory", [100, 0.003])  # held; 18 images at a time of 108
def test_stopped_in_an_epoch_it_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: float
) -> None:
    asked = BUSY | {"memory_mb": memory}
    run = Run(tmp_path)
    whole = run(**asked)
    kept = [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()]
    run.model.unlink()
    with stopped_after(3 * 6 + 4):  # 6 steps an epoch: in the fourth
        run(**asked)
    assert len(run.history()) == 3 and not run.model.exists()
    assert [p.suffix for p in run.resume.iterdir()] == [".npz"]
    with at_most(3 * 6):  # three epochs are left
        assert equal(run(**asked), whole)
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in run.history()] == kept
    assert not run.resume.exists()


def test_a_recipe_in_bfloat16_goes_on_too_and_exports_the_mean_over_mirror_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conv = {"filters": 8, "size": 3, "stride": 1, "padding": "same", "activation": None}
    asked: dict[str, Any] = BUSY | {
        "precision": "bfloat16",
        "test_time": "mirror",
        "layers": [
            {"whiten": {"size": 2, "activation": "relu"}},
            {"conv": conv | {"bias": False, "init": "identity"}},
            {"batch_norm": {"momentum": 0.6, "scale": False, "epsilon": 1e-5}},
            {"global_pool": {"kind": "max"}},
            {"scale": {"factor": 0.5}},
        ],
    }
    run = Run(tmp_path)
    whole = run(**asked)
    run.model.unlink()
    with stopped_after(2 * 6 + 4):
        run(**asked)
    assert equal(run(**asked), whole)
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    network = keras.models.load_model(run.model, safe_mode=True)
    said, mirrored = (np.asarray(network.predict_on_batch(i)) for i in (images, images[:, :, ::-1]))
    assert np.allclose(said, mirrored, atol=1e-3) and np.ptp(said) > 0.01


def test_a_state_of_other_settings_code_or_pixels_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Plain(tmp_path)
    with stopped_after(8):
        run()
    (state,) = run.resume.iterdir()

    def goes_on(code: str = "a", **model: Any) -> bool:
        caplog.clear()
        with stopped_after(0):
            run(code, **model)
        assert state.exists()  # it is cleared away only by a newer one
        return "going on after epoch 1 of 3" in caplog.text

    assert goes_on()
    Path(run.splits).touch()  # written anew with the same content
    assert goes_on()
    assert not goes_on(code="b")
    assert not goes_on(epochs=2)
    assert not goes_on(keep="last")
    Path(run.images).touch()
    assert not goes_on()


def test_a_state_of_another_split_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Plain(tmp_path)
    with stopped_after(8):
        run()
    Run(tmp_path / "other", validation=False)
    run.splits = str(tmp_path / "other" / "splits.parquet")
    with stopped_after(8):
        run()
    assert "going on" not in caplog.text
    assert len(list(run.resume.iterdir())) == 1  # the older state is cleared away


def test_a_state_cut_short_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Plain(tmp_path)
    whole = run()
    with stopped_after(8):
        run()
    (state,) = run.resume.iterdir()
    state.write_bytes(state.read_bytes()[:-100])
    assert equal(run(), whole)
    assert "cannot be read" in caplog.text


def test_killed_at_any_moment_and_started_again_it_ends_with_the_same_weights(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, n=900)
    whole = run(**BUSY)
    run.model.unlink()
    run.history_path.unlink()
    code = (
        "import json, sys\n"
        "from darkroom.train import training\n"
        "training.train_model(**json.loads(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, json.dumps(run.arguments(**BUSY))]
    killed = 0
    while not run.model.exists():
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        if killed < 2:
            rows = 1 + 2 * killed
            until(
                lambda p=process, n=1 + rows: p.poll() is not None or _lines(run.history_path) >= n
            )
            time.sleep((0.05, 0.2)[killed])
            process.send_signal(signal.SIGKILL)
            killed += 1
        assert process.wait(PATIENCE) in (0, -signal.SIGKILL)
    assert equal(run.weights(), whole)
    assert len(run.history()) == BUSY["epochs"] and not run.resume.exists()


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


# ---------------------------------------------------------------- which epoch is kept


def test_the_best_epoch_is_kept_and_early_stopping_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Plain(tmp_path)
    second = run(epochs=2, keep="last", schedule=CONSTANT)
    worse = iter([0.9, 0.5, 0.7, 0.5, 0.6, 0.1])
    monkeypatch.setattr(loop, "evaluate", lambda *_: (next(worse), 0.5))
    kept = run(epochs=6, early_stopping=3, schedule=CONSTANT)
    assert equal(kept, second)
    assert len(run.history()) == 5
    assert "stopped after epoch 5: val_loss is no better than in epoch 2" in caplog.text
    assert "kept epoch 2: val_loss 0.5000" in caplog.text
    assert kept_epochs(run) == [2]


def test_the_kept_epoch_is_written_by_values_that_the_history_rounds_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Plain(tmp_path)
    values = iter([0.50000004, 0.50000002, 0.50000003])
    monkeypatch.setattr(loop, "evaluate", lambda *_: (next(values), 0.5))
    run()
    assert [row["val_loss"] for row in run.history()] == ["0.5"] * 3
    assert [row["kept"] for row in run.history()] == ["0", "1", "0"]
    with zipfile.ZipFile(run.model) as file:
        assert json.loads(file.read(model_file.MEMBER))["epoch"] == 2


def kept_epochs(run: Run) -> list[int]:
    return [int(row["epoch"]) for row in run.history() if row["kept"] == "1"]


def test_accuracy_may_choose_the_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Plain(tmp_path)
    first = run(epochs=1, schedule=CONSTANT)
    values = iter([(0.9, 0.8), (0.5, 0.7), (0.4, 0.8)])
    monkeypatch.setattr(loop, "evaluate", lambda *_: next(values))
    assert equal(run(monitor="accuracy", schedule=CONSTANT), first)
    assert kept_epochs(run) == [1]
    values = iter([(0.9, 0.8), (0.5, 0.7), (0.4, 0.8)])
    run(monitor="accuracy", keep="last", schedule=CONSTANT)
    assert kept_epochs(run) == [3]


def test_without_validation_rows_the_last_epoch_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = Plain(tmp_path, validation=False)
    run(early_stopping=1)
    assert [row["val_loss"] for row in run.history()] == ["", "", ""]
    assert "no validation rows" in caplog.text
    assert kept_epochs(run) == [3]


CONSTANT = {"name": "constant", "warmup": 0.0, "final": 0.0}


# ---------------------------------------------------------------- loss, weights, mistakes


def test_the_loss_is_the_smoothed_and_weighted_cross_entropy(tmp_path: Path) -> None:
    run = Run(tmp_path, variants=False)
    still = {"name": "sgd", "learning_rate": 1e-30}  # so weights stay as they were made
    layers = [{"flatten": {}}]
    asked: dict[str, Any] = {
        "optimizer": tiny_data.MODEL["optimizer"] | still,
        "layers": layers,
        "epochs": 1,
        "label_smoothing": 0.2,
        "class_weights": {"high": 5.0},
    }
    run(**asked)
    from darkroom.images import store

    pixels = np.asarray(store.open_images(run.images).images)
    p = np.asarray(keras.models.load_model(run.model).predict_on_batch(pixels)).astype(float)
    heat = learned_temperature(run)
    p = temperature.applied(np.log(p), 1 / heat)  # as it was trained
    truth, part = np.sort(np.arange(90) % 3), np.arange(90) % 5
    smooth = np.eye(3)[truth] * 0.8 + 0.2 / 3
    each = -(smooth * np.log(p)).sum(axis=1)
    (row,) = run.history()
    weighted = (each * np.array([1, 1, 5])[truth])[part < 3].mean()
    assert float(row["loss"]) == pytest.approx(weighted, rel=1e-4)
    plain = -np.log(p[np.arange(90), truth])
    assert float(row["val_loss"]) == pytest.approx(plain[part == 3].mean(), rel=1e-4)
    right = (p.argmax(axis=1) == truth).astype(float)
    assert float(row["val_accuracy"]) == pytest.approx(right[part == 3].mean(), abs=1e-5)
    assert float(row["accuracy"]) == pytest.approx(right[part < 3].mean(), abs=1e-5)


def test_class_weights() -> None:
    label = np.array([0] * 6 + [1] * 3)
    assert class_weights("none", label, ["a", "b"]) is None
    balanced = class_weights("balanced", label, ["a", "b"])
    assert balanced is not None and balanced.tolist() == [0.75, 1.5]
    named = class_weights({"b": 3.0}, label, ["a", "b"])
    assert named is not None and named.tolist() == [1, 3]
    with pytest.raises(UserError, match="'c' is no class of this data set; there are: a, b"):
        class_weights({"c": 3.0}, label, ["a", "b"])


# ---------------------------------------------------------------- one sigmoid unit for two classes

TWO = ["low", "middle"]


def test_a_sigmoid_network_learns_and_says_both_probabilities(tmp_path: Path) -> None:
    from darkroom.features.network import extract_features
    from darkroom.features.predictions import probabilities, read_predictions

    run = Run(tmp_path, variants=False, names=TWO)
    run(epochs=8, batch=16, head="auto")
    history = run.history()
    assert float(history[-1]["val_accuracy"]) > 0.9
    assert float(history[-1]["val_loss"]) < float(history[0]["val_loss"]) < 2
    network = keras.models.load_model(run.model, safe_mode=True)
    assert network.output_shape == (None, 1) and network.layers[-1].name == "sigmoid"
    extract_features(
        str(run.model.with_suffix(".onnx")),
        run.images,
        run.splits,
        None,
        features_path=str(tmp_path / "features.h5"),
        predictions_path=str(tmp_path / "predictions.parquet"),
        cfg={**FOLD, "model": "cnn", "seed": 0, "layer": None, "batch": 16, "backend": None},
        threads=1,
    )
    table, meta = read_predictions(str(tmp_path / "predictions.parquet"))
    p = probabilities(table, TWO)
    assert meta["classes"] == TWO and p.shape == (36, 2)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-6)
    assert (table["class"] == table["most_probable"]).mean() > 0.9
    # the unit's own value is the probability of the second class
    from darkroom.images import store

    rows = np.asarray(store.open_images(run.images).images)[table["row"]]
    assert np.allclose(np.asarray(network.predict_on_batch(rows))[:, 0], p[:, 1], atol=1e-5)


FOLD = {"dataset": "tiny", "fold": "holdout", "balance": None, "balance_seed": 0}


def test_two_classes_may_have_a_softmax(tmp_path: Path) -> None:
    run = Plain(tmp_path, variants=False, names=TWO)
    run(epochs=1, batch=16, head="softmax")
    assert keras.models.load_model(run.model).output_shape == (None, 2)


def test_a_sigmoid_s_loss_is_the_smoothed_and_weighted_binary_cross_entropy(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, variants=False, names=TWO)
    still = {"name": "sgd", "learning_rate": 1e-30}  # so weights stay as they were made
    run(
        head="sigmoid",
        optimizer=tiny_data.MODEL["optimizer"] | still,
        layers=[{"flatten": {}}],
        epochs=1,
        label_smoothing=0.2,
        class_weights={"middle": 5.0},
    )
    from darkroom.images import store

    pixels = np.asarray(store.open_images(run.images).images)
    p = np.asarray(keras.models.load_model(run.model).predict_on_batch(pixels)).astype(float)[:, 0]
    logit = np.log(p / (1 - p)) * learned_temperature(run)  # as trained
    p = 1 / (1 + np.exp(-logit))
    truth, part = np.sort(np.arange(90) % 2), np.arange(90) % 5
    smooth = truth * 0.8 + 0.1
    each = -(smooth * np.log(p) + (1 - smooth) * np.log(1 - p))
    (row,) = run.history()
    weighted = (each * np.array([1, 5])[truth])[part < 3].mean()
    assert float(row["loss"]) == pytest.approx(weighted, rel=1e-4)
    plain = -(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    assert float(row["val_loss"]) == pytest.approx(plain[part == 3].mean(), rel=1e-4)
    right = ((p > 0.5) == truth).astype(float)
    assert float(row["val_accuracy"]) == pytest.approx(right[part == 3].mean(), abs=1e-5)


def test_a_sigmoid_training_with_mixup_and_weights_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = BUSY | {"head": "sigmoid", "epochs": 4}
    run = Run(tmp_path, names=TWO)
    whole = run(**asked)
    with stopped_after(2 * 6 + 3):
        run(**asked)
    assert len(run.history()) == 2
    assert equal(run(**asked), whole)


def test_a_sigmoid_for_three_classes_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path, variants=False)
    with pytest.raises(
        UserError, match="a sigmoid unit distinguishes two classes, and this data set has 3"
    ):
        run(head="sigmoid")
    assert not run.model.exists()


# ---------------------------------------------------------------- mistakes and memory


def test_a_loss_that_is_no_number_is_told(tmp_path: Path) -> None:
    wild = tiny_data.MODEL["optimizer"] | {"name": "sgd", "learning_rate": 1e30}
    words = r"epoch 1: the training diverged; lower optimizer.learning_rate \(now 1e\+30\)"
    run = Run(tmp_path)
    with pytest.raises(UserError, match=words):
        run(optimizer=wild, layers=[{"flatten": {}}, {"dense": {"units": 9, "activation": "relu"}}])
    assert not run.model.exists()


def test_pixels_beyond_memory_stream_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    Plain(tmp_path)(epochs=1, memory_mb=0.003)
    assert "the pixels stream from the file" in caplog.text
    assert "108 training images (54 of them variants) and 18 validation images" in caplog.text
