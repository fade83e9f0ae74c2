"""The devices that a network trains on: a processor, a GPU, or several GPUs that share each batch.

Over several GPUs a batch is cut into equal parts, a part a GPU, and the sums are those of the
whole batch: batch norm sees all of it too. A batch that cannot be cut evenly is computed
whole by each GPU, which gives the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.errors import UserError
from darkroom.train.layers import leaves


@dataclass
class Devices:
    """What a network computes on.

    Attributes
    ----------
    kind : `cpu` or `gpu` (any accelerator).
    count : devices that share each batch.
    strategy : TensorFlow's, where there are several.
    """

    kind: str
    count: int
    strategy: Any = None

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """What a network that trains on them is built and compiled in."""
        with self.strategy.scope() if self.strategy is not None else contextlib.nullcontext():
            yield


def check_gpus(backend: str, gpus: int) -> None:
    """Refuse what a backend cannot do.

    Raises
    ------
    UserError
        Several GPUs on PyTorch.
    """
    if backend == "torch" and gpus > 1:
        raise UserError(
            f"gpus: {gpus}: a training on several GPUs needs backend: jax or tensorflow; with "
            "torch it takes one: set gpus: 1"
        )


@contextlib.contextmanager
def devices(gpus: int) -> Iterator[Devices]:
    """The devices of a training; Keras is imported, and no network is built yet.

    Parameters
    ----------
    gpus : that the job was given. Where there are fewer devices, it takes those.

    Raises
    ------
    UserError
        As `check_gpus`.
    """
    import keras

    backend = keras.backend.backend()
    check_gpus(backend, gpus)
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU")
        names = [d.name for d in found or tf.config.list_logical_devices("CPU")][:gpus]
        strategy = tf.distribute.MirroredStrategy(names) if len(names) > 1 else None
        yield Devices("gpu" if found else "cpu", max(1, len(names)), strategy)
    elif backend == "jax":
        import jax

        kind = "cpu" if jax.devices()[0].platform == "cpu" else "gpu"
        chosen = keras.distribution.list_devices()[:gpus]
        if len(chosen) < 2:
            yield Devices(kind, 1)
            return
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=chosen))
        try:
            yield Devices(kind, len(chosen))
        finally:
            keras.distribution.set_distribution(None)
    else:
        import torch

        yield Devices("gpu" if torch.cuda.is_available() else "cpu", 1)


def synchronise_batch_norm(network: Any, on: bool) -> None:
    """Let batch norm of a network see the parts of a batch that other GPUs have, or no more.

    TensorFlow alone has a setting for it, which a file must not have: other backends refuse it.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        for layer in leaves(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = on
