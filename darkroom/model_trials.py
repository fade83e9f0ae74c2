"""A network's trial: trained with the settings drawn for it, judged by the validation rows."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from darkroom import batches, training, trials
from darkroom.errors import UserError
from darkroom.overrides import override

log = logging.getLogger(__name__)


def try_model(
    images: str,
    splits: str,
    augmented: str | None,
    *,
    output: str,
    number: int,
    cfg: dict[str, Any],
    code: str,
    threads: int,
    cards: int = 1,
    weights: str | None = None,
    embedded: str | None = None,
) -> None:
    """Make one trial of a network's search; write its `trial-{n}.json` and no model.

    The objective is that of the epoch which the model's `keep` and `monitor` choose. A trial
    that diverges, or whose network cannot be built, counts as failed with its reason.

    Parameters
    ----------
    images, splits, augmented : files of the data set; the last only where it has variants.
    output : the file to write; the search's journal and the trial's state stand beside it.
    number : of the trial, from 1.
    cfg : as for `training.train`, and `name` and `tune`: space, objective, prune, epochs, seed.
    code : digest of the code. threads : cores to use. cards : as for `training.train`.
    weights, embedded : of the model's backbone, as for `training.train`.

    Raises
    ------
    UserError
        The fold has no validation rows; its files or the journal cannot be read.
    """
    tune, written = cfg["tune"], cfg["model"]
    rest = {k: v for k, v in cfg.items() if k not in ("tune", "name")}
    digest = _checked(images, splits, augmented, weights, cfg, code)
    if tune["epochs"]:
        written = {**written, "epochs": tune["epochs"]}
    tune = {**tune, "epochs": written["epochs"]}
    key = f"val_{tune['objective']}"

    def run(now: trials.Attempt) -> float:
        asked = {**rest, "model": override(written, now.params)}
        with (
            _quiet(),
            training.prepare(
                images,
                splits,
                augmented,
                cfg=asked,
                code=code,
                threads=threads,
                cards=cards,
                weights=weights,
                embedded=embedded,
            ) as task,
        ):
            course = training.learn(
                task,
                resume=now.state,
                after_epoch=lambda row: now.epoch(_number(row[key]), _number(row["seconds"])),
            )
        kept = training.kept_epoch(course, task.settings)
        return _number(course.history[kept - 1][key])

    trials.attempt(
        output,
        number=number,
        subject={k: cfg[k] for k in ("dataset", "fold")} | {"model": cfg["name"]},
        tune=tune,
        settings=written,
        digest=digest,
        run=run,
    )


def _checked(
    images: str,
    splits: str,
    augmented: str | None,
    weights: str | None,
    cfg: dict[str, Any],
    code: str,
) -> str:
    """Digest of a search: inputs by what they hold, settings, code. It has validation rows."""
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
            "choose by, and there are none: set split.validation, or leave `tune` out"
        )
    columns = [
        column
        for file, label, chosen in zip(fold.files, fold.label, fold.chosen, strict=True)
        for column in (file.row, file.variant, file.mean, file.mean_square, label, chosen)
    ]
    about = [[list(f.images.shape), f.view, f.decode] for f in fold.files]
    parts = "\n".join(map(str, fold.part)).encode()
    backbone = None
    if weights:
        with Path(weights).open("rb") as file:
            backbone = hashlib.file_digest(file, "blake2b").hexdigest()
    return trials.fingerprint(cfg, code, fold.classes, about, parts, backbone, *columns)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """An epoch of a trial is no news; what the trial came to is."""
    level = training.log.level
    training.log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        training.log.setLevel(level)
