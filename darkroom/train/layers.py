"""The layers that a network is made of, each a function that puts stock Keras layers on a tensor.

First weights are drawn by NumPy, so that they are equal on every backend. A new kind of layer has
its settings here and in `darkroom.config.model`, its function here, and a line in `BUILDERS`; its work
is estimated in `darkroom.workflow.arithmetic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import numpy as np

CUT_DEVIATION = 0.87962566103423978  # of a standard normal cut at ±2
MAPS = ("conv", "pool", "global_pool", "residual", "whiten")  # they read a map (H, W, C)


class Conv(TypedDict):
    """A 2-D convolution."""

    filters: int
    size: int
    stride: int
    padding: str
    activation: str | None
    bias: bool
    init: str


class Pool(TypedDict):
    """Pooling over windows."""

    size: int
    stride: int | None
    kind: str


class BatchNorm(TypedDict):
    """Batch normalization."""

    momentum: float
    scale: bool
    epsilon: float


class Dropout(TypedDict):
    """Dropout of a fraction of the inputs."""

    rate: float


class GlobalPool(TypedDict):
    """Pooling of each channel to one number."""

    kind: str


class Flatten(TypedDict):
    """Maps to one vector."""


class Dense(TypedDict):
    """A fully connected layer."""

    units: int
    activation: str | None


class Activation(TypedDict):
    """An activation function by itself."""

    function: str


class Residual(TypedDict):
    """Two convolutions and a shortcut."""

    filters: int
    stride: int
    activation: str


class Whiten(TypedDict):
    """A frozen convolution that makes patches uncorrelated."""

    size: int
    activation: str | None


class Scale(TypedDict):
    """Multiplication by a number."""

    factor: float


class Layer(TypedDict, total=False):
    """One kind of layer with its settings, as `darkroom.config.model` describes them, and a name or none."""

    conv: Conv
    pool: Pool
    batch_norm: BatchNorm
    dropout: Dropout
    global_pool: GlobalPool
    flatten: Flatten
    dense: Dense
    activation: Activation
    residual: Residual
    whiten: Whiten
    scale: Scale
    name: str


def leaves(network: Any) -> Iterator[Any]:
    """All layers of a network, those of networks within it included."""
    for layer in network.layers:
        if hasattr(layer, "layers"):
            yield from leaves(layer)
        else:
            yield layer


# ---------------------------------------------------------------- a function a layer


def _conv(x: Any, spec: Conv, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    conv = layers.Conv2D(
        spec["filters"],
        spec["size"],
        strides=spec["stride"],
        padding=spec["padding"],
        activation=spec["activation"],
        use_bias=spec["bias"],
        kernel_initializer="he_normal" if spec["init"] == "he" else "glorot_uniform",
        name=name,
    )
    output = drawn(conv, x, draw)
    if spec["init"] == "identity":
        conv.set_weights([_passing(conv.get_weights()[0]), *conv.get_weights()[1:]])
    return output


def _pool(x: Any, spec: Pool, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    pool = layers.MaxPooling2D if spec["kind"] == "max" else layers.AveragePooling2D
    return pool(spec["size"], strides=spec["stride"], name=name)(x)


def _batch_norm(x: Any, spec: BatchNorm, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    return layers.BatchNormalization(
        momentum=spec["momentum"], epsilon=spec["epsilon"], scale=spec["scale"], name=name
    )(x)


def _dropout(x: Any, spec: Dropout, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    # with a seed PyTorch too counts what was drawn, so that a resumed training agrees
    seed = int(draw.integers(1, 1 << 30))
    return layers.Dropout(spec["rate"], seed=seed, name=name)(x)


def _global_pool(x: Any, spec: GlobalPool, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    mean = spec["kind"] == "average"
    pool = layers.GlobalAveragePooling2D if mean else layers.GlobalMaxPooling2D
    return pool(name=name)(x)


def _flatten(x: Any, spec: Flatten, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    return layers.Flatten(name=name)(x)


def _dense(x: Any, spec: Dense, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    dense = layers.Dense(spec["units"], activation=spec["activation"], name=name)
    return drawn(dense, x, draw)


def _activation(x: Any, spec: Activation, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    return layers.Activation(spec["function"], name=name)(x)


def _scale(x: Any, spec: Scale, name: str, draw: np.random.Generator) -> Any:
    from keras import layers

    return layers.Rescaling(spec["factor"], name=name)(x)


def _residual(x: Any, spec: Residual, name: str, draw: np.random.Generator) -> Any:
    """Two 3×3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385, figure 2).

    Where the size changes, the shortcut is a 1×1 convolution (their option B). The
    block's last layer, after the addition, has the block's name.
    """
    from keras import layers

    filters, stride, activation = spec["filters"], spec["stride"], spec["activation"]

    def convolve(y: Any, size: int, step: int, part: str) -> Any:
        conv = layers.Conv2D(
            filters,
            size,
            strides=step,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_conv{part}",
        )
        y = drawn(conv, y, draw)
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{part}")(y)

    y = convolve(x, 3, stride, "1")
    y = layers.Activation(activation, name=f"{name}_activation1")(y)
    y = convolve(y, 3, 1, "2")
    same = stride == 1 and x.shape[-1] == filters
    shortcut = x if same else convolve(x, 1, stride, "0")
    y = layers.Add(name=f"{name}_add")([y, shortcut])
    return layers.Activation(activation, name=name)(y)


BUILDERS: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "pool": _pool,
    "batch_norm": _batch_norm,
    "dropout": _dropout,
    "global_pool": _global_pool,
    "flatten": _flatten,
    "dense": _dense,
    "activation": _activation,
    "residual": _residual,
    "scale": _scale,
}


# ---------------------------------------------------------------- first weights


def drawn(layer: Any, x: Any, draw: np.random.Generator) -> Any:
    """Apply a layer whose kernel NumPy draws as the layer's initialiser would.

    Glorot & Bengio 2010, uniform; He et al. 2015, arXiv:1502.01852, a normal cut at two
    standard deviations and widened, so that the variance is the set one.
    """
    output = layer(x)
    kernel, *rest = layer.get_weights()
    receptive = int(np.prod(kernel.shape[:-2]))
    fan_in, fan_out = receptive * kernel.shape[-2], receptive * kernel.shape[-1]
    if type(layer.kernel_initializer).__name__ == "HeNormal":
        values = draw.standard_normal(kernel.shape)
        while (far := np.abs(values) > 2).any():
            values[far] = draw.standard_normal(int(far.sum()))
        values *= math.sqrt(2 / fan_in) / CUT_DEVIATION
    else:
        most = math.sqrt(6 / (fan_in + fan_out))
        values = draw.uniform(-most, most, kernel.shape)
    layer.set_weights([values.astype(np.float32), *rest])
    return output


def _passing(kernel: np.ndarray) -> np.ndarray:
    """Kernels of which the first ones pass their own channel on (arXiv:2404.00498, section 3.3).

    Parameters
    ----------
    kernel : (size, size, channels, filters) with the weights that the other filters keep.
    """
    size, _, channels, filters = kernel.shape
    most = min(channels, filters)
    kernel[..., :most] = 0
    kernel[size // 2, size // 2, range(most), range(most)] = 1
    return kernel


def whiten(x: Any, spec: Whiten, name: str, images: Any) -> Any:
    """A frozen convolution by the eigenvectors of the patches' covariance.

    Each is divided by the root of its eigenvalue, so that all vary alike, and comes with both
    signs, so that a rectifier loses nothing (Page 2018, "How to train your ResNet"; Jordan
    2024, arXiv:2404.00498, section 3.2).

    Parameters
    ----------
    images : (n, H, W, C) float32 training images as the layer sees them.
    """
    from keras import layers

    size = spec["size"]
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))
    patches = np.moveaxis(windows, 3, 5).reshape(-1, size * size * images.shape[3])
    value, vector = np.linalg.eigh(patches.T @ patches / len(patches))
    vector = vector / np.sqrt(value + 5e-4)  # what hardly varies is noise: it is not blown up
    kernel = vector[:, ::-1].reshape(size, size, images.shape[3], -1)
    layer = layers.Conv2D(
        2 * kernel.shape[3], size, activation=spec["activation"], use_bias=False, name=name
    )
    output = layer(x)
    layer.set_weights([np.concatenate([kernel, -kernel], axis=3)])
    layer.trainable = False
    return output
