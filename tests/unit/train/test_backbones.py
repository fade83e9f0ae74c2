"""Pretrained networks: their own preprocessing, their official weights, and what trains of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.train import backbones, fine_tuning, keras_backend
from tests.support.backbone_weights import MOBILENET, SHAPE, mobilenet_weights, two_blocks

keras = keras_backend.start(1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return mobilenet_weights(tmp_path_factory.mktemp("weights") / "mine.h5")


def images(n: int = 4, side: int = SHAPE[0]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


# ---------------------------------------------------------------- the official file


@pytest.mark.parametrize(
    ("application", "settings", "side", "name", "digits"),
    [
        ("MobileNet", {"alpha": 0.25}, 224, "mobilenet_2_5_224_tf_no_top.h5", 0),
        ("MobileNet", {"alpha": 0.25}, 128, "mobilenet_2_5_128_tf_no_top.h5", 0),
        ("VGG16", {}, 64, "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", 32),
        ("ConvNeXtTiny", {}, 64, "convnext_tiny_notop.h5", 64),
    ],
)
def test_an_application_says_which_file_it_wants(
    application: str, settings: dict[str, Any], side: int, name: str, digits: int
) -> None:
    said = backbones.official(application, settings, (side, side, 3))
    assert said.name == name
    assert said.address.startswith("https://") and said.address.endswith(f"/{name}")
    assert len(said.digest or "") == digits


@pytest.mark.parametrize(
    ("application", "settings", "side", "said"),
    [
        ("MobilNet", {}, 224, "has no 'MobilNet'; did you mean 'MobileNet'?"),
        ("MobileNet", {"alpa": 1}, 224, "MobileNet has no 'alpa'; did you mean 'alpha'?"),
        ("VGG16", {"alpha": 1}, 224, "VGG16 has no 'alpha'; it has none"),
        ("VGG16", {"weights": None}, 224, "'weights' of VGG16 is Darkroom's own to set"),
        ("VGG16", {}, 16, "VGG16 needs images of at least 32×32 pixels, but the view is 16×16"),
        ("InceptionV3", {}, 64, "InceptionV3 needs images of at least 75×75 pixels"),
        ("MobileNet", {"alpha": 0.3}, 224, "alpha can be one of"),
    ],
)
def test_what_there_is_no_file_for(
    application: str, settings: dict[str, Any], side: int, said: str
) -> None:
    with pytest.raises(UserError) as error:
        backbones.official(application, settings, (side, side, 3))
    assert said in str(error.value)


def test_names_are_known_without_keras() -> None:
    assert {"VGG16", "InceptionResNetV2", "MobileNetV3Small"} < set(backbones.names())
    assert all(hasattr(keras.applications, name) for name in backbones.names())


# ---------------------------------------------------------------- preprocessing


@pytest.mark.parametrize(
    ("module", "kind"),
    [("mobilenet", "Rescaling"), ("densenet", "Rescaling"), ("efficientnet", "Rescaling"),
     ("vgg16", "Conv2D"), ("resnet50", "Conv2D")],
)  # fmt: skip
def test_preprocessing_is_the_application_s_own_in_stock_layers(module: str, kind: str) -> None:
    own = getattr(keras.applications, module)
    image = keras.Input(SHAPE, dtype="uint8")
    made = keras.Model(image, backbones.preprocessing(own, image))
    assert type(made.get_layer("preprocess")).__name__ == kind
    assert all(type(layer).__module__.startswith("keras.src.layers") for layer in made.layers)
    found = np.asarray(made.predict_on_batch(images()))
    wanted = own.preprocess_input(images().astype(np.float32))
    assert np.allclose(found, wanted, atol=1e-3, rtol=1e-5)
    assert not made.trainable_weights


def test_preprocessing_that_is_no_scale_and_offset_is_told() -> None:
    with pytest.raises(UserError, match="more than a scale and an offset"):
        backbones.affine(lambda x: x**2)


# ---------------------------------------------------------------- what it takes


@pytest.mark.parametrize(
    ("application", "settings", "millions", "count"),
    [
        ("MobileNet", {"alpha": 0.25}, 41, 218_544),  # arXiv:1704.04861, table 6
        ("VGG16", {}, 15_300, 14_714_688),  # the same, table 8
        ("ResNet50", {}, 3_800, 23_587_712),  # arXiv:1512.03385, table 1
        ("EfficientNetB0", {}, 390, 4_049_571),  # arXiv:1905.11946, table 2
    ],
)
def test_multiplications_are_those_that_were_published(
    application: str, settings: dict[str, Any], millions: float, count: int
) -> None:
    layers = backbones.work(application, settings, (224, 224, 3))
    assert sum(layer[1] for layer in layers) == pytest.approx(millions * 1e6, rel=0.03)
    assert sum(layer[3] for layer in layers) == count
    half = backbones.work(application, settings, (112, 112, 3))
    assert sum(layer[2] for layer in half) == pytest.approx(
        sum(layer[2] for layer in layers) / 4, rel=0.05
    )


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize("pool", ["average", "max", "none"])
def test_features_are_those_of_the_application(weights: str, pool: str) -> None:
    made = backbones.build(**MOBILENET, pool=pool, shape=SHAPE, weights=weights)
    base = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=SHAPE, alpha=0.25
    )
    base.set_weights(fine_tuning.within(made).get_weights())
    pixels = keras.applications.mobilenet.preprocess_input(images().astype(np.float32))
    wanted = np.asarray(base.predict_on_batch(pixels))
    if pool != "none":
        wanted = (np.mean if pool == "average" else np.max)(wanted, axis=(1, 2))
    found = np.asarray(made.predict_on_batch(images()))
    assert found.dtype == np.float32 and np.allclose(found, wanted, atol=1e-5)
    assert made.layers[-1].name == backbones.EMBEDDING


def test_weights_are_read_in_both_forms_of_keras(weights: str, tmp_path: Path) -> None:
    from keras.src.legacy.saving import legacy_h5_format

    made = backbones.load(**MOBILENET, shape=SHAPE, weights=weights)
    import h5py

    older = tmp_path / "older.weights.h5"  # by its name alone it would be the newer one
    with h5py.File(older, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, made)
    again = backbones.load(**MOBILENET, shape=SHAPE, weights=str(older))
    pairs = zip(made.get_weights(), again.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_training_leaves_a_frozen_backbone_as_it_is(tmp_path: Path) -> None:
    with two_blocks():
        weights = mobilenet_weights(tmp_path / "weights.h5")
        made = backbones.build(**MOBILENET, pool="average", shape=SHAPE, weights=weights)
    output = keras.layers.Dense(2, activation="softmax", name="softmax")(made.output)
    network = keras.Model(made.input, output)
    before, head = made.get_weights(), network.layers[-1].get_weights()
    network.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    network.train_on_batch(images(), np.eye(2)[[0, 1, 0, 1]])
    assert all(np.array_equal(a, b) for a, b in zip(before, made.get_weights(), strict=True))
    assert not np.array_equal(head[0], network.layers[-1].get_weights()[0])
    one, two = (np.asarray(made(images(), training=t)) for t in (True, False))
    assert np.array_equal(one, two)  # batch norm by its statistics, no dropout
    network.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras", safe_mode=True)
    one, two = (np.asarray(n.predict_on_batch(images())) for n in (network, loaded))
    assert np.allclose(one, two, atol=1e-6)


def test_official_weights_make_the_network_that_keras_makes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EfficientNet has one more layer with its ImageNet weights than without."""
    path = tmp_path / "x.weights.h5"
    name, shape = "EfficientNetB0", (32, 32, 3)
    maker = keras.applications.EfficientNetB0
    maker(include_top=False, weights=None, input_shape=shape).save_weights(path)
    plain = backbones.load(name, {}, shape, str(path))
    monkeypatch.setattr(backbones, "digest_of", lambda path, like: like)  # as if it were that one
    official = backbones.load(name, {}, shape, str(path))
    assert len(official.layers) == len(plain.layers) + 1
    drops = [x for x in official.layers if isinstance(x, keras.layers.Dropout)]
    assert drops and max(x.rate for x in drops) > 0
    built = backbones.build(name, {}, pool="average", shape=shape, weights=str(path))
    pixels = images(2, 32)
    one, two = (np.asarray(built(pixels, training=t)) for t in (True, False))
    assert np.array_equal(one, two)


def test_other_weights_are_told(weights: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights|not hold weights of MobileNet.*'alpha': 0.5"):
        backbones.load("MobileNet", {"alpha": 0.5}, SHAPE, weights)
    with pytest.raises(UserError, match="does not hold weights of VGG16 without the top layers"):
        backbones.load("VGG16", {}, SHAPE, weights)
    cut = tmp_path / "cut.h5"
    cut.write_bytes(Path(weights).read_bytes()[:-3000])
    with pytest.raises(UserError, match="cut short"):
        backbones.load(**MOBILENET, shape=SHAPE, weights=str(cut))
    cut.write_bytes(b"<html>")
    with pytest.raises(UserError, match="no HDF5 file"):
        backbones.load(**MOBILENET, shape=SHAPE, weights=str(cut))


def test_grey_images_are_told(weights: str) -> None:
    with pytest.raises(UserError, match=r"MobileNet reads colour images and gets 32×32×1"):
        backbones.build(**MOBILENET, pool="average", shape=(32, 32, 1), weights=weights)
