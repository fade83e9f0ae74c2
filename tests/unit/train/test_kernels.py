"""Faster kernels compute what Keras computes, and leave no trace in what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.train import keras_backend, kernels
from darkroom.train.precision import set_precision

keras = keras_backend.start(1)


def network(precision: str = "float32", **norm: Any) -> Any:
    set_precision(precision)
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, use_bias=False, kernel_initializer="he_normal")(image)
    x = keras.layers.BatchNormalization(name="norm", **norm)(x)
    inner = keras.Sequential([keras.Input((4, 4, 8)), keras.layers.BatchNormalization()])
    x = keras.layers.Flatten()(inner(keras.layers.Activation("relu")(x)))
    x = keras.layers.BatchNormalization()(x)  # of vectors
    output = keras.layers.Dense(3, activation="softmax", dtype="float32")(x)
    set_precision("float32")
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


def test_in_bfloat16_statistics_stay_float32_and_as_near_the_exact_ones_as_those_of_keras() -> None:
    """Each is judged by float32: how two sums in bfloat16 differ depends on the processor."""
    exact, plain, fused = network(), network("bfloat16"), network("bfloat16")
    kernels.install(fused)
    norms = []
    for made in (exact, plain, fused):
        trained(made)
        norms.append(made.get_layer("norm"))
    assert norms[2].moving_variance.dtype == "float32"
    for name in ("moving_variance", "moving_mean"):
        right, theirs, ours = (np.asarray(getattr(norm, name)) for norm in norms)
        of_keras, of_ours = (np.abs(found - right).max() for found in (theirs, ours))
        assert of_ours < 0.02 * np.abs(right).max()
        assert of_ours < 2 * of_keras + 0.002 * np.abs(right).max()


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
