"""Weights of a small backbone, drawn at random: the official ones are not at hand in a test."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

SHAPE = (32, 32, 3)
MOBILENET: dict[str, Any] = {"application": "MobileNet", "settings": {"alpha": 0.25}}


def mobilenet_weights(path: Path, seed: int = 0) -> str:
    """Write the weights of MobileNet, alpha 0.25, without its top; returns the path."""
    import keras

    base = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=SHAPE, alpha=0.25
    )
    random = np.random.default_rng(seed)
    for layer in base.layers:
        if layer.weights and "conv" in type(layer).__name__.lower():
            (kernel,) = layer.get_weights()
            each = kernel.shape[:2] if "Depthwise" in type(layer).__name__ else kernel.shape[:3]
            # He's deviation: through 27 layers an image stays an image
            scale = np.sqrt(2 / np.prod(each))
            layer.set_weights([random.normal(0, scale, kernel.shape)])
    made = path.with_name("made.weights.h5")
    base.save_weights(made)
    made.replace(path)
    return str(path)


def mobilenet_onnx(weights: str, path: Path, pool: str = "average") -> str:
    """Write MobileNet with these weights as ONNX; returns the path."""
    from darkroom.infer import export
    from darkroom.train import backbones

    network = backbones.build(**MOBILENET, pool=pool, shape=SHAPE, weights=weights)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
    export.write(network, str(path), {}, pixels)
    return str(path)


@contextmanager
def two_blocks() -> Iterator[None]:
    """Within, Keras' MobileNet has its first and its last block alone: each layer takes its time."""
    import keras

    def block(x: Any, n: int, filters: int) -> Any:
        depthwise, pointwise = f"conv_dw_{n}", f"conv_pw_{n}"
        for layer in (
            keras.layers.DepthwiseConv2D(3, 4, "same", use_bias=False, name=depthwise),
            keras.layers.Conv2D(filters, 1, use_bias=False, name=pointwise),
        ):
            x = keras.layers.BatchNormalization(name=f"{layer.name}_bn")(layer(x))
            x = keras.layers.ReLU(6.0, name=f"{layer.name}_relu")(x)
        return x

    @functools.wraps(keras.applications.MobileNet)
    def short(*, input_shape: Any, include_top: bool, weights: str | None, alpha: float) -> Any:
        if weights is not None or include_top:
            raise ValueError("there is no official file of it")
        image = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 3, 2, "same", use_bias=False, name="conv1")(image)
        x = block(block(x, 1, int(64 * alpha)), 13, int(1024 * alpha))
        return keras.Model(image, x, name=f"mobilenet_{alpha:.2f}_32")

    with mock.patch.object(keras.applications, "MobileNet", short):
        yield
