"""Faster kernels compute what Keras computes, and leave no trace in what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.train import kernels, models

keras = models.backend(1)


def network(precision: str = "float32", **norm: Any) -> Any:
    models.set_precision(precision)
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, kernel_initializer="he_normal")(image)
    x = keras.layers.BatchNormalization(name="norm", **norm)(x)
    inner = keras.Sequential([keras.Input((4, 4, 8)), keras.layers.BatchNormalization()])
    x = keras.layers.Flatten()(inner(keras.layers.Activation("relu")(x)))
    x = keras.layers.BatchNormalization()(x)  # of vectors
    output = keras.layers.Dense(3, activation="softmax", dtype="float32")(x)
    models.set_precision("float32")
    made = keras.Model(image, output)
    made.compile(keras.optimizers.SGD(0.05, momentum=0.9), "categorical_crossentropy")
    return made


def trained(made: Any, steps: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    for _ in range(steps):
        images = random.normal(1, 2, (10, 6, 6, 3)).astype(np.float32)
        made.train_on_batch(images, np.eye(3, dtype=np.float32)[random.integers(0, 3, 10)])
    return list(made.get_weights())


@pytest.mark.parametrize("norm", [{}, {"scale": False, "epsilon": 1e-4, "momentum": 0.6}])
def test_fused_training_ends_with_the_weights_of_keras(norm: dict[str, Any]) -> None:
    plain, fused = network(**norm), network(**norm)
    kernels.install(fused)
    for a, b in zip(trained(plain), trained(fused), strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_in_bfloat16_statistics_stay_float32_and_near_those_of_keras() -> None:
    plain, fused = network("bfloat16"), network("bfloat16")
    kernels.install(fused)
    trained(plain), trained(fused)
    ours, theirs = fused.get_layer("norm"), plain.get_layer("norm")
    assert ours.moving_variance.dtype == "float32"
    assert np.allclose(ours.moving_variance, theirs.moving_variance, rtol=0.05)
    assert np.allclose(ours.moving_mean, theirs.moving_mean, atol=0.05)


def test_a_layer_that_does_not_train_keeps_its_statistics() -> None:
    made = network()
    norm = made.get_layer("norm")
    norm.trainable = False
    kernels.install(made)
    trained(made)
    assert not np.any(norm.moving_mean) and np.all(np.asarray(norm.moving_variance) == 1)


def test_the_saved_network_is_stock_keras_and_gives_the_same(tmp_path: Path) -> None:
    made = network()
    kernels.install(made)
    trained(made)
    images = np.random.default_rng(1).normal(0, 1, (5, 6, 6, 3)).astype(np.float32)
    keras.Model(made.input, made.output).save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras", safe_mode=True)
    assert np.array_equal(again.predict_on_batch(images), made.predict_on_batch(images))
    assert again.get_layer("norm").call.__qualname__ == "BatchNormalization.call"


def test_training_really_calls_the_one_operation() -> None:
    import tensorflow as tf

    made = network()
    kernels.install(made)

    step = tf.function(lambda images: made(images, training=True))
    graph = step.get_concrete_function(tf.TensorSpec((10, 6, 6, 3))).graph
    assert "FusedBatchNormV3" in {op.type for op in graph.get_operations()}


@pytest.mark.parametrize(
    ("size", "width", "images"), [(3, 7, 10), (3, 3, 3), (5, 6, 4), (3, 16, 5)]
)
def test_the_gradient_of_maps_side_by_side_is_that_of_each_alone(
    size: int, width: int, images: int
) -> None:
    keras.utils.set_random_seed(0)
    models.set_precision("bfloat16")
    shape = (images, 5, width, 8)
    plain, ours = (keras.layers.Conv2D(16, size, padding="same", name=n) for n in "ab")
    both = [keras.Sequential([keras.Input(shape[1:]), layer]) for layer in (plain, ours)]
    ours.set_weights(plain.get_weights())
    models.set_precision("float32")
    kernels.install(both[1])
    random = np.random.default_rng(0)
    maps = random.normal(0, 1, shape).astype(np.float32)
    wanted = random.normal(0, 1, (*shape[:3], 16)).astype(np.float32)
    moved = []
    for made in both:
        before = made.get_weights()
        made.compile(keras.optimizers.SGD(1.0), "mse")
        made.train_on_batch(maps, wanted)
        moved.append([b - a for a, b in zip(before, made.get_weights(), strict=True)])
    # a bias is added to rounded sums, or within the operation: one digit of bfloat16 in each value
    for a, b, close in zip(*moved, (0.02, 0.1), strict=True):
        assert np.allclose(a, b, atol=close * np.abs(a).max())
    theirs, same = (np.asarray(made.predict_on_batch(maps), np.float32) for made in both)
    assert np.allclose(theirs, same, atol=0.05)


def test_only_plain_convolutions_in_bfloat16_are_exchanged() -> None:
    conv = keras.layers.Conv2D
    kinds: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"dtype": "float32"}, False),
        ({"strides": 2}, False),
        ({"padding": "valid"}, False),
        ({"groups": 2}, False),
        ({"dilation_rate": 2}, False),
        ({"kernel_size": 1}, False),
    ]
    for asked, expected in kinds:
        layer = conv(
            **{"filters": 4, "kernel_size": 3, "padding": "same"}
            | {"dtype": "mixed_bfloat16"}
            | asked
        )
        made = keras.Sequential([keras.Input((6, 6, 4)), layer])
        kernels.install(made)
        exchanged = layer.convolution_op.__module__ == kernels.__name__
        assert exchanged == expected, asked
