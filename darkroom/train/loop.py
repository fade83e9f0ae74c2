"""The epochs of a training: each step, each validation, which epoch is kept and when to end.

The loop is a plain one over steps: measured no slower than `Model.fit` in any of its forms, the
same on each Keras backend, and all that it depends on is a step's number. So a training that was
killed goes on from its last whole epoch and ends with the very weights that it would have had.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.errors import UserError
from darkroom.machine.progress import Bar, progress
from darkroom.train import batches, checkpoint, optimizer
from darkroom.train.checkpoint import Row, TrainingState
from darkroom.train.feed import Feed
from darkroom.train.model_file import Facts
from darkroom.train.steps_keras import Steps

if TYPE_CHECKING:
    from darkroom.train.settings import Model

log = logging.getLogger(__name__)


@dataclass
class Task:
    """A compiled network and what it is to learn from.

    Attributes
    ----------
    network : compiled.
    steps : how batches reach it.
    feed : its training batches.
    validation : rows that choose the epoch.
    settings : of the model.
    name : for the progress bar.
    identity : of the state after each epoch, see `checkpoint.identity`.
    facts : what the exported file says of itself.
    whole : from the trained network to the one to be exported.
    sample : (n, H, W, C) uint8 images of all parts, on which the exported file is compared.
    fine_tuning : from the trained network to the fine-tuning; None where there is none.
    """

    network: Any
    steps: Steps
    feed: Feed
    validation: batches.Rows
    settings: Model
    name: str
    identity: str
    facts: Facts
    whole: Callable[[Any], Any]
    sample: np.ndarray
    fine_tuning: Callable[[Any], Task] | None = None


def learn(task: Task, *, resume: str, after_epoch: Callable[[Row], None]) -> TrainingState:
    """Train epoch by epoch, on from the last whole one, to the end or to early stopping.

    Where fine-tuning follows, it begins from the epoch that `keep` chooses, early stopping
    ends each of the two by itself, and the best epoch is that of both.

    Parameters
    ----------
    task : the network and its rows; after fine-tuning, those of that.
    resume : folder of the state after each whole epoch; it stays.
    after_epoch : called with each row of the history, those of an earlier run first. What
        it raises ends the training.
    """
    path = Path(resume) / f"{task.identity}.npz"
    state = _resumed(task, path)
    if state.epoch:
        log.info("going on after epoch %d of %d", state.epoch, _last_epoch(task, state))
    for row in state.history:
        after_epoch(row)
    rows = (_last_epoch(task, state) - state.epoch) * len(task.feed.order.rows)
    with progress(f"training {task.name}", rows) as bar:
        _learn(task, state, path, after_epoch, bar)
        if task.fine_tuning is not None:
            keep(task.network, state, task.settings)
            _begin_fine_tuning(task, state)
            state.weights = task.network.get_weights()
            _learn(task, state, path, after_epoch, bar)
    return state


def _resumed(task: Task, path: Path) -> TrainingState:
    found = checkpoint.read(path)
    if found is None:
        return TrainingState()
    state, arrays = found
    if state.head_epochs is not None:
        _begin_fine_tuning(task, state)
    checkpoint.restore(task.network, state, arrays)
    return state


def _learn(
    task: Task, state: TrainingState, path: Path, after_epoch: Callable[[Row], None], bar: Bar
) -> None:
    """All of a training; or that of the head, or the fine-tuning."""
    network, feed, settings = task.network, task.feed, task.settings
    before = state.head_epochs or 0
    end = before + settings["epochs"]
    while state.epoch < end and not _stops(state, settings, len(task.validation)):
        start, number = time.perf_counter(), state.epoch + 1
        loss, accuracy, rate = train_epoch(task.steps, feed, number, settings, bar, before=before)
        val_loss, val_accuracy = evaluate(
            task.steps, task.validation, settings["batch"], feed.targets
        )
        row: Row = {
            "epoch": number,
            "loss": loss,
            "accuracy": accuracy,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "learning_rate": rate,
            "seconds": time.perf_counter() - start,
        }
        state.add(row, _monitored(row, settings["monitor"]), network.get_weights)
        checkpoint.save(path, network, state)
        log.info("%s", _line(row, _last_epoch(task, state)))
        after_epoch(row)


def _begin_fine_tuning(task: Task, state: TrainingState) -> None:
    """Go over from the head's training: another network, other rows, another rate."""
    assert task.fine_tuning is not None
    following = task.fine_tuning(task.network)
    for name in ("network", "steps", "feed", "validation", "settings", "whole", "fine_tuning"):
        setattr(task, name, getattr(following, name))
    if state.head_epochs is None:
        state.head_epochs = state.epoch


def _last_epoch(task: Task, state: TrainingState) -> int:
    """Where the training ends, fine-tuning included, unless it stops before."""
    after = task.settings["fine_tune"] if task.fine_tuning is not None else None
    rest = 0 if after is None else after["epochs"]
    return (state.head_epochs or 0) + task.settings["epochs"] + rest


# ---------------------------------------------------------------- one epoch


def train_epoch(
    steps: Steps,
    feed: Feed,
    number: int,
    settings: Model,
    bar: Bar,
    before: int = 0,
) -> tuple[float, float, float]:
    """Train a compiled network for one epoch, numbered from 1.

    Parameters
    ----------
    steps : how batches reach the network.
    feed : its training batches.
    number : of the epoch.
    settings : of the model.
    bar : the progress bar.
    before : epochs before those of `settings`, where this is the fine-tuning: the schedule of
        the learning rate begins after them.

    Returns
    -------
    Mean loss and accuracy over the batches as they were met, and the last learning rate.

    Raises
    ------
    UserError
        The loss is no longer a number.
    """
    total = settings["epochs"] * len(feed)
    peak = settings["optimizer"]["learning_rate"]
    loss, correct, n, rates = 0.0, 0.0, 0, [math.nan]
    step = (number - before - 1) * len(feed)
    stacks = feed.stacks(number, steps.per_call, places=steps.resident)
    with batches.ahead(stacks) as ready:
        for stack in ready:
            many, images = stack[0].shape[:2]
            rates = [
                optimizer.learning_rate(at, total, peak, settings["schedule"])
                for at in range(step, step + many)
            ]
            step += many
            mean, right = steps.train(stack, rates)
            if not math.isfinite(mean):
                raise UserError(
                    f"the loss became {mean} in epoch {number}: the training diverged; "
                    f"lower {'fine_tune' if before else 'optimizer'}.learning_rate (now {peak:g}) or "
                    "set optimizer.clip_norm"
                )
            loss += mean * many * images
            correct += right * many * images
            n += many * images
            bar.update(many * images)
            bar.set_postfix_str(
                f"epoch {number} of {before + settings['epochs']}, loss {loss / n:.3f}"
            )
    return loss / n, correct / n, rates[-1]


def evaluate(
    steps: Steps,
    rows: batches.Rows,
    batch: int,
    targets: Callable[[np.ndarray], np.ndarray],
) -> tuple[float | None, float | None]:
    """Loss and accuracy, without class weights; None and None where there are no rows."""
    if not len(rows):
        return None, None
    loss, correct = 0.0, 0.0
    with batches.ahead(batches.in_order(rows, batch)) as ready:
        for images, label in ready:
            mean, right = steps.test(images, targets(label))
            loss += mean * len(images)
            correct += right * len(images)
    return loss / len(rows), correct / len(rows)


# ---------------------------------------------------------------- which epoch, and when to end


def _monitored(row: Row, monitor: str) -> float | None:
    """The quantity that chooses an epoch, so that smaller is better."""
    value = row[f"val_{monitor}"]
    return value if value is None or monitor == "loss" else -value


def _stops(state: TrainingState, settings: Model, validation: int) -> bool:
    patience = settings["early_stopping"]
    since = max(state.best_epoch, state.head_epochs or 0)
    if not patience or not validation or state.epoch - since < patience:
        return False
    log.info(
        "stopped after epoch %d: val_%s is no better than in epoch %d",
        state.epoch,
        settings["monitor"],
        state.best_epoch,
    )
    return True


def kept_epoch(state: TrainingState, settings: Model) -> int:
    """Number of the epoch whose weights are kept, the first best one or the last one."""
    return state.epoch if settings["keep"] == "last" else state.best_epoch or state.epoch


def keep(network: Any, state: TrainingState, settings: Model) -> int:
    """Set the weights of the epoch that is kept; returns its number."""
    if settings["keep"] == "best":
        if state.best_epoch:
            network.set_weights(state.weights)
            monitor = settings["monitor"]
            log.info("kept epoch %d: val_%s %.4f", state.best_epoch, monitor, abs(state.best))
        else:
            log.info("no validation rows to choose an epoch by: the last one is kept")
    return kept_epoch(state, settings)


def _line(row: Row, epochs: int) -> str:
    parts = [
        f"{name} {row[name]:.4f}"
        for name in ("loss", "accuracy", "val_loss", "val_accuracy")
        if row[name] is not None
    ]
    return (
        f"epoch {row['epoch']}/{epochs}: {', '.join(parts)}, "
        f"rate {row['learning_rate']:.2g}, {row['seconds']:.1f} s"
    )
