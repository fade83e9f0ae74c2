"""Optimizers, and the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any, TypedDict

from darkroom.errors import UserError

NOT_DECAYED = ["bias", "gamma", "beta"]  # in the names of a layer's weights


class Optimizer(TypedDict):
    """Settings of an optimizer, as `darkroom.config.model.Optimizer` describes them."""

    name: str
    learning_rate: float
    momentum: float
    nesterov: bool
    weight_decay: float
    clip_norm: float | None


class Schedule(TypedDict):
    """How the learning rate changes, as `darkroom.config.model.Schedule` describes it."""

    name: str
    warmup: float
    final: float


def make(settings: Optimizer) -> Any:
    """Make a Keras optimizer.

    Weight decay is decoupled from the gradient for every optimizer (Loshchilov & Hutter 2019,
    arXiv:1711.05101), and pulls neither biases nor the scales of normalisations (He et al. 2019,
    arXiv:1812.01187, section 3.1); `clip_norm` bounds the norm of all gradients together.

    Raises
    ------
    UserError
        `nesterov` with an optimizer that has none.
    """
    optimizer = _of_kind(settings)
    if settings["weight_decay"]:
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer


def _of_kind(settings: Optimizer) -> Any:
    import keras

    kind = settings["name"]
    if settings["nesterov"] and kind != "momentum":
        raise UserError(f"optimizer.nesterov goes with optimizer.name: momentum, not {kind}")
    common = {
        "learning_rate": settings["learning_rate"],
        "weight_decay": settings["weight_decay"] or None,
        "global_clipnorm": settings["clip_norm"],
    }
    if kind == "sgd":
        return keras.optimizers.SGD(**common)
    if kind == "momentum":
        return keras.optimizers.SGD(
            momentum=settings["momentum"], nesterov=settings["nesterov"], **common
        )
    if kind == "rmsprop":
        return keras.optimizers.RMSprop(momentum=settings["momentum"], **common)
    if kind == "adamw":  # None there means Keras' own default, not none
        return keras.optimizers.AdamW(**common | {"weight_decay": settings["weight_decay"]})
    return keras.optimizers.Adam(**common)


def learning_rate(step: int, steps: int, peak: float, schedule: Schedule) -> float:
    """Learning rate of one step: of its number alone, so that a resumed training agrees.

    `cosine` is one period without a restart (Loshchilov & Hutter 2017, arXiv:1608.03983).
    `one_cycle` goes from peak / 25 up in a line and down in a line (Smith 2018,
    arXiv:1803.09820); it rises for 0.3 of the steps where `warmup` is 0, and does not cycle the
    momentum.

    Parameters
    ----------
    step : 0 … steps − 1, over all epochs.
    steps : of the whole training.
    peak : `optimizer.learning_rate`.
    schedule : its `warmup` is the fraction of the steps in which the rate rises in a line; its
        `final` is what the rate falls to, as a fraction of the peak (not for `constant`).
    """
    cycle = schedule["name"] == "one_cycle"
    warmup = (schedule["warmup"] or 0.3) if cycle else schedule["warmup"]
    rising = round(warmup * steps)
    if step < rising:
        start = 1 / 25 if cycle else 0.0
        return float(peak * (start + (1 - start) * (step + 1) / rising))
    if schedule["name"] == "constant":
        return float(peak)
    done = (step - rising) / (steps - rising)  # 0 at the peak; 1 would be the step after the last
    falling = 1 - done if cycle else (1 + math.cos(math.pi * done)) / 2
    return float(peak * (schedule["final"] + (1 - schedule["final"]) * falling))
