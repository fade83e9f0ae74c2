"""What stands in for Keras' max pooling on JAX, a process of its own.

python -m tests.backends.kernels

Prints as JSON how far its values and gradients are from those of Keras.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from darkroom.train import keras_backend, kernels


def pooling() -> dict[str, list[float]]:
    keras = keras_backend.start(1, "jax")
    import jax

    random = np.random.default_rng(0)
    found = {}
    for size, shape in (
        (2, (3, 6, 8, 5)),
        (2, (2, 7, 5, 4)),
        (3, (2, 9, 10, 3)),
        (1, (2, 4, 4, 2)),
    ):
        # few values, so that several of a window are the largest
        maps = random.integers(0, 4, shape).astype(np.float32)
        answers = []
        for ours in (False, True):
            image = keras.Input(shape[1:])
            network = keras.Model(image, keras.layers.MaxPooling2D(size)(image))
            if ours:
                kernels.install(network)
                assert "call" in vars(network.layers[1])
            above = np.random.default_rng(1).normal(size=network(maps).shape).astype(np.float32)

            def summed(maps: Any, network: Any = network, above: Any = above) -> Any:
                return (network(maps) * above).sum()

            answers.append((np.asarray(network(maps)), np.asarray(jax.grad(summed)(maps))))
        found[f"{size} of {shape}"] = [
            float(np.abs(a - b).max()) for a, b in zip(*answers, strict=True)
        ]
    return found


if __name__ == "__main__":
    print(json.dumps(pooling()))
