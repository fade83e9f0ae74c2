"""Networks from lists of layers: what they compute, and what is said of a list that cannot be."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.config.model import Layer, Optimizer, Schedule
from darkroom.errors import UserError
from darkroom.train import models

keras = models.backend(1)


def layers(*asked: Any) -> list[dict[str, Any]]:
    return [Layer.model_validate(a).model_dump(mode="json", exclude_none=True) for a in asked]


def build(*asked: Any, shape: tuple[int, int, int] = (8, 8, 3), **other: Any) -> Any:
    given: dict[str, Any] = {"normalise": "unit", "mean": [], "std": [], "seed": 0, "classes": 3}
    given["sample"] = images(20, shape)
    return models.build(layers(*asked), shape=shape, **given | other)


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
    models.mirrored(network).save(tmp_path / "a.keras")
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


def test_importing_quietly_shows_what_went_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    with models._silent_stderr():
        os.write(2, b"a page about drivers\n")
    assert "drivers" not in capfd.readouterr().err
    with pytest.raises(ImportError), models._silent_stderr():
        os.write(2, b"no such library\n")
        raise ImportError
    assert "no such library" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("cards", "backend", "count", "chosen"),
    [
        ([(8, 0)], "tensorflow", 1, "bfloat16"),  # A100
        ([(9, 0)], "torch", 1, "bfloat16"),  # H100
        ([(12, 0)], "jax", 2, "bfloat16"),
        ([(7, 5)], "tensorflow", 1, "float16"),  # T4
        ([(7, 0)], "torch", 1, "float16"),  # V100
        ([(7, 5)], "jax", 1, "float32"),
        ([(7, 0)], "tensorflow", 2, "float32"),
        ([(6, 1)], "tensorflow", 1, "float32"),  # Pascal
        ([(8, 6), (6, 1)], "tensorflow", 1, "float32"),  # the lowest counts
        ([(0, 0)], "torch", 1, "float32"),  # another maker's
    ],
)
def test_precision_goes_by_what_the_cards_can(
    cards: list[tuple[int, int]], backend: str, count: int, chosen: str
) -> None:
    assert models.best_precision(backend, cards, count) == chosen


def test_precision_of_a_processor_goes_by_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    for amx, chosen in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(models, "_has_amx", lambda amx=amx: amx)
        assert models.best_precision("tensorflow", []) == chosen
        assert models.best_precision("jax", []) == "float32"
    assert [models._version(v) for v in ("8.6", "10.0", "gfx90a")] == [(8, 6), (10, 0), (0, 0)]


def test_float16_scales_the_loss_and_several_cards_refuse_it() -> None:
    with pytest.raises(UserError, match=r"float16 needs a scaled loss, .* on several cards"):
        models.set_precision("float16", 2)
    assert models.set_precision("float16") == "mixed_float16"
    try:
        network = build({"conv": 4}, "flatten")
        network.compile(optimizer(learning_rate=0.01), "categorical_crossentropy")
        assert network.get_layer("conv_1").compute_dtype == "float16"
        assert type(network.optimizer).__name__ == "LossScaleOptimizer"
        network.optimizer.learning_rate = 0.5
        assert float(network.optimizer.inner_optimizer.learning_rate) == 0.5
        network.train_on_batch(images(), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]])
        assert all(np.isfinite(w).all() for w in network.get_weights())
    finally:
        models.set_precision("float32")


def test_a_backend_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"jax is not installed .* envs/backends\.in"):
        models.check_backend("jax")
    with pytest.raises(UserError, match="there is no 'theano'; there are tensorflow, jax, torch"):
        models.check_backend("theano")
    with pytest.raises(RuntimeError, match="tensorflow here already, not jax"):
        models.backend(1, "jax")


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


def test_a_fresh_process_says_nothing_and_takes_its_threads() -> None:
    code = (
        "from darkroom.train import models\n"
        "models.backend(3)\n"
        "import tensorflow as tf\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3" and done.stderr == ""


# ---------------------------------------------------------------- optimiser, learning rate


def optimizer(**asked: Any) -> Any:
    return models.optimizer(Optimizer(**asked).model_dump())


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw", "rmsprop"])
def test_optimisers_take_their_settings(name: str) -> None:
    made = optimizer(name=name, learning_rate=0.02, weight_decay=0.1, clip_norm=2, momentum=0.8)
    assert type(made).__name__.lower() == {"momentum": "sgd"}.get(name, name)
    assert float(made.learning_rate) == pytest.approx(0.02)
    assert made.weight_decay == 0.1 and made.global_clipnorm == 2
    if name in ("momentum", "rmsprop"):
        assert made.momentum == 0.8
    if name == "sgd":
        assert made.momentum == 0
    assert not optimizer(name=name).weight_decay


def test_nesterov_goes_with_momentum_only() -> None:
    assert optimizer(name="momentum", nesterov=True).nesterov
    with pytest.raises(UserError, match=r"nesterov goes with optimizer\.name: momentum, not adam"):
        optimizer(name="adam", nesterov=True)


def rates(steps: int = 100, **asked: Any) -> list[float]:
    schedule = Schedule(**asked).model_dump()
    return [models.rate(step, steps, 0.5, schedule) for step in range(steps)]


def test_constant_and_warm_up() -> None:
    assert rates() == [0.5] * 100
    rising = rates(warmup=0.1)
    assert rising[:10] == pytest.approx([0.05 * i for i in range(1, 11)])
    assert rising[10:] == [0.5] * 90


def test_cosine_falls_from_the_peak_to_the_final_rate() -> None:
    got = rates(name="cosine", warmup=0.2, final=0.1)
    assert got[19] == pytest.approx(0.5) and got[20] == pytest.approx(0.5)
    assert got[60] == pytest.approx(0.5 * (0.1 + 0.9 / 2))
    assert got[-1] == pytest.approx(0.05, rel=0.02) and got[-1] > 0.05
    assert all(a >= b for a, b in itertools.pairwise(got[19:]))


def test_one_cycle_rises_and_falls_in_lines() -> None:
    got = rates(name="one_cycle", warmup=0.25)
    assert max(got) == got[24] == pytest.approx(0.5)
    assert 0.5 / 25 < got[0] < 0.06
    assert np.allclose(np.diff(got[:25]), got[1] - got[0])
    assert np.allclose(np.diff(got[25:]), got[-1] - got[-2]) and 0 < got[-1] < 0.01
    assert np.argmax(rates(name="one_cycle")) in (29, 30)  # three tenths, where none are given


def test_one_step_is_enough_for_every_schedule() -> None:
    for name in ("constant", "cosine", "one_cycle"):
        assert all(math.isfinite(r) and r > 0 for r in rates(1, name=name, warmup=0.9))


def test_no_backend_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys\n"
        "from darkroom.train.training import train_model\n"
        "from darkroom.features.network import extract_features\n"
        "from darkroom.features.backbone import embed_images\n"
        "from darkroom.predict.predict import predict_images\n"
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
