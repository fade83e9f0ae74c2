"""Frozen features of a data set, and a head that learns from them."""

from __future__ import annotations

import csv
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.features.backbone import embed_images
from darkroom.features.network import extract_features
from darkroom.features.predictions import probabilities, read_predictions
from darkroom.images import features_file, store
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.train import backbones, fine_tuning, heads, keras_backend, loop, training
from darkroom.train.prepare import prepare
from tests.support import tiny_data
from tests.support.backbone_weights import (
    MOBILENET,
    SHAPE,
    mobilenet_onnx,
    mobilenet_weights,
    two_blocks,
)
from tests.support.stopped import stopped_after

keras = keras_backend.start(1)
HEAD: dict[str, Any] = {
    "layers": [{"dense": {"units": 8, "activation": "relu"}, "name": "code"}, {"dropout": {"rate": 0.3}}],
    "epochs": 3,
}  # fmt: skip
NETWORK: Any = {
    "dataset": "tiny", "fold": "holdout", "model": "cnn", "seed": 0, "layer": None, "batch": 16,
    "backend": None, "balance": None, "balance_seed": 0,
}  # fmt: skip
FLIPS = tiny_data.STILL | {"flip": "horizontal"}
FINE = {"blocks": 1, "start": None, "epochs": 2, "learning_rate": 0.001, "augment": None}


class Data:
    """A tiny data set of 32×32 colour images, a backbone's weights, and frozen features."""

    def __init__(self, folder: Path, variants: bool = False) -> None:
        self.folder = folder
        self.images, self.splits, augmented = tiny_data.write(
            folder, n=60, shape=SHAPE, variants=variants
        )
        self.augmented = augmented if variants else None
        self.weights = mobilenet_weights(folder / "weights.h5")
        self.embedded = {pool: self.embed(pool) for pool in ("average", "none")}

    def embed(self, pool: str, name: str = "", gpus: Gpus = NO_GPUS, **changes: Any) -> str:
        path = str(self.folder / f"{name or pool}.h5")
        cfg = {
            "name": "mobilenet",
            **MOBILENET,
            "pool": pool,
            "batch": 16,
            "backend": None,
        } | changes
        onnx = mobilenet_onnx(self.weights, Path(self.weights).with_suffix(".onnx"), pool)
        embed_images(
            self.images, onnx, path, augmented=self.augmented, cfg=cfg, threads=1, gpus=gpus
        )
        return path

    def train(self, folder: Path, pool: str = "average", **model: Any) -> Any:
        """Train into a folder; returns the loaded network."""
        training.train_model(**self.arguments(folder, pool, **model))
        return keras.models.load_model(folder / "model.keras", safe_mode=True)

    def arguments(self, folder: Path, pool: str = "average", **model: Any) -> dict[str, Any]:
        cfg = tiny_data.settings(**HEAD | model)
        cfg["backbone"] = {"name": "mobilenet", **MOBILENET, "pool": pool}
        del cfg["model"]["normalise"]
        return {
            "images": self.images,
            "splits": self.splits,
            "augmented": self.augmented,
            "model_path": str(folder / "model.keras"),
            "history_path": str(folder / "history.csv"),
            "resume": str(folder / ".resume"),
            "cfg": cfg,
            "code": "a",
            "threads": 1,
            "weights": self.weights,
            "embedded": self.embedded[pool],
        }


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """A backbone of few layers: whole ones are in test_backbones.py and in tests/workflow/."""
    with two_blocks():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return Data(tmp_path_factory.mktemp("varied"), variants=True)


def frozen(data: Data, network: Any) -> bool:
    """Whether the backbone in a network has the weights of the file, all of them."""
    base = backbones.load(**MOBILENET, shape=SHAPE, weights=data.weights)
    pairs = zip(base.get_weights(), fine_tuning.within(network).get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- the features


def test_images_come_first_then_variants(varied: Data) -> None:
    made = features_file.open_features(varied.embedded["average"])
    assert made.row.tolist() == [*range(60), *range(60)]
    assert made.variant.tolist() == [0] * 60 + [1] * 60
    network = backbones.build(**MOBILENET, pool="average", shape=SHAPE, weights=varied.weights)
    for variant, path in enumerate([varied.images, varied.augmented]):
        pixels = np.asarray(store.open_images(str(path)).images)
        wanted = np.asarray(network.predict_on_batch(pixels))
        assert np.allclose(made.features[60 * variant :][:60], wanted, atol=1e-4)
    assert made.made["kind"] == "backbone" and made.made["application"] == "MobileNet"
    assert made.layer == "MobileNet, alpha 0.25, pool: average"


def test_a_map_is_a_row_and_says_its_shape(data: Data) -> None:
    made = features_file.open_features(data.embedded["none"])
    assert made.made["shape"] == [1, 1, 256] and made.features.shape == (60, 256)
    average = features_file.open_features(data.embedded["average"])
    assert np.allclose(made.features, average.features, atol=1e-5)  # the mean of one place


def test_with_a_gpu_it_is_the_backend_s_and_equal(data: Data) -> None:
    """There is none here, so the backend takes the processor."""
    for pool in ("average", "none"):
        theirs = features_file.open_features(data.embed(pool, f"gpu-{pool}", Gpus(count=1)))
        ours = features_file.open_features(data.embedded[pool])
        assert ours.made == theirs.made and ours.layer == theirs.layer
        assert np.allclose(ours.features, theirs.features, rtol=1e-4, atol=1e-6)
        assert np.abs(ours.features).max() > 0.01


def test_weights_that_do_not_fit_are_told_with_the_feature_set(data: Data) -> None:
    with pytest.raises(UserError, match=r"features.mobilenet: .* does not hold weights of"):
        data.embed("max", gpus=Gpus(count=1), settings={"alpha": 0.5})
    assert not (data.folder / "max.h5").exists()


# ---------------------------------------------------------------- a head on them


@pytest.fixture(scope="module")
def head(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("head")
    quick = tiny_data.MODEL["optimizer"] | {"learning_rate": 0.1}  # random features are small
    data.train(folder, epochs=30, optimizer=quick)
    return folder


def test_a_head_learns_and_is_exported_with_its_backbone(data: Data, head: Path) -> None:
    assert float(history(head)[-1]["val_accuracy"]) > 0.8
    network = keras.models.load_model(head / "model.keras", safe_mode=True)
    assert frozen(data, network)
    pixels = np.asarray(store.open_images(data.images).images)
    said = np.asarray(network.predict_on_batch(pixels))
    assert network.input.dtype == "uint8" and said.shape == (60, 3)
    rows = np.arange(60) % 5 == 3  # of the validation
    right = (said.argmax(axis=1) == np.sort(np.arange(60) % 3))[rows].mean()
    kept = max(history(head), key=lambda row: -float(row["val_loss"]))
    assert right == pytest.approx(float(kept["val_accuracy"]), abs=1e-5)


def test_features_and_predictions_come_from_the_cached_ones(
    data: Data, head: Path, tmp_path: Path
) -> None:

    def extract(name: str, layer: str | None, embedded: str | None) -> Any:
        extract_features(
            str(head / "model.onnx"), data.images, data.splits, data.augmented,
            features_path=str(tmp_path / f"{name}.h5"),
            predictions_path=str(tmp_path / f"{name}.parquet"),
            cfg=NETWORK | {"layer": layer}, threads=1, embedded=embedded,
        )  # fmt: skip
        table, _ = read_predictions(str(tmp_path / f"{name}.parquet"))
        made = features_file.open_features(str(tmp_path / f"{name}.h5"))
        return made, probabilities(table, tiny_data.CLASSES)

    slow, said = extract("slow", None, None)

    fast, again = extract("fast", None, data.embedded["average"])
    assert np.array_equal(fast.row, slow.row) and len(fast) == 60
    assert fast.layer == slow.layer == "dropout_2" and fast.features.shape == slow.features.shape
    assert np.allclose(fast.features, slow.features, atol=1e-4)
    assert np.allclose(again, said, atol=1e-5)
    cached = features_file.open_features(data.embedded["average"])
    other = str(tmp_path / "other.h5")
    features_file.write_features(
        other, 1 - cached.features, cached.row, cached.variant, name="x", layer="x"
    )
    named, changed = extract("named", "code", other)  # no pixel is looked at
    assert named.features.shape[1] == 8 and named.layer == "code"
    assert not np.allclose(changed, said, atol=1e-2)


def test_a_head_of_no_layers_and_one_on_a_map(data: Data, tmp_path: Path) -> None:
    network = data.train(tmp_path, layers=[], epochs=1)
    assert [x.name for x in network.layers][-2:] == ["embedding", "softmax"]
    extract_features(
        str(tmp_path / "model.onnx"), data.images, data.splits, None,
        features_path=str(tmp_path / "f.h5"), predictions_path=str(tmp_path / "p.parquet"),
        cfg=NETWORK, threads=1, embedded=data.embedded["average"],
    )  # fmt: skip
    made = features_file.open_features(str(tmp_path / "f.h5"))
    assert made.layer == "embedding"
    assert np.array_equal(
        made.features, features_file.open_features(data.embedded["average"]).features
    )
    convolution = tiny_data.LAYERS[0]
    on_map = data.train(tmp_path, "none", layers=[convolution, {"flatten": {}}], epochs=1)
    assert on_map.get_layer("conv_1").output.shape == (None, 1, 1, 4)
    with pytest.raises(UserError, match="ends in a map of 1×1×256; add flatten or global_pool"):
        data.train(tmp_path, "none", layers=[], epochs=1)


def test_variants_are_learned_from_their_features(
    varied: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with prepare(
        varied.images,
        varied.splits,
        varied.augmented,
        cfg=varied.arguments(tmp_path)["cfg"],
        code="",
        threads=1,
        weights=varied.weights,
        embedded=varied.embedded["average"],
    ):
        pass
    assert "72 training images (36 of them variants) and 12 validation images" in caplog.text
    assert "of 256 features" in caplog.text


def test_features_of_other_images_are_told(data: Data, tmp_path: Path) -> None:
    made = features_file.open_features(data.embedded["average"])
    arguments = data.arguments(tmp_path)
    arguments["embedded"] = str(tmp_path / "other.h5")
    features_file.write_features(
        arguments["embedded"], made.features, made.row + 1, made.variant, name="x", layer="x"
    )
    with pytest.raises(UserError, match=r"other.h5 is of other images"):
        training.train_model(**arguments)


def test_a_name_of_the_backbone_s_is_taken(data: Data, tmp_path: Path) -> None:
    layer = {"dense": {"units": 3, "activation": None}, "name": "preprocess"}
    with pytest.raises(UserError, match="the name 'preprocess' is taken"):
        data.train(tmp_path, layers=[layer])


def test_changed_pixels_go_through_the_frozen_backbone(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    network = data.train(tmp_path, epochs=1, augment=FLIPS)
    assert "12 validation images of 32×32×3 pixels" in caplog.text
    assert frozen(data, network)


def test_a_backbone_s_dropout_has_the_same_seed_whatever_was_drawn_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It drops nothing, but its seed is in the file."""

    def build(*_: Any, **__: Any) -> Any:
        image = keras.Input(SHAPE, dtype="uint8")
        x = keras.layers.Flatten()(keras.layers.Rescaling(1.0)(image))
        return keras.Model(image, keras.layers.Dropout(0.2, name="of_the_body")(x))

    monkeypatch.setattr(backbones, "build", build)
    backbone: Any = {"name": "x", "pool": "average", **MOBILENET}
    head = heads.Head([{"dropout": {"rate": 0.3}}], 3, "softmax", 0, backbone, "", SHAPE)
    seeds = []
    for _ in range(2):
        random.random()
        made = head.on_pixels()
        seeds.append([np.asarray(s.state) for layer in made.layers for s in _generators(layer)])
    assert len(seeds[0]) == 2 and np.array_equal(*seeds)


def _generators(layer: Any) -> list[Any]:
    return [layer.seed_generator] if hasattr(layer, "seed_generator") else []


# ---------------------------------------------------------------- fine-tuning


def test_after_the_head_the_last_block_trains_too(
    data: Data, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    network = data.train(tmp_path, fine_tune=FINE, keep="last")
    rows = history(tmp_path)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert float(rows[3]["learning_rate"]) < 0.001 < float(rows[0]["learning_rate"])
    assert "from layer conv_dw_13 on" in caplog.text and "epoch 5/5" in caplog.text
    base = backbones.load(**MOBILENET, shape=SHAPE, weights=data.weights)
    moved = [
        v.path
        for v, a, b in zip(
            base.weights, base.get_weights(), fine_tuning.within(network).get_weights(), strict=True
        )
        if not np.array_equal(a, b)
    ]
    assert moved == ["conv_dw_13/kernel", "conv_pw_13/kernel"]


# in the fine-tuning, after a head from cached features; in a head's training on pixels
@pytest.mark.parametrize(("augment", "step"), [(tiny_data.STILL, 9), (FLIPS, 4)])
def test_stopped_in_either_part_it_goes_on_to_the_same_weights(
    data: Data, tmp_path: Path, augment: Any, step: int
) -> None:
    asked: dict[str, Any] = {"fine_tune": FINE, "augment": augment, "epochs": 2, "batch": 12}
    whole = data.train(tmp_path, **asked).get_weights()
    kept = [{k: v for k, v in row.items() if k != "seconds"} for row in history(tmp_path)]
    with stopped_after(step):
        data.train(tmp_path, **asked)
    assert len(history(tmp_path)) == step // 3  # 36 rows: three steps an epoch
    again = data.train(tmp_path, **asked).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    assert [{k: v for k, v in r.items() if k != "seconds"} for r in history(tmp_path)] == kept
    assert not (tmp_path / ".resume").exists()


def test_the_best_epoch_is_that_of_both(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    losses = iter([0.9, 0.5, 0.7, 0.6, 0.8])  # the head's second is the best of all
    monkeypatch.setattr(loop, "evaluate", lambda *_: (next(losses), 0.5))
    network = data.train(tmp_path, fine_tune=FINE)
    assert "kept epoch 2: val_loss 0.5000" in caplog.text
    assert frozen(data, network)


def test_early_stopping_ends_the_head_and_fine_tuning_begins(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([0.5, 0.9, 0.8, 0.7, 0.6, 0.6])
    monkeypatch.setattr(loop, "evaluate", lambda *_: (next(losses), 0.5))
    data.train(tmp_path, fine_tune=FINE | {"epochs": 4}, early_stopping=1, epochs=5)
    assert len(history(tmp_path)) == 3  # one worse epoch ended each


def test_a_diverging_fine_tuning_names_its_rate(data: Data, tmp_path: Path) -> None:
    wild = FINE | {"learning_rate": 1e30}
    with pytest.raises(UserError, match=r"lower fine_tune.learning_rate \(now 1e\+30\)"):
        data.train(
            tmp_path,
            fine_tune=wild,
            epochs=1,
            optimizer=tiny_data.MODEL["optimizer"] | {"name": "sgd"},
        )
