"""Training steps by Keras' own `train_on_batch`, and what all kinds of steps have in common.

All kinds compute the same: a step for each batch, in order. On a GPU the call itself and the copy
of each batch cost more than the arithmetic of a small network; on a processor they cost nothing
that could be measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

LOSS = "cross_entropy"  # the metric that judges

# (K, B, …) pixels, or (K, B) places of rows on the device; (K, B, C) targets; (K, B) weights or None
Stack = tuple[np.ndarray, np.ndarray, np.ndarray | None]


class Steps(Protocol):
    """How batches reach a network.

    Attributes
    ----------
    per_call : how many batches a call takes at most.
    resident : whether the training rows lie on the device, so that places in them stand for pixels.
    """

    per_call: int
    resident: bool

    def train(self, stack: Stack, rates: Sequence[float]) -> tuple[float, float]:
        """Train by some batches of equal size.

        Parameters
        ----------
        stack : (K, B, H, W, C) uint8 or (K, B, …) float32, or (K, B) places; (K, B, C) targets;
            (K, B) weights.
        rates : K learning rates.

        Returns
        -------
        Mean loss and accuracy over the K · B images, each met before its step.
        """

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """Loss and accuracy of a batch, without class weights or label smoothing."""


class KerasSteps:
    """`train_on_batch` for each batch, on one device; the same on every backend.

    Parameters
    ----------
    network : compiled.
    """

    per_call = 1
    resident = False

    def __init__(self, network: Any) -> None:
        self.network = network

    def train(self, stack: Stack, rates: Sequence[float]) -> tuple[float, float]:
        """As `Steps.train`."""
        losses, right = 0.0, 0.0
        for step, rate in enumerate(rates):
            images, targets, weights = (None if part is None else part[step] for part in stack)
            self.network.optimizer.learning_rate = rate
            found = self.network.train_on_batch(
                images, targets, sample_weight=weights, return_dict=True
            )
            losses, right = losses + float(found["loss"]), right + float(found["accuracy"])
        return losses / len(rates), right / len(rates)

    def test(self, images: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
        """As `Steps.test`."""
        found = self.network.test_on_batch(images, targets, return_dict=True)
        return judged(found)


def judged(found: Mapping[str, Any]) -> tuple[float, float]:
    """Loss without label smoothing, and accuracy, of what a test step gives."""
    return float(found[LOSS]), float(found["accuracy"])


def make_variables(network: Any) -> None:
    """Make those of optimizer and metrics: in a compiled step none can come to be."""
    targets = np.zeros((1, *network.output_shape[1:]), np.float32)
    network.compute_loss(None, targets, targets)
    network.compute_metrics(None, targets, targets)
    network.reset_metrics()
    network.optimizer.build(network.trainable_variables)
