"""Keras' MobileNet with its first and its last block alone: building and tracing take their time for each layer.

A module of its own, so that a workspace can have it too: there it is all that is known of the tests.
"""

from __future__ import annotations

from typing import Any


def MobileNet(*, input_shape: Any, include_top: bool, weights: str | None, alpha: float) -> Any:
    """As Keras' own, without the top: layers of the same names, an official file to be asked for."""
    import keras
    from keras.src.utils import file_utils

    assert not include_top

    def block(x: Any, n: int, filters: int) -> Any:
        depthwise, pointwise = f"conv_dw_{n}", f"conv_pw_{n}"
        for layer in (
            keras.layers.DepthwiseConv2D(3, 4, "same", use_bias=False, name=depthwise),
            keras.layers.Conv2D(filters, 1, use_bias=False, name=pointwise),
        ):
            x = keras.layers.BatchNormalization(name=f"{layer.name}_bn")(layer(x))
            x = keras.layers.ReLU(6.0, name=f"{layer.name}_relu")(x)
        return x

    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 3, 2, "same", use_bias=False, name="conv1")(image)
    x = block(block(x, 1, int(64 * alpha)), 13, int(1024 * alpha))
    model = keras.Model(image, x, name=f"mobilenet_{alpha:.2f}_224")
    if weights == "imagenet":
        name = f"mobilenet_{int(10 * alpha)}_{int(100 * alpha) % 10}_224_tf_no_top.h5"
        model.load_weights(file_utils.get_file(name, f"https://example.org/{name}"))
    return model


MobileNet.__module__ = "keras.src.applications.mobilenet"  # where its preprocess_input is
