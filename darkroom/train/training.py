"""A network learns from the training rows of a fold.

The loop is a plain one over `train_on_batch`: measured no slower than `Model.fit` in any
of its forms, the same on each Keras backend, and all that it depends on is a step's
number. So a training that was killed goes on from its last whole epoch and ends with the
very weights that it would have had.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from darkroom import overrides
from darkroom.errors import UserError
from darkroom.images import store
from darkroom.machine import disk
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.machine.progress import Bar, progress
from darkroom.train import augment, backbones, batches, heads, kernels, models, steps

log = logging.getLogger(__name__)

COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "kept",
)
FACTS = "darkroom.json"
Batch = tuple[np.ndarray, np.ndarray, np.ndarray | None]
Row = dict[str, float | None]  # of the history, keys as `COLUMNS`


@dataclass
class Course:
    """How a training stands after its last whole epoch.

    Attributes
    ----------
    history : a row an epoch, keys as `COLUMNS`. best : value of the monitored quantity.
    best_epoch : epoch that had it, 0 before the first. weights : of that epoch.
    before : epochs before the fine-tuning began; None as long as it has not.
    """

    history: list[Row] = field(default_factory=list)
    best: float = math.inf
    best_epoch: int = 0
    weights: list[np.ndarray] = field(default_factory=list)
    before: int | None = None

    @property
    def epoch(self) -> int:
        return len(self.history)

    def add(self, row: Row, value: float | None, weights: Any) -> None:
        """Take an epoch in; keep its weights if `value` (smaller is better) is the best yet."""
        self.history.append(row)
        if value is not None and value < self.best:
            self.best, self.best_epoch, self.weights = value, self.epoch, weights()


def train_model(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    model_path: str,
    history_path: str,
    resume: str,
    cfg: dict[str, Any],
    code: str,
    threads: int,
    gpus: Gpus = NO_GPUS,
    tuned: str | None = None,
    weights: str | None = None,
    embedded: str | None = None,
) -> None:
    """Train a network; write `model.keras` and, row by row, `history.csv`.

    Parameters
    ----------
    images, splits, augmented : files of the data set; the last only where it has variants.
    model_path, history_path : what to write; see docs/formats.md.
    resume : folder for the state after each whole epoch; gone when the training is done.
    cfg : `dataset`, `fold`, `name` of the model, `seed`, `balance`, `balance_seed`, `model`: the settings of
        `darkroom.config.model.Model` that concern training, and `backbone` (`application`,
        `settings`, `pool`) or None; `backend`, of Keras.
    code : digest of the code. A state of other code, settings or inputs is not gone on from.
    threads : cores to use. The sums of more threads are rounded otherwise, so weights agree
        to the last bit only among trainings with equally many.
    gpus : of the job. They share each batch; sums are rounded otherwise then too.
    tuned : `best.json` of a search for its settings; None where there was none.
    weights, embedded : of the backbone: its HDF5 file, and its features of all images, from
        which a head learns as long as nothing changes pixels.

    Raises
    ------
    UserError
        A network that cannot be built, nothing to train on, a loss that is no number.
    """
    settings, said = overrides.chosen(cfg["model"], tuned)
    cfg = {**cfg, "model": settings}
    if said:
        log.info("%s", said)
    with prepare(
        images,
        splits,
        augmented,
        cfg=cfg,
        code=code,
        threads=threads,
        gpus=gpus,
        weights=weights,
        embedded=embedded,
    ) as task:
        _train(task, model_path, history_path, resume)


def _train(task: Task, model_path: str, history_path: str, resume: str) -> None:
    with Path(history_path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)  # `kept` is empty until the training has ended
        table.writeheader()

        def written(row: Row) -> None:
            table.writerow(_as_text(row))
            file.flush()

        course = learn(task, resume=resume, after_epoch=written)
    kept = _keep(task.network, course, task.settings)
    with Path(history_path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row in course.history:
            table.writerow(_as_text(row) | {"kept": int(row["epoch"] == kept)})
    _export(task.whole(task.network), model_path, task.facts | {"epoch": kept})
    shutil.rmtree(resume, ignore_errors=True)


def _as_text(row: Row) -> dict[str, Any]:
    return {key: "" if value is None else f"{value:.6g}" for key, value in row.items()}


@dataclass
class Task:
    """A compiled network and what it is to learn from.

    Attributes
    ----------
    network : compiled. steps : how batches reach it. feed : its training batches. validation : rows that choose the epoch.
    settings : of the model. name : for the progress bar. key : digest of all that the course
        depends on. facts : what the exported file says of itself.
    whole : from the trained network to the one to be exported. then : from the trained network
        to what follows it, the fine-tuning; None where nothing does.
    """

    network: Any
    steps: steps.Way
    feed: Feed
    validation: batches.Rows
    settings: dict[str, Any]
    name: str
    key: str
    facts: dict[str, Any]
    whole: Callable[[Any], Any]
    then: Callable[[Any], Task] | None = None


@contextmanager
def prepare(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    cfg: dict[str, Any],
    code: str,
    threads: int,
    gpus: Gpus = NO_GPUS,
    weights: str | None = None,
    embedded: str | None = None,
) -> Iterator[Task]:
    """Open a fold's rows and build its network; parameters and errors as those of `train_model`."""
    keras = models.backend(threads, cfg.get("backend"), gpus)
    with steps.devices(max(1, gpus.count)) as devices, devices.scope():
        settings = cfg["model"]
        cv2.setNumThreads(1)  # one thread prepares batches; the network has the others
        fold = batches.open_fold(
            images,
            splits,
            augmented,
            fold=cfg["fold"],
            balance=cfg["balance"],
            balance_seed=cfg["balance_seed"],
        )
        training = fold.training()
        mean, std = store.channel_statistics(fold.files, fold.chosen)
        head = models.head_of(settings["head"], len(fold.classes))
        precision = models.set_precision(settings["precision"], devices.count)
        rows = fold
        whole: Callable[[Any], Any] = _itself
        if cfg.get("backbone") is None:
            network = models.build(
                settings["layers"],
                shape=training.shape,
                classes=len(fold.classes),
                normalise=settings["normalise"],
                mean=mean,
                std=std,
                seed=cfg["seed"],
                head=head,
                sample=_sample(training, settings["layers"]),
            )
            if settings["test_time"] == "mirror":
                whole = models.mirrored
        else:
            network, rows, whole = _on_backbone(cfg, head, fold, str(weights), embedded)
        first = fold.files[0]
        facts = {
            "dataset": cfg["dataset"],
            "model": cfg["name"],
            "seed": cfg["seed"],
            "fold": cfg["fold"],
            "classes": fold.classes,
            "view": first.view,
            "decode": first.decode,
        }
        others = [file for file in (weights, embedded) if file]
        key = _key(fold, splits, {**cfg, "precision": precision}, code, keras, others)

        def task(network: Any, rows: batches.Fold, settings: dict[str, Any]) -> Task:
            if devices.count > 1:
                steps.synchronise(network, True)
            compile_(network, models.optimizer(settings["optimizer"]), settings["label_smoothing"])
            feed = Feed(
                rows.training(),
                fold.classes,
                settings,
                seed=cfg["seed"],
                fill=np.rint(mean).astype(np.uint8),
                head=head,
            )
            validation = rows.rows([rows.originals("validation")])
            still = feed.order.hold() if feed.order.held and not feed.changes else None
            way = steps.choose(network, settings, devices, rows=still)
            return Task(network, way, feed, validation, settings, cfg["fold"], key, facts, _itself)

        def fine_tuning(trained: Any) -> Task:
            network = whole(trained)
            layer = backbones.unfreeze(network, settings["fine_tune"])
            count = sum(int(np.prod(w.shape)) for w in network.trainable_weights)
            log.info(
                "fine-tuning %d of %d weights, from layer %s on",
                count,
                network.count_params(),
                layer,
            )
            return task(network, fold, settings | _of_fine_tuning(settings))

        made = task(network, rows, settings)
        made.whole = whole
        made.then = None if settings["fine_tune"] is None else fine_tuning
        _tell(fold, made, keras.backend.backend(), threads, precision, devices)
        yield made


def _itself(network: Any) -> Any:
    return network


def _on_backbone(
    cfg: dict[str, Any], head: str, fold: batches.Fold, weights: str, embedded: str | None
) -> tuple[Any, batches.Fold, Callable[[Any], Any]]:
    """The network that trains first, what it reads, and how it becomes the whole one."""
    settings = cfg["model"]
    top = heads.Head(
        settings["layers"],
        len(fold.classes),
        head,
        cfg["seed"],
        cfg["backbone"],
        weights,
        fold.training().shape,
    )
    if embedded is None or augment.changes(settings["augment"]):
        return top.on_pixels(), fold, _itself
    rows = fold.embedded(embedded)
    network = top.on_features(rows.training().shape)
    return network, rows, partial(top.whole, as_embedded=settings["fine_tune"] is None)


def _of_fine_tuning(settings: dict[str, Any]) -> dict[str, Any]:
    """What differs then: how long, one cosine from a rate of its own, and random changes."""
    asked = settings["fine_tune"]
    return {
        "augment": asked["augment"] or settings["augment"],
        "epochs": asked["epochs"],
        "optimizer": settings["optimizer"] | {"learning_rate": asked["learning_rate"]},
        "schedule": {"name": "cosine", "warmup": 0.0, "final": 0.0},
    }


def _sample(training: batches.Rows, layers: list[dict[str, Any]]) -> np.ndarray | None:
    """Two million pixels of images from all over the files, where a layer is made of them."""
    if not any("whiten" in layer for layer in layers):
        return None
    height, width, _ = training.shape
    most = min(len(training), max(10, 2_000_000 // (height * width)))
    return training.read(np.linspace(0, len(training) - 1, most).astype(np.int64))


def compile_(network: Any, optimizer: Any, label_smoothing: float) -> None:
    """Give a network its loss by its head: binary or categorical cross-entropy, and accuracy."""
    import keras

    binary = network.output_shape[-1] == 1
    loss = keras.losses.BinaryCrossentropy if binary else keras.losses.CategoricalCrossentropy
    accuracy = keras.metrics.BinaryAccuracy if binary else keras.metrics.CategoricalAccuracy
    network.compile(
        optimizer=optimizer,
        loss=loss(label_smoothing=label_smoothing),
        metrics=[accuracy(name="accuracy")],
    )
    kernels.install(network)


def learn(task: Task, *, resume: str, after_epoch: Callable[[Row], None]) -> Course:
    """Train epoch by epoch, on from the last whole one, to the end or to early stopping.

    Where fine-tuning follows, it begins from the epoch that `keep` chooses, early stopping
    ends each of the two by itself, and the best epoch is that of both.

    Parameters
    ----------
    resume : folder of the state after each whole epoch; it stays.
    after_epoch : called with each row of the history, those of an earlier run first. What
        it raises ends the training.
    """
    state = Path(resume) / f"{task.key}.npz"
    course = _load(state, task) or Course()
    if course.epoch:
        log.info("going on after epoch %d of %d", course.epoch, _last_epoch(task, course))
    for row in course.history:
        after_epoch(row)
    ahead = (_last_epoch(task, course) - course.epoch) * len(task.feed.order.rows)
    with progress(f"training {task.name}", ahead) as bar:
        _learn(task, course, state, after_epoch, bar)
        if task.then is not None:
            _keep(task.network, course, task.settings)
            _fine_tune(task, course)
            course.weights = task.network.get_weights()
            _learn(task, course, state, after_epoch, bar)
    return course


def _learn(
    task: Task, course: Course, state: Path, after_epoch: Callable[[Row], None], bar: Bar
) -> None:
    """All of a training; or that of the head, or the fine-tuning."""
    network, feed, settings = task.network, task.feed, task.settings
    before = course.before or 0
    end = before + settings["epochs"]
    while course.epoch < end and not _stops(course, settings, len(task.validation)):
        start, number = time.perf_counter(), course.epoch + 1
        loss, accuracy, rate = train_epoch(task.steps, feed, number, settings, bar, before=before)
        val_loss, val_accuracy = _evaluate(
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
        course.add(row, _monitored(row, settings["monitor"]), network.get_weights)
        _save(state, network, course)
        log.info("%s", _line(row, _last_epoch(task, course)))
        after_epoch(row)


def _fine_tune(task: Task, course: Course) -> None:
    """Go over from the head's training: another network, other rows, another rate."""
    assert task.then is not None
    following = task.then(task.network)
    task.network, task.steps, task.feed, task.validation, task.settings, task.whole, task.then = (
        following.network,
        following.steps,
        following.feed,
        following.validation,
        following.settings,
        following.whole,
        None,
    )
    if course.before is None:
        course.before = course.epoch


def _last_epoch(task: Task, course: Course) -> int:
    """Where the training ends, fine-tuning included, unless it stops before."""
    rest = task.settings["fine_tune"]["epochs"] if task.then is not None else 0
    return (course.before or 0) + int(task.settings["epochs"]) + int(rest)


# ---------------------------------------------------------------- one epoch


class Feed:
    """Training batches of each epoch: pixels, targets, and weights where classes have them.

    Parameters
    ----------
    training : what to train on. classes : K names. settings : of the model.
    seed : of order and changes. fill : (C,) uint8, the mean colour, for cutout.
    head : of the network. With `sigmoid` a target is the second class's alone.
    """

    def __init__(
        self,
        training: batches.Rows,
        classes: list[str],
        settings: dict[str, Any],
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
                images, targets = augment.augment(
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

    def stacks(self, number: int, most: int, *, places: bool) -> Iterator[steps.Stack]:
        """Up to `most` batches of equal size on one another, as `steps` take them.

        Parameters
        ----------
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


def _stacked(gathered: list[Batch]) -> steps.Stack:
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
    asked: str | dict[str, float], label: np.ndarray, classes: list[str]
) -> np.ndarray | None:
    """Weight of each class in the loss.

    Parameters
    ----------
    asked : `none`; `balanced`, n / (K · n of the class), as scikit-learn has it; or weights
        by class name, 1 where none is given.
    label : (n,) classes of the training rows. classes : K names.

    Returns
    -------
    (K,) float32, or None where all classes weigh alike.

    Raises
    ------
    UserError
        A weight for a class that is not there.
    """
    if asked == "none":
        return None
    if isinstance(asked, str):
        count = np.bincount(label, minlength=len(classes))
        return (len(label) / (len(classes) * np.maximum(count, 1))).astype(np.float32)
    if unknown := [name for name in asked if name not in classes]:
        raise UserError(
            f"class_weights: {unknown[0]!r} is no class of this data set; "
            f"there are: {', '.join(classes)}"
        )
    return np.array([asked.get(name, 1.0) for name in classes], np.float32)


def train_epoch(
    way: steps.Way,
    feed: Feed,
    number: int,
    settings: dict[str, Any],
    bar: Bar,
    before: int = 0,
) -> tuple[float, float, float]:
    """Train a compiled network for one epoch, numbered from 1.

    Parameters
    ----------
    way : how batches reach the network.
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
    stacks = feed.stacks(number, way.per_call, places=way.resident)
    with batches.ahead(stacks) as ready:
        for stack in ready:
            many, images = stack[0].shape[:2]
            rates = [
                models.rate(at, total, peak, settings["schedule"])
                for at in range(step, step + many)
            ]
            step += many
            said, right = way.train(stack, rates)
            if not math.isfinite(said):
                raise UserError(
                    f"the loss became {said} in epoch {number}: the training diverged; "
                    f"lower {'fine_tune' if before else 'optimizer'}.learning_rate (now {peak:g}) or "
                    "set optimizer.clip_norm"
                )
            loss += said * many * images
            correct += right * many * images
            n += many * images
            bar.update(many * images)
            bar.set_postfix_str(
                f"epoch {number} of {before + settings['epochs']}, loss {loss / n:.3f}"
            )
    return loss / n, correct / n, rates[-1]


def _evaluate(
    way: steps.Way,
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
            said, right = way.test(images, targets(label))
            loss += said * len(images)
            correct += right * len(images)
    return loss / len(rows), correct / len(rows)


# ---------------------------------------------------------------- which epoch, and when to end


def _monitored(row: Row, monitor: str) -> float | None:
    """The quantity that chooses an epoch, so that smaller is better."""
    value = row[f"val_{monitor}"]
    return value if value is None or monitor == "loss" else -value


def _stops(course: Course, settings: dict[str, Any], validation: int) -> bool:
    patience = settings["early_stopping"]
    since = max(course.best_epoch, course.before or 0)
    if not patience or not validation or course.epoch - since < patience:
        return False
    log.info(
        "stopped after epoch %d: val_%s is no better than in epoch %d",
        course.epoch,
        settings["monitor"],
        course.best_epoch,
    )
    return True


def kept_epoch(course: Course, settings: dict[str, Any]) -> int:
    """Number of the epoch whose weights are kept, the first best one or the last one."""
    return course.epoch if settings["keep"] == "last" else course.best_epoch or course.epoch


def _keep(network: Any, course: Course, settings: dict[str, Any]) -> int:
    """Set the weights of the epoch that is kept; returns its number."""
    if settings["keep"] == "best":
        if course.best_epoch:
            network.set_weights(course.weights)
            monitor = settings["monitor"]
            log.info("kept epoch %d: val_%s %.4f", course.best_epoch, monitor, abs(course.best))
        else:
            log.info("no validation rows to choose an epoch by: the last one is kept")
    return kept_epoch(course, settings)


def _export(network: Any, path: str, facts: dict[str, Any]) -> None:
    """Save the bare network, without its optimiser, whole or not at all.

    Beside Keras' own members the file has `darkroom.json`: the classes in order and how an
    image becomes the network's input, so that the file alone is enough to predict.
    """
    import keras

    steps.synchronise(network, False)
    bare = keras.Model(network.input, network.output, name=network.name)
    with disk.whole(path) as part:
        bare.save(part)
        with zipfile.ZipFile(part, "a") as file:
            file.writestr(FACTS, json.dumps(facts, ensure_ascii=False, indent=1))


# ---------------------------------------------------------------- resuming


def _key(
    fold: batches.Fold,
    splits: str,
    cfg: dict[str, Any],
    code: str,
    keras: Any,
    others: list[str],
) -> str:
    """What a state belongs to: inputs, settings, code, versions.

    Of the pixels: size and time of the file, and each image's place and channel sums;
    of the split: the classes and what is in which part, so that writing it anew with the
    same content changes nothing; of other files: size and time.
    """
    digest = hashlib.sha256()

    def add(*values: Any) -> None:
        for value in values:
            plain = value if isinstance(value, (bytes, bytearray)) else json.dumps(value).encode()
            digest.update(str(len(plain)).encode() + b":" + plain)

    add(cfg, code, keras.__version__, keras.backend.backend(), fold.classes)
    add("\n".join(map(str, fold.part)).encode())
    for file, label, chosen in zip(fold.files, fold.label, fold.chosen, strict=True):
        status = Path(file.path).stat()
        add(status.st_size, status.st_mtime_ns, list(file.images.shape), file.view, file.decode)
        for column in (file.row, file.variant, file.mean, file.mean_square, label, chosen):
            add(np.ascontiguousarray(column).tobytes())
    for path in others:
        status = Path(path).stat()
        add(status.st_size, status.st_mtime_ns)
    return digest.hexdigest()[:24]


def _save(path: Path, network: Any, course: Course) -> None:
    """Write the state after an epoch: network, optimiser, dropout's counters, course."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob("*.npz*"):
        if other != path:
            other.unlink(missing_ok=True)  # of other settings, or cut short
    rest = {k: getattr(course, k) for k in ("history", "best", "best_epoch", "before")}
    with disk.whole(path) as part, part.open("wb") as file:
        np.savez(file, rest=json.dumps(rest), **_arrays(network, course))


def _arrays(network: Any, course: Course) -> dict[str, Any]:
    import keras

    arrays = {f"best{i}": w for i, w in enumerate(course.weights)}
    for name, variables in _variables(network):
        arrays |= {f"{name}{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    return arrays


def _variables(network: Any) -> list[tuple[str, list[Any]]]:
    network.optimizer.build(network.trainable_variables)
    return [("network", network.variables), ("optimizer", network.optimizer.variables)]


def _load(path: Path, task: Task) -> Course | None:
    """Take up a state, if there is a whole one of just this training."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        course = Course(**json.loads(str(arrays["rest"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.info("%s cannot be read (%s): training starts anew", path, error)
        return None
    if course.before is not None:
        _fine_tune(task, course)
    if course.best_epoch:
        course.weights = [arrays[f"best{i}"] for i in range(len(task.network.weights))]
    for name, variables in _variables(task.network):
        for i, variable in enumerate(variables):
            variable.assign(arrays[f"{name}{i}"])
    return course


# ---------------------------------------------------------------- words and rows


def _tell(
    fold: batches.Fold,
    task: Task,
    backend: str,
    threads: int,
    precision: str,
    devices: steps.Devices,
) -> None:
    indices = ", ".join(f"{number} {name}" for number, name in enumerate(fold.classes[:20]))
    log.info("classes: %s%s", indices, ", …" if len(fold.classes) > 20 else "")
    training = task.feed.order.rows
    what = "pixels" if training.dtype == np.uint8 else "features"
    variants = sum(len(c) for c in fold.chosen[1:])
    log.info(
        "%d training images%s and %d validation images of %s %s, %d weights; %s, %d threads%s",
        len(training),
        f" ({variants} of them variants)" if variants else "",
        len(task.validation),
        "×".join(map(str, training.shape)),
        what,
        task.network.count_params(),
        backend,
        threads,
        "" if precision == "float32" else f", {precision}",
    )
    if devices.count > 1:
        log.info("%d devices share each batch", devices.count)
    if task.steps.per_call > 1 or task.steps.resident:
        where = " on the device" if task.steps.resident else ""
        log.info("up to %d steps a call, %s%s", task.steps.per_call, what, where)
    if not task.feed.order.held:
        log.info(
            "the %s stream from the file: %.0f MB, more than memory_mb",
            what,
            len(training) * training.row_bytes / 1e6,
        )


def _line(row: Row, epochs: int) -> str:
    said = [
        f"{name} {row[name]:.4f}"
        for name in ("loss", "accuracy", "val_loss", "val_accuracy")
        if row[name] is not None
    ]
    return (
        f"epoch {row['epoch']}/{epochs}: {', '.join(said)}, "
        f"rate {row['learning_rate']:.2g}, {row['seconds']:.1f} s"
    )
