"""Optimizers take their settings; the learning rate goes by the step."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from darkroom.config.model import Optimizer, Schedule
from darkroom.errors import UserError
from darkroom.train import keras_backend, optimizer

keras_backend.start(1)


def made(**asked: Any) -> Any:
    return optimizer.make(Optimizer(**asked).model_dump())


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw", "rmsprop"])
def test_optimizers_take_their_settings(name: str) -> None:
    found = made(name=name, learning_rate=0.02, weight_decay=0.1, clip_norm=2, momentum=0.8)
    assert type(found).__name__.lower() == {"momentum": "sgd"}.get(name, name)
    assert float(found.learning_rate) == pytest.approx(0.02)
    assert found.weight_decay == 0.1 and found.global_clipnorm == 2
    if name in ("momentum", "rmsprop"):
        assert found.momentum == 0.8
    if name == "sgd":
        assert found.momentum == 0
    assert not made(name=name).weight_decay


@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_weight_decay_pulls_weights_but_no_bias_or_scale(name: str) -> None:
    import keras

    layers = [keras.layers.Dense(2, bias_initializer="ones"), keras.layers.BatchNormalization()]
    network = keras.Sequential([keras.Input((3,)), *layers])
    before = {w.path: np.array(w.value) for w in network.trainable_weights}
    found = made(name=name, learning_rate=0.1, weight_decay=0.5)
    found.build(network.trainable_weights)
    found.apply([keras.ops.zeros(w.shape) for w in network.trainable_weights])
    for weight in network.trainable_weights:
        pulled = not np.allclose(weight.value, before[weight.path])
        assert pulled == weight.path.endswith("kernel"), weight.path


def test_nesterov_goes_with_momentum_only() -> None:
    assert made(name="momentum", nesterov=True).nesterov
    with pytest.raises(UserError, match=r"nesterov goes with optimizer\.name: momentum, not adam"):
        made(name="adam", nesterov=True)


def rates(steps: int = 100, **asked: Any) -> list[float]:
    schedule = Schedule(**asked).model_dump()
    return [optimizer.learning_rate(step, steps, 0.5, schedule) for step in range(steps)]


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
