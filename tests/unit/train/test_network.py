"""Networks from lists of layers: what they compute, and what is said of a list that cannot be."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.config.model import Layer
from darkroom.errors import UserError
from darkroom.train import keras_backend
from darkroom.train.network import build_network, mirrored

keras = keras_backend.start(1)


def layers(*asked: Any) -> Any:
    written = [Layer.model_validate(a).model_dump(mode="json") for a in asked]
    return [{k: v for k, v in layer.items() if v is not None} for layer in written]


def build(*asked: Any, shape: tuple[int, int, int] = (8, 8, 3), **other: Any) -> Any:
    given: dict[str, Any] = {"normalise": "unit", "mean": [], "std": [], "seed": 0, "classes": 3}
    given["sample"] = images(20, shape)
    return build_network(layers(*asked), shape=shape, **given | other)


def images(n: int = 5, shape: tuple[int, int, int] = (8, 8, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


EVERY = (
    {"conv": 4},
    {"batch_norm": {"scale": False, "epsilon": 1e-5}},
    {"activation": "gelu"},
    {"pool": {"size": 2, "kind": "average"}},
    {"residual": {"filters": 4}},
    {"residual": {"filters": 6, "stride": 2}, "name": "block"},
    {"global_pool": "max"},
    {"dense": 7},
    {"scale": 0.5},
    {"dropout": 0.5},
)


def test_every_kind_of_layer_gives_probabilities_of_raw_pixels() -> None:
    network = build(*EVERY)
    p = np.asarray(network.predict_on_batch(images()))
    assert p.shape == (5, 3) and p.dtype == np.float32 and np.allclose(p.sum(axis=1), 1)
    assert network.get_layer("block").output.shape == (None, 2, 2, 6)
    assert network.input.dtype == "uint8"
    assert [x.name for x in network.layers][:3] == ["image", "normalise", "conv_1"]


def test_a_residual_block_of_no_convolution_passes_its_input_on() -> None:
    network = build({"residual": {"filters": 3}, "name": "block"}, "global_pool")
    for layer in network.layers:
        if "conv" in layer.name:
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    block = keras.Model(network.input, network.get_layer("block").output)
    assert np.allclose(block.predict_on_batch(images()), images() / 255, atol=1e-6)


def test_whitened_patches_are_uncorrelated_and_stay_so() -> None:
    sample = np.clip(images(200) // 8 + 90, 0, 255)  # little contrast
    sample[..., 1] = (sample[..., 0].astype(int) + sample[..., 2]) // 2  # colours that agree
    sample = np.repeat(sample, 2, axis=2)[:, :, :8]  # as do neighbours
    asked = {"whiten": {"size": 2, "activation": None}}
    given: dict[str, Any] = {"normalise": "standard", "mean": [105.5] * 3, "std": [9] * 3}
    network = build(asked, "global_pool", sample=sample, **given)
    layer = network.get_layer("whiten_1")
    first = keras.Model(network.input, layer.output)
    got = np.asarray(first.predict_on_batch(sample)).reshape(-1, 24)
    assert np.allclose(got[:, :12], -got[:, 12:], atol=1e-4)
    known = got.T @ got / len(got)
    assert np.allclose(np.diag(known)[:7], 1, atol=0.02)  # the rest hardly varies at all
    assert np.allclose((known - np.diag(np.diag(known)))[:12, :12], 0, atol=0.02)
    assert not layer.trainable and not layer.trainable_weights
    rectified = build({"whiten": 2}, "global_pool", sample=sample, **given)
    first = keras.Model(rectified.input, rectified.get_layer("whiten_1").output)
    assert np.allclose(np.asarray(first.predict_on_batch(sample)).reshape(-1, 24), got.clip(0))


def test_a_convolution_may_start_by_passing_its_channels_on() -> None:
    asked = {"conv": {"filters": 5, "activation": None, "init": "identity"}}
    network = build(asked, "flatten", normalise="unit")
    first = keras.Model(network.input, network.get_layer("conv_1").output)
    got = np.asarray(first.predict_on_batch(images()))
    assert np.allclose(got[..., :3], images() / 255, atol=1e-6)
    assert np.ptp(got[..., 3]) > 0.1 and not np.allclose(got[..., 3], got[..., 4])
    he, glorot = (
        build({"conv": {"filters": 400, "init": i}}, "flatten").get_weights()[0].std()
        for i in ("he", "glorot")
    )
    assert he == pytest.approx(math.sqrt(2 / 27), rel=0.05)
    assert glorot == pytest.approx(math.sqrt(2 / (27 + 3600)), rel=0.05)


def test_a_mirrored_network_says_the_same_of_an_image_and_its_mirror_image(tmp_path: Path) -> None:
    network = build(*EVERY)
    mirrored(network).save(tmp_path / "a.keras")
    both = keras.models.load_model(tmp_path / "a.keras", safe_mode=True)
    said = np.asarray(both.predict_on_batch(images()))
    assert np.allclose(said, both.predict_on_batch(images()[:, :, ::-1]), atol=1e-6)
    log = [np.log(network.predict_on_batch(i)) for i in (images(), images()[:, :, ::-1])]
    mean = np.exp(sum(log) / 2)
    assert np.allclose(said, mean / mean.sum(axis=1, keepdims=True), atol=1e-5)
    assert not np.allclose(said, network.predict_on_batch(images()), atol=1e-3)


def test_scale_multiplies() -> None:
    plain, scaled = build("flatten"), build("flatten", {"scale": 0.25}, "flatten")
    layer = keras.Model(scaled.input, scaled.get_layer("scale_2").output)
    assert np.allclose(layer.predict_on_batch(images()), images().reshape(5, -1) / 255 / 4)
    assert len(plain.get_weights()) == len(scaled.get_weights())


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("standard", lambda x: (x - [10, 20, 30]) / [5, 1, 2]),
        ("unit", lambda x: x / 255),
        ("symmetric", lambda x: x / 127.5 - 1),
        ("none", lambda x: x),
    ],
)
def test_normalising_is_the_first_layer(how: str, expected: Any) -> None:
    network = build("flatten", normalise=how, mean=[10, 20, 30], std=[5, 0, 2])
    first = keras.Model(network.input, network.get_layer("normalise").output)
    assert np.allclose(first.predict_on_batch(images()), expected(images()), rtol=1e-5, atol=1e-5)


def test_the_seed_settles_the_weights() -> None:
    one, same, other = (build(*EVERY, seed=s).get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            [{"conv": 4}, {"pool": 8}, {"pool": 2}, "flatten"],
            r"layers\[2\] \(pool\) of size 2 does not fit a map of 1×1×4",
        ),
        (
            [{"conv": {"filters": 4, "size": 9, "padding": "valid"}}, "flatten"],
            r"layers\[0\] \(conv\) of size 9 does not fit a map of 8×8×3.*padding: same",
        ),
        ([{"conv": 4}, {"dense": 5}], r"layers\[1\] \(dense\) needs a vector .* map of 8×8×4"),
        (["flatten", {"conv": 4}], r"layers\[1\] \(conv\) needs a map .* a vector of 192"),
        ([{"conv": 4}], r"ends in a map of 8×8×4; add flatten or global_pool"),
        (["flatten", {"dense": {"units": 4, "activation": "rleu"}}], r"activation is 'rleu'"),
        ([{"conv": 4}, "whiten", "flatten"], r"layers\[1\] \(whiten\) .* it stands first"),
        ([{"whiten": 9}, "flatten"], r"layers\[0\] \(whiten\) of size 9 does not fit .* 8×8×3"),
        (["flatten", {"activation": "rleu"}], r"layers\[1\] \(activation\) function is 'rleu'"),
        (["flatten", {"dense": 4, "name": "softmax"}], r"the name 'softmax' is taken"),
    ],
)
def test_a_list_that_cannot_be_built_is_told_with_its_place(asked: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        build(*asked)


def test_a_saved_network_loads_in_a_plain_keras(tmp_path: Path) -> None:
    network = build(*EVERY)
    network.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", images())
    code = (
        "import sys, keras, numpy as np\n"
        "m = keras.models.load_model('model.keras', safe_mode=True)\n"
        "np.save('p.npy', m.predict_on_batch(np.load('x.npy')))\n"
        "assert not any(n.startswith('darkroom') for n in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    again = np.load(tmp_path / "p.npy")
    assert np.allclose(again, network.predict_on_batch(images()), atol=1e-6)


def kernels_of(init: str, shape: tuple[int, ...]) -> np.ndarray:
    conv = {"filters": shape[3], "size": shape[0], "init": init}
    network = build({"conv": conv}, "flatten", shape=(8, 8, shape[2]))
    return np.asarray(network.get_layer("conv_1").get_weights()[0])


@pytest.mark.parametrize("init", ["glorot", "he"])
def test_first_weights_are_distributed_as_those_of_keras(init: str) -> None:
    shape = (3, 3, 40, 60)
    ours = kernels_of(init, shape)
    named = {"glorot": keras.initializers.GlorotUniform, "he": keras.initializers.HeNormal}[init]
    theirs = np.asarray(named(seed=1)(shape))
    assert abs(ours.mean()) < 0.02 * ours.std()
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.01)
    for q in (0.05, 0.25, 0.75, 0.95):
        assert np.quantile(ours, q) == pytest.approx(np.quantile(theirs, q), rel=0.05)
