"""Weights of a small backbone, drawn at random: the official ones are not at hand in a test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from darkroom import ROOT

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
    """Within, Keras' MobileNet has two blocks."""
    import keras

    from tests.support import short_mobilenet

    with mock.patch.object(keras.applications, "MobileNet", short_mobilenet.MobileNet):
        yield


# Behind the code that finds an application by its name.
SHORTER = """

_found = _constructor


def _constructor(application, settings):
    from darkroom.train import short_mobilenet

    found = _found(application, settings)
    return short_mobilenet.MobileNet if application == "MobileNet" else found
"""


def two_blocks_in(root: Path) -> None:
    """In this copy of the project Keras' MobileNet has two blocks."""
    folder = root / "darkroom/train"
    shutil.copy2(ROOT / "tests/support/short_mobilenet.py", folder)
    with (folder / "backbones.py").open("a") as file:
        file.write(SHORTER)
