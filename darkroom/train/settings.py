"""The settings of a model, as training reads them; `darkroom.config.model.Model` describes each."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from darkroom.train.augment import Augmentation
from darkroom.train.layers import Layer
from darkroom.train.optimizer import Optimizer, Schedule


class FineTune(TypedDict):
    """How the last blocks of a backbone train on after the head."""

    blocks: int | None
    start: str | None
    epochs: int
    learning_rate: float
    augment: Augmentation | None


class Model(TypedDict):
    """A network and how it trains; on a backbone `normalise` is absent."""

    normalise: NotRequired[str]
    layers: list[Layer]
    head: str
    precision: str
    compile: str
    steps_per_call: str | int
    on_device: str
    test_time: str
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    batch: int
    label_smoothing: float
    class_weights: str | dict[str, float]
    early_stopping: int | None
    monitor: str
    keep: str
    augment: Augmentation
    memory_mb: int
    fine_tune: FineTune | None
