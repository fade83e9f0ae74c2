"""Trials of a network: train with drawn settings, score on the validation rows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from darkroom.errors import UserError
from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.overrides import override
from darkroom.train import batches, loop
from darkroom.train.prepare import prepare
from darkroom.train.training import TrainModel
from darkroom.tune import trials

log = logging.getLogger(__name__)


class ModelSearch(trials.Search):
    """The search of a network.

    Attributes
    ----------
    prune : whether unpromising trials stop early.
    epochs : of a trial; None: those of the model.
    """

    prune: bool
    epochs: int | None


class TryModel(TrainModel):
    """Settings of a trial: those of the training, and the search."""

    tune: ModelSearch


def try_model(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    output: str,
    number: int,
    cfg: TryModel,
    code: str,
    threads: int,
    gpus: Gpus = NO_GPUS,
    weights: str | None = None,
    embedded: str | None = None,
) -> None:
    """Make one trial of a network's search; write its `trial-{n}.json` and no model.

    The model's `keep` and `monitor` choose the epoch that gives the objective. A trial that
    diverges, or whose network cannot be built, has the state failed and a reason.

    Parameters
    ----------
    images : prepared images.
    splits : `splits.parquet`.
    augmented : stored variants; None: the data set has none.
    output : the file to write; its folder also contains the journal of the search and the
        state of the trial.
    number : of the trial, from 1.
    cfg : settings of the stage.
    code : digest of the code.
    threads : cores to use.
    gpus : of the job.
    weights : of the model's backbone, as for `train_model`.
    embedded : as for `train_model`.

    Raises
    ------
    UserError
        The fold has no validation rows; its files or the journal cannot be read.
    """
    tune, written = cfg["tune"], cfg["model"]
    digest = _checked(images, splits, augmented, weights, cfg, code)
    if tune["epochs"]:
        written = {**written, "epochs": tune["epochs"]}
    key = f"val_{tune['objective']}"

    def run(now: trials.Attempt) -> float:
        drawn: TryModel = {**cfg, "model": override(written, now.params)}
        with (
            _quiet(),
            prepare(
                images,
                splits,
                augmented,
                cfg=drawn,
                code=code,
                threads=threads,
                gpus=gpus,
                weights=weights,
                embedded=embedded,
            ) as task,
        ):
            state = loop.learn(
                task,
                resume=now.state,
                after_epoch=lambda row: now.epoch(_number(row[key]), _number(row["seconds"])),
            )
        kept = loop.kept_epoch(state, task.settings)
        return _number(state.history[kept - 1][key])

    trials.attempt(
        output,
        number=number,
        subject={"dataset": cfg["dataset"], "fold": cfg["fold"], "model": cfg["name"]},
        tune=tune,
        settings=written,
        digest=digest,
        run=run,
        prune_after=1 + written["epochs"] // 4 if tune["prune"] else None,
    )


def _checked(
    images: str,
    splits: str,
    augmented: str | None,
    weights: str | None,
    cfg: TryModel,
    code: str,
) -> str:
    """Digest of a search's inputs, settings and code; raises UserError without validation rows."""
    fold = batches.open_fold(
        images,
        splits,
        augmented,
        fold=cfg["fold"],
        balance=cfg["balance"],
        balance_seed=cfg["balance_seed"],
    )
    if not len(fold.originals("validation")):
        raise UserError(
            f"{cfg['dataset']}, {cfg['fold']}: models.{cfg['name']}.tune needs validation rows to "
            "score, but there are none: set split.validation, or leave `tune` out"
        )
    backbone = None
    if weights:
        with Path(weights).open("rb") as file:
            backbone = hashlib.file_digest(file, "blake2b").hexdigest()
    return trials.fingerprint(cfg, code, fold.digest(), backbone)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the log of epochs: only the result of the trial is logged."""
    level = loop.log.level
    loop.log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        loop.log.setLevel(level)
