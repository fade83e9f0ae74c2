"""Features and predictions of a trained network, in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.features.network import extract_features
from darkroom.features.predictions import probabilities, read_predictions
from darkroom.images import features_file, store
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.train import keras_backend, training
from tests.support import tiny_data

keras = keras_backend.start(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("trained")
    images, splits, augmented = tiny_data.write(folder)
    training.train_model(
        images,
        splits,
        augmented,
        model_path=str(folder / "model.keras"),
        history_path=str(folder / "history.csv"),
        resume=str(folder / ".resume"),
        cfg=tiny_data.settings(),
        code="",
        threads=1,
    )
    return {
        "model_path": str(folder / "model.keras"),
        "images": images,
        "splits": splits,
        "augmented": augmented,
    }


def extract(
    trained: dict[str, str], folder: Path, gpus: Gpus = NO_GPUS, **changes: Any
) -> tuple[features_file.Features, Any]:
    cfg = {
        "dataset": "tiny",
        "fold": "holdout",
        "model": "cnn",
        "seed": 0,
        "layer": None,
        "backend": None,
        "batch": 16,
        "balance": None,
        "balance_seed": 0,
    }
    extract_features(
        **trained | {"model_path": trained["model_path"].replace(".keras", ".onnx")},
        features_path=str(folder / "features.h5"),
        predictions_path=str(folder / "predictions.parquet"),
        cfg=cfg | changes,
        threads=1,
        gpus=gpus,
    )
    made = features_file.open_features(str(folder / "features.h5"))
    return made, read_predictions(str(folder / "predictions.parquet"))


def pixels_of(trained: dict[str, str], row: np.ndarray, variant: np.ndarray) -> np.ndarray:
    files = [store.open_images(trained[k]).images for k in ("images", "augmented")]
    return np.stack([files[v][r] for r, v in zip(row, variant, strict=True)])


def test_features_of_the_last_hidden_layer(trained: dict[str, str], tmp_path: Path) -> None:
    made, _ = extract(trained, tmp_path)
    train = [i for i in range(90) if i % 5 < 3]
    expected = sorted([(i, 0) for i in range(90)] + [(i, 1) for i in train])
    assert list(zip(made.row.tolist(), made.variant.tolist(), strict=True)) == expected
    assert made.features.shape == (144, 8) and made.features.dtype == np.float32
    assert made.name == "cnn-seed0" and made.layer == "dropout_6"
    network = keras.models.load_model(trained["model_path"])
    code = keras.Model(network.input, network.get_layer("code").output)
    wanted = np.asarray(code.predict_on_batch(pixels_of(trained, made.row, made.variant)))
    assert np.allclose(made.features, wanted, atol=1e-5)


def test_predictions_are_of_validation_and_test_rows(
    trained: dict[str, str], tmp_path: Path
) -> None:
    _, (table, meta) = extract(trained, tmp_path)
    rows = np.array([i for i in range(90) if i % 5 >= 3])
    assert table["row"].tolist() == rows.tolist()
    assert table["part"].tolist() == ["validation" if i % 5 == 3 else "test" for i in rows]
    assert table["class"].tolist() == (rows // 30).tolist()
    network = keras.models.load_model(trained["model_path"])
    wanted = network.predict_on_batch(pixels_of(trained, rows, rows * 0))
    assert np.allclose(probabilities(table, tiny_data.CLASSES), wanted, atol=1e-5)
    assert meta["run"] == ("cnn", 0, "holdout", "cnn-seed0", "head")
    assert meta["seconds"]["predict"] > 0


def test_a_named_layer_is_flattened(trained: dict[str, str], tmp_path: Path) -> None:
    made, _ = extract(trained, tmp_path, layer="pool_3")
    assert made.features.shape == (144, 4 * 4 * 4) and made.layer == "pool_3"
    network = keras.models.load_model(trained["model_path"])
    pool = keras.Model(network.input, network.get_layer("pool_3").output)
    wanted = np.asarray(pool.predict_on_batch(pixels_of(trained, made.row[:9], made.variant[:9])))
    assert np.allclose(made.features[:9], wanted.reshape(9, -1), atol=1e-5)


def test_with_a_gpu_it_is_the_backend_s_and_equal(trained: dict[str, str], tmp_path: Path) -> None:
    """There is none here, so the backend takes the processor."""
    for layer in (None, "pool_3"):
        ours, (table, meta) = extract(trained, tmp_path, layer=layer)
        theirs, (other, _) = extract(trained, tmp_path, gpus=Gpus(count=1), layer=layer)
        assert ours.layer == theirs.layer
        assert np.allclose(ours.features, theirs.features, atol=1e-5)
        p = probabilities(table, meta["classes"])
        assert np.allclose(p, probabilities(other, meta["classes"]), atol=1e-6)


def test_a_layer_that_is_not_there_is_told(trained: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no layer 'codes'; it has image, normalise, conv_1"):
        extract(trained, tmp_path, layer="codes")
    assert not any(tmp_path.iterdir())


def test_chosen_variants_are_the_ones_that_the_balance_trains_on(
    trained: dict[str, str], tmp_path: Path
) -> None:
    from darkroom.split.splits import read_splits, training_rows

    made, _ = extract(trained, tmp_path, balance=20, balance_seed=3)
    assert (made.variant == 1).sum() == 6 and (made.variant == 0).sum() == 90
    part, label = read_splits(trained["splits"]).lookup(made.row, "holdout")
    again = training_rows(made.row, made.variant, part, label, balance=20, seed=3)
    assert (made.variant[again] == 1).sum() == 6  # a classifier trains on just these
    assert np.bincount(label[again]).tolist() == [20, 20, 20]


def test_without_variants(trained: dict[str, str], tmp_path: Path) -> None:
    made, _ = extract(trained | {"augmented": None}, tmp_path)
    assert made.row.tolist() == list(range(90)) and not made.variant.any()
