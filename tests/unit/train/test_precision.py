"""Precision goes by what the hardware multiplies fastest."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.errors import UserError
from darkroom.train import keras_backend, precision
from darkroom.train.network import build_network
from tests.support import tiny_data

keras = keras_backend.start(1)


@pytest.mark.parametrize(
    ("gpus", "backend", "count", "chosen"),
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
def test_precision_goes_by_what_the_gpus_can(
    gpus: list[tuple[int, int]], backend: str, count: int, chosen: str
) -> None:
    assert precision.best_precision(backend, gpus, count) == chosen


def test_precision_of_a_processor_goes_by_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    for amx, chosen in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(precision, "_has_amx", lambda amx=amx: amx)
        assert precision.best_precision("tensorflow", []) == chosen
        assert precision.best_precision("jax", []) == "float32"
    assert [precision._version(v) for v in ("8.6", "10.0", "gfx90a")] == [(8, 6), (10, 0), (0, 0)]


def test_float16_scales_the_loss_and_several_gpus_refuse_it() -> None:
    with pytest.raises(UserError, match=r"float16 needs a scaled loss, .* on several GPUs"):
        precision.set_precision("float16", 2)
    assert precision.set_precision("float16") == "mixed_float16"
    try:
        made = build_network(
            tiny_data.LAYERS, shape=tiny_data.SHAPE, classes=3,
            normalise="unit", mean=[], std=[], seed=0,
        )  # fmt: skip
        made.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
        assert made.get_layer("conv_1").compute_dtype == "float16"
        assert type(made.optimizer).__name__ == "LossScaleOptimizer"
        made.optimizer.learning_rate = 0.5
        assert float(made.optimizer.inner_optimizer.learning_rate) == 0.5
        images = np.random.default_rng(0).integers(0, 256, (5, *tiny_data.SHAPE), np.uint8)
        made.train_on_batch(images, np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]])
        assert all(np.isfinite(w).all() for w in made.get_weights())
    finally:
        precision.set_precision("float32")
