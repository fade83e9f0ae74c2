"""A network as ONNX says what it says in Keras, whatever it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.infer import export, parity
from darkroom.infer.activations import FUNCTIONS
from darkroom.infer.run import Network, read_about
from darkroom.names import EMBEDDING
from darkroom.train import backbones, keras_backend, network

keras = keras_backend.start(1)
SHAPE = (13, 11, 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (9, *SHAPE), np.uint8)


def conv(**changes: Any) -> dict[str, Any]:
    spec = {"filters": 4, "size": 3, "stride": 2, "padding": "same", "activation": "relu",
            "bias": True, "init": "he"}  # fmt: skip
    return {"conv": spec | changes}


EVERY: list[Any] = [
    conv(),
    {"batch_norm": {"momentum": 0.9, "scale": True, "epsilon": 0.001}},
    {"residual": {"filters": 6, "stride": 2, "activation": "relu"}, "name": "block"},
    {"pool": {"size": 2, "stride": 1, "kind": "max"}},
    {"pool": {"size": 2, "stride": None, "kind": "average"}},
    {"activation": {"function": "tanh"}},
    {"flatten": {}},
    {"dense": {"units": 5, "activation": "gelu"}, "name": "code"},
    {"scale": {"factor": 0.5}},
    {"dropout": {"rate": 0.5}},
]


def build(layers: list[Any], head: str = "softmax", classes: int = 3, **changes: Any) -> Any:
    made = network.build_network(
        layers, shape=SHAPE, classes=classes, normalise="standard", mean=[100, 120, 130],
        std=[60, 50, 70], seed=0, head=head, **changes,
    )  # fmt: skip
    random = np.random.default_rng(1)
    for layer in made.layers:  # batch norm that does something
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([w + random.random(w.shape) for w in layer.get_weights()])
    return made


def written(made: Any, folder: Path, pixels: np.ndarray = PIXELS, **how: Any) -> Network:
    path = str(folder / "model.onnx")
    export.write(made, path, {"classes": ["a"]}, pixels)
    return Network(path, threads=1, **how)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_all_layers_and_both_heads(head: str, tmp_path: Path) -> None:
    made = build(EVERY, head, 2)
    opened = written(made, tmp_path)
    theirs = network.by_class(np.asarray(made(PIXELS)))
    assert np.ptp(theirs[:, 0]) > 0.01, "the images differ"
    found = opened(PIXELS)
    assert np.allclose(found.probabilities, theirs, atol=1e-6)
    assert found.logits is not None and found.logits.shape == (9, 2)
    powers = np.exp(found.logits)
    assert np.allclose(powers / powers.sum(axis=1, keepdims=True), theirs, atol=1e-6)
    hidden = keras.Model(made.input, made.layers[-1].input)
    assert np.allclose(found.features, np.asarray(hidden(PIXELS)), atol=1e-5)
    assert opened.layer == "dropout_10" and opened.width == 5
    assert opened.about["classes"] == ["a"] and opened.about["digest"] == export.digest(made)


@pytest.mark.parametrize("layer", ["normalise", "conv_1", "block", "flatten_7", "code"])
def test_the_output_of_any_layer(layer: str, tmp_path: Path) -> None:
    made = build(EVERY)
    opened = written(made, tmp_path, layer=layer)
    inner = keras.Model(made.input, made.get_layer(layer).output)
    theirs = np.asarray(inner(PIXELS)).reshape(len(PIXELS), -1)
    found = opened(PIXELS)
    assert opened.width == theirs.shape[1]
    assert np.allclose(found.features, theirs, atol=1e-4)
    assert np.allclose(found.probabilities, np.asarray(made(PIXELS)), atol=1e-6)


def test_every_activation(tmp_path: Path) -> None:
    for name in FUNCTIONS:
        layers = [
            conv(activation=name),
            {"flatten": {}},
            {"dense": {"units": 4, "activation": name}},
        ]
        written(build(layers), tmp_path)  # it compares


def test_what_has_no_conversion_is_told_with_its_layer(tmp_path: Path) -> None:
    layers = [conv(activation="sparsemax"), {"flatten": {}}]
    with pytest.raises(UserError, match=r"layer conv_1: the activation 'sparsemax' cannot"):
        written(build(layers), tmp_path)
    image = keras.Input(SHAPE, dtype="uint8")
    strange = keras.layers.UpSampling2D(name="up")(keras.layers.Rescaling(1.0)(image))
    with pytest.raises(UserError, match="layer up: UpSampling2D cannot be written as ONNX"):
        export.convert(keras.Model(image, strange), {})


def test_a_picture_and_its_mirror_image(tmp_path: Path) -> None:
    layers: list[Any] = [conv(), {"flatten": {}}]
    both = network.mirrored(build(layers))
    opened = written(both, tmp_path)
    turned = opened(np.ascontiguousarray(PIXELS[:, :, ::-1]))
    assert np.allclose(turned.features, opened(PIXELS).features, atol=1e-5)
    assert opened.layer == "mean_of_mirrors"


def test_a_mixed_precision_network_is_written_in_float32(tmp_path: Path) -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        made = build(EVERY)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    plain = build(EVERY)
    plain.set_weights(made.get_weights())
    found = written(made, tmp_path)(PIXELS)
    theirs = np.asarray(plain(PIXELS))
    assert np.allclose(found.probabilities, theirs, atol=1e-6)
    assert not np.allclose(np.asarray(made(PIXELS)), theirs, atol=1e-5), "it makes a difference"


def test_a_difference_is_an_error_with_its_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build([conv(), {"flatten": {}}])
    right = export.convert(made, {}).SerializeToString()
    parity.check(right, made, PIXELS, "x.onnx")
    made.get_layer("conv_1").set_weights([1.01 * w for w in made.get_layer("conv_1").get_weights()])
    with pytest.raises(
        UserError, match=r"x.onnx: ONNX Runtime and Keras differ by 0\.0\d+ in a pro"
    ):
        parity.check(right, made, PIXELS, "x.onnx")
    monkeypatch.setitem(FUNCTIONS, "relu", FUNCTIONS["tanh"])
    with pytest.raises(UserError, match="report this"):
        written(made, tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_batches_and_threads_change_no_bit(tmp_path: Path) -> None:
    """So the command, a stage and a server agree."""
    written(build(EVERY), tmp_path)
    path = tmp_path / "model.onnx"
    whole = Network(path, threads=1)(PIXELS)
    for threads, step in ((1, 1), (2, 9), (2, 1), (3, 4)):
        opened = Network(path, threads=threads)
        parts = [opened(PIXELS[at : at + step]) for at in range(0, len(PIXELS), step)]
        for name in ("features", "logits", "probabilities"):
            again = np.concatenate([getattr(part, name) for part in parts])
            assert again.tobytes() == getattr(whole, name).tobytes(), (threads, step, name)


def test_the_same_network_has_the_same_file(tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        written(network.mirrored(build(EVERY)), tmp_path)
        contents.append((tmp_path / "model.onnx").read_bytes())
    assert contents[0] == contents[1]


# One of each family whose layers are of another kind; random weights, small images.
FAMILIES = [
    ("MobileNetV3Small", {"minimalistic": False}),
    ("EfficientNetB0", {}),
    ("ConvNeXtTiny", {}),
]


@pytest.mark.parametrize(("name", "settings"), FAMILIES)
def test_families_of_keras_applications(name: str, settings: Any, tmp_path: Path) -> None:
    maker = getattr(keras.applications, name)
    base = maker(include_top=False, weights=None, input_shape=(32, 32, 3), **settings)
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    pooled = keras.layers.GlobalAveragePooling2D(name=EMBEDDING)
    whole = keras.Model(image, pooled(base(keras.layers.Rescaling(1 / 255)(image))))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = written(whole, tmp_path, pixels)(pixels)
    assert np.allclose(found.features, np.asarray(whole(pixels)), atol=1e-5)
    assert found.probabilities is None and np.ptp(found.features[:, 0]) > 0


def test_the_matrix_of_colours_of_some_applications(tmp_path: Path) -> None:
    """ResNet's preprocessing swaps red and blue: a convolution."""
    image = keras.Input((8, 8, 3), dtype="uint8", name="image")
    x = backbones.preprocessing(keras.applications.resnet, image)
    made = keras.Model(image, keras.layers.Flatten(name=EMBEDDING)(x))
    pixels = PIXELS[:, :8, :8]
    found = written(made, tmp_path, pixels)(pixels)
    wanted = keras.applications.resnet.preprocess_input(pixels.astype(np.float32))
    assert np.allclose(found.features, wanted.reshape(9, -1), atol=1e-4)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.onnx: there is no such file"):
        read_about(tmp_path / "gone.onnx")
    written(build(EVERY), tmp_path)
    with pytest.raises(UserError, match="no layer 'cod'; it has image, normalise"):
        Network(tmp_path / "model.onnx", threads=1, layer="cod")
