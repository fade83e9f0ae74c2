"""A training made ready: a fold's rows, a compiled network, and how batches reach it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from darkroom.images import store
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.train import (
    augment,
    batches,
    checkpoint,
    fine_tuning,
    keras_backend,
    kernels,
    optimizer,
    steps,
)
from darkroom.train.devices import Devices, devices, synchronise_batch_norm
from darkroom.train.feed import Feed
from darkroom.train.heads import Head
from darkroom.train.loop import Task
from darkroom.train.model_file import Facts
from darkroom.train.network import build_network, head_of, mirrored
from darkroom.train.precision import set_precision
from darkroom.train.steps_keras import LOSS

if TYPE_CHECKING:
    from darkroom.train.layers import Layer
    from darkroom.train.settings import FineTune, Model
    from darkroom.train.training import TrainModel

log = logging.getLogger(__name__)

COMPARED = 16  # images that Keras and ONNX Runtime must agree on

Rows = tuple[Any, batches.Fold, Callable[[Any], Any]]


@contextmanager
def prepare(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    cfg: TrainModel,
    code: str,
    threads: int,
    gpus: Gpus = NO_GPUS,
    weights: str | None = None,
    embedded: str | None = None,
) -> Iterator[Task]:
    """Open a fold's rows and build its network; parameters and errors as those of `train_model`."""
    keras = keras_backend.start(threads, cfg["backend"], gpus)
    with devices(max(1, gpus.count)) as on, on.scope():
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
        mean, std = store.channel_statistics(fold.files, fold.chosen)
        head = head_of(settings["head"], len(fold.classes))
        precision = set_precision(settings["precision"], on.count)
        if cfg["backbone"] is None:
            network, rows, whole = _by_itself(cfg, head, fold, mean, std)
        else:
            network, rows, whole = _on_backbone(cfg, head, fold, str(weights), embedded)
        backend = keras.backend.backend()
        identity = checkpoint.identity(
            fold,
            [file for file in (weights, embedded) if file],
            cfg,
            precision,
            code,
            keras.__version__,
            backend,
        )
        first: Any = fold.files[0]  # its `view` and `decode` are JSON
        facts: Facts = {
            "dataset": cfg["dataset"],
            "model": cfg["name"],
            "seed": cfg["seed"],
            "fold": cfg["fold"],
            "classes": fold.classes,
            "view": first.view,
            "decode": first.decode,
        }

        def task(network: Any, rows: batches.Fold, settings: Model) -> Task:
            if on.count > 1:
                synchronise_batch_norm(network, True)
            compile_network(network, settings)
            feed = Feed(
                rows.training(),
                fold.classes,
                settings,
                seed=cfg["seed"],
                fill=np.rint(mean).astype(np.uint8),
                head=head,
            )
            unchanged = feed.order.hold() if feed.order.held and not feed.changes else None
            return Task(
                network=network,
                steps=steps.choose(network, settings, on, rows=unchanged),
                feed=feed,
                validation=rows.rows([rows.originals("validation")]),
                settings=settings,
                name=cfg["fold"],
                identity=identity,
                facts=facts,
                whole=_itself,
                sample=_compared(fold),
            )

        def fine_tuned(fine_tune: FineTune, trained: Any) -> Task:
            network = whole(trained)
            first = fine_tuning.unfreeze(network, fine_tune)
            count = sum(int(np.prod(w.shape)) for w in network.trainable_weights)
            log.info(
                "fine-tuning %d of %d weights, from layer %s on",
                count,
                network.count_params(),
                first,
            )
            return task(network, fold, _for_fine_tuning(settings, fine_tune))

        made = task(network, rows, settings)
        made.whole = whole
        if settings["fine_tune"] is not None:
            made.fine_tuning = partial(fine_tuned, settings["fine_tune"])
        _log_task(fold, made, backend, threads, precision, on)
        yield made


def _compared(fold: batches.Fold) -> np.ndarray:
    """(n, H, W, C) uint8: images from all over the file, to compare the written network with Keras."""
    images = fold.files[0].images
    return np.stack([images[at] for at in np.linspace(0, len(images) - 1, COMPARED).astype(int)])


def _itself(network: Any) -> Any:
    return network


def _by_itself(cfg: TrainModel, head: str, fold: batches.Fold, mean: Any, std: Any) -> Rows:
    """A network of layers alone, what it reads, and how it becomes the exported one."""
    settings, training = cfg["model"], fold.training()
    network = build_network(
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
    return network, fold, mirrored if settings["test_time"] == "mirror" else _itself


def _on_backbone(
    cfg: TrainModel, head: str, fold: batches.Fold, weights: str, embedded: str | None
) -> Rows:
    """The network that trains first, what it reads, and how it becomes the exported one."""
    settings, backbone = cfg["model"], cfg["backbone"]
    assert backbone is not None
    top = Head(
        settings["layers"],
        len(fold.classes),
        head,
        cfg["seed"],
        backbone,
        weights,
        fold.training().shape,
    )
    if embedded is None or augment.changes(settings["augment"]):
        return top.on_pixels(), fold, _itself
    rows = fold.embedded(embedded)
    network = top.on_features(rows.training().shape)
    return network, rows, partial(top.whole, as_embedded=settings["fine_tune"] is None)


def _for_fine_tuning(settings: Model, fine_tune: FineTune) -> Model:
    """A model's settings with what differs then: how long, one cosine, random changes."""
    return {
        **settings,
        "augment": fine_tune["augment"] or settings["augment"],
        "epochs": fine_tune["epochs"],
        "optimizer": {**settings["optimizer"], "learning_rate": fine_tune["learning_rate"]},
        "schedule": {"name": "cosine", "warmup": 0.0, "final": 0.0},
    }


def _sample(training: batches.Rows, layers: list[Layer]) -> np.ndarray | None:
    """Two million pixels of images from all over the files, where a layer is made of them."""
    if not any("whiten" in layer for layer in layers):
        return None
    height, width, _ = training.shape
    most = min(len(training), max(10, 2_000_000 // (height * width)))
    return training.read(np.linspace(0, len(training) - 1, most).astype(np.int64))


def compile_network(network: Any, settings: Model) -> None:
    """Give a network its optimizer, and by its head binary or categorical cross-entropy and accuracy."""
    import keras

    binary = network.output_shape[-1] == 1
    loss = keras.losses.BinaryCrossentropy if binary else keras.losses.CategoricalCrossentropy
    plain = keras.metrics.BinaryCrossentropy if binary else keras.metrics.CategoricalCrossentropy
    accuracy = keras.metrics.BinaryAccuracy if binary else keras.metrics.CategoricalAccuracy
    network.compile(
        optimizer=optimizer.make(settings["optimizer"]),
        loss=loss(label_smoothing=settings["label_smoothing"]),
        # without label smoothing, which must not judge itself: epochs are judged by this one
        metrics=[accuracy(name="accuracy"), plain(name=LOSS)],
    )
    kernels.install(network)


def _log_task(
    fold: batches.Fold,
    task: Task,
    backend: str,
    threads: int,
    precision: str,
    on: Devices,
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
    if on.count > 1:
        log.info("%d devices share each batch", on.count)
    if task.steps.per_call > 1 or task.steps.resident:
        where = " on the device" if task.steps.resident else ""
        log.info("up to %d steps a call, %s%s", task.steps.per_call, what, where)
    if not task.feed.order.held:
        log.info(
            "the %s stream from the file: %.0f MB, more than memory_mb",
            what,
            len(training) * training.row_bytes / 1e6,
        )
