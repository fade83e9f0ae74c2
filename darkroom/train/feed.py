"""The training batches of each epoch: pixels, targets and weights, in an order that (seed, epoch) settles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.errors import UserError
from darkroom.train import augment, batches
from darkroom.train.steps_keras import Stack

if TYPE_CHECKING:
    from darkroom.train.settings import Model

Batch = tuple[np.ndarray, np.ndarray, np.ndarray | None]


class Feed:
    """Training batches of each epoch: pixels, targets, and weights where classes have them.

    Parameters
    ----------
    training : what to train on.
    classes : K names.
    settings : of the model.
    seed : of order and random changes.
    fill : (C,) uint8, the mean colour, for cutout.
    head : of the network. With `sigmoid` a target is the second class's alone.
    """

    def __init__(
        self,
        training: batches.Rows,
        classes: list[str],
        settings: Model,
        *,
        seed: int,
        fill: np.ndarray,
        head: str = "softmax",
    ) -> None:
        self.seed, self.fill = seed, fill
        self.columns = slice(1 if head == "sigmoid" else 0, None)
        self.changes = settings["augment"] if augment.changes(settings["augment"]) else None
        self.one_hot = np.eye(len(classes), dtype=np.float32)
        self.weights = class_weights(settings["class_weights"], training.label, classes)
        self.order = batches.Shuffled(
            training,
            batch=settings["batch"],
            budget=settings["memory_mb"] * 1_000_000,
            seed=seed,
        )

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self.order)

    def epoch(self, number: int) -> Iterator[Batch]:
        """(B, H, W, C) uint8, (B, K or 1) float32, (B,) float32 or None, of an epoch from 1."""
        for step, (images, label) in enumerate(self.order.epoch(number)):
            targets = self.one_hot[label]
            if self.changes:
                images, targets = augment.augment_batch(
                    images,
                    targets,
                    self.changes,
                    seed=self.seed,
                    epoch=number,
                    step=step,
                    fill=self.fill,
                )
            weights = None if self.weights is None else targets @ self.weights
            yield images, targets[:, self.columns], weights

    def stacks(self, number: int, most: int, *, places: bool) -> Iterator[Stack]:
        """Up to `most` batches of equal size on one another, as `Steps.train` takes them.

        Parameters
        ----------
        number : of the epoch, from 1.
        most : batches of a stack.
        places : where each row is in `order.values`, in place of its pixels.
        """
        gathered: list[Any] = []
        for batch in self._by_place(number) if places else self.epoch(number):
            if gathered and (len(gathered) == most or len(batch[0]) != len(gathered[0][0])):
                yield _stacked(gathered)
                gathered = []
            gathered.append(batch)
        yield _stacked(gathered)

    def _by_place(self, number: int) -> Iterator[Batch]:
        for place in self.order.places(number):
            targets = self.one_hot[self.order.rows.label[place]]
            weights = None if self.weights is None else targets @ self.weights
            yield place.astype(np.int32), targets[:, self.columns], weights

    def targets(self, label: np.ndarray) -> np.ndarray:
        """(B, K), or (B, 1) for a sigmoid, float32 targets of (B,) classes."""
        found: np.ndarray = self.one_hot[label][:, self.columns]
        return found


def _stacked(gathered: list[Batch]) -> Stack:
    if len(gathered) == 1:  # without a copy
        images, targets, weights = gathered[0]
        return images[None], targets[None], None if weights is None else weights[None]
    weighed = [weights for _, _, weights in gathered if weights is not None]
    return (
        np.stack([images for images, _, _ in gathered]),
        np.stack([targets for _, targets, _ in gathered]),
        np.stack(weighed) if weighed else None,
    )


def class_weights(
    weights: str | dict[str, float], label: np.ndarray, classes: list[str]
) -> np.ndarray | None:
    """Weight of each class in the loss.

    Parameters
    ----------
    weights : `none`; `balanced`, n / (K · n of the class), as scikit-learn has it; or weights
        by class name, 1 where none is given.
    label : (n,) classes of the training rows.
    classes : K names.

    Returns
    -------
    (K,) float32, or None where all classes weigh alike.

    Raises
    ------
    UserError
        A weight for a class that is not there.
    """
    if weights == "none":
        return None
    if isinstance(weights, str):
        count = np.bincount(label, minlength=len(classes))
        return (len(label) / (len(classes) * np.maximum(count, 1))).astype(np.float32)
    if unknown := [name for name in weights if name not in classes]:
        raise UserError(
            f"class_weights: {unknown[0]!r} is no class of this data set; "
            f"there are: {', '.join(classes)}"
        )
    return np.array([weights.get(name, 1.0) for name in classes], np.float32)
