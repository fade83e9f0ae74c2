"""The stage: a network learns from the training rows of a fold."""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path
from typing import Any

from darkroom import overrides
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.split.splits import Balance
from darkroom.train import loop, sureness
from darkroom.train.backbones import Backbone
from darkroom.train.checkpoint import Row
from darkroom.train.loop import Task
from darkroom.train.model_file import Facts, write_model
from darkroom.train.prepare import prepare
from darkroom.train.settings import Model

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


class TrainModel(Balance):
    """What training reads.

    Attributes
    ----------
    dataset : name.
    fold : name.
    name : of the model.
    model : the network and how it trains.
    backbone : that the network stands on, or None.
    seed : of first weights, order and random changes.
    backend : of Keras.
    """

    dataset: str
    fold: str
    name: str
    model: Model
    backbone: Backbone | None
    seed: int
    backend: str


def train_model(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    model_path: str,
    history_path: str,
    resume: str,
    cfg: TrainModel,
    code: str,
    threads: int,
    gpus: Gpus = NO_GPUS,
    tuned: str | None = None,
    weights: str | None = None,
    embedded: str | None = None,
) -> None:
    """Train a network; write `model.keras`, `model.onnx` beside it and, row by row, `history.csv`.

    Parameters
    ----------
    images : prepared images of the data set.
    splits : `splits.parquet`.
    augmented : stored variants of the images, where there are any.
    model_path : the network to write, see docs/formats.md; with `.onnx` what predicts without Keras.
    history_path : the table to write, see docs/formats.md.
    resume : folder for the state after each whole epoch; gone when the training is done.
    cfg : what the stage reads.
    code : digest of the code. A state of other code, settings or inputs is not gone on from.
    threads : cores to use. The sums of more threads are rounded otherwise, so weights agree
        to the last bit only among trainings with equally many.
    gpus : of the job. They share each batch; sums are rounded otherwise then too.
    tuned : `best.json` of a search for its settings; None where there was none.
    weights : of the backbone, its HDF5 file.
    embedded : the backbone's features of all images, from which a head learns as long as
        nothing changes pixels.

    Raises
    ------
    UserError
        A network that cannot be built or that has no ONNX, nothing to train on, a loss that is
        no number.
    """
    settings, found = overrides.chosen(cfg["model"], tuned)
    if found:
        log.info("%s", found)
    with prepare(
        images,
        splits,
        augmented,
        cfg={**cfg, "model": settings},
        code=code,
        threads=threads,
        gpus=gpus,
        weights=weights,
        embedded=embedded,
    ) as task:
        _train(task, model_path, history_path, resume)


def _train(task: Task, model_path: str, history_path: str, resume: str) -> None:
    from darkroom.infer import export

    export.convert(task.network, {})  # a layer that has no ONNX is refused before it learns
    with Path(history_path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)  # `kept` is empty until the training has ended
        table.writeheader()

        def write(row: Row) -> None:
            table.writerow(_as_text(row))
            file.flush()

        state = loop.learn(task, resume=resume, after_epoch=write)
    kept = loop.keep(task.network, state, task.settings)
    with Path(history_path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row in state.history:
            table.writerow(_as_text(row) | {"kept": int(row["epoch"] == kept)})
    whole = task.whole(task.network)
    batch, mirror = task.settings["batch"], task.settings["test_time"] == "mirror"
    heat = sureness.of_rows(task.network, task.validation, batch, mirror)
    facts: Facts = {**task.facts, "epoch": kept}
    if heat is not None:
        sureness.scale(whole, heat)
        facts["temperature"] = heat
        log.info("temperature %.3f, by %d validation images", heat, len(task.validation))
    onnx = Path(model_path).with_suffix(".onnx")
    write_model(whole, model_path, facts)
    export.write(whole, str(onnx), facts, task.sample)
    log.info("%s says what Keras says of %d images", onnx.name, len(task.sample))
    shutil.rmtree(resume, ignore_errors=True)


def _as_text(row: Row) -> dict[str, Any]:
    return {key: "" if value is None else f"{value:.6g}" for key, value in row.items()}
