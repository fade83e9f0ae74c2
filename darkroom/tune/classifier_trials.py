"""Trials of a classifier: fit to the training rows, score on the validation rows."""

from __future__ import annotations

import time

import numpy as np

from darkroom import metrics
from darkroom.classify import fitting
from darkroom.classify.fitting import FitClassifier
from darkroom.errors import UserError
from darkroom.features.predictions import Run
from darkroom.images import features_file
from darkroom.images.joined import forget
from darkroom.overrides import override
from darkroom.split.splits import read_splits
from darkroom.tune import trials


class TryClassifier(FitClassifier):
    """Settings of a trial: those of the fit, and the search."""

    tune: trials.Search


def try_classifier(
    features: str,
    splits: str,
    *,
    output: str,
    number: int,
    cfg: TryClassifier,
    code: str,
    threads: int,
) -> None:
    """Make one trial of a classifier's search; write its `trial-{n}.json` and no model.

    Settings that scikit-learn refuses make a failed trial with its message.

    Parameters
    ----------
    features : the feature set.
    splits : `splits.parquet`.
    output : the file to write; its folder also contains the journal of the search.
    number : of the trial, from 1.
    cfg : settings of the stage.
    code : digest of the code.
    threads : cores to use; the result does not depend on them.

    Raises
    ------
    UserError
        The fold has no validation rows; its files or the journal cannot be read.
    """
    tune = cfg["tune"]
    table = read_splits(splits)
    opened = features_file.open_features(features)
    part, label = table.lookup(opened.row, cfg["fold"])
    if not (part == "validation").any():
        raise UserError(
            f"{cfg['dataset']}, {cfg['fold']}: classifiers.{cfg['name']}.tune needs validation "
            "rows, but there are none: set split.validation, or leave `tune` out"
        )
    names = Run.on(cfg["features"], opened.made, fold=cfg["fold"], classifier=cfg["name"])
    digest = trials.fingerprint(
        cfg,
        code,
        table.classes,
        "\n".join(map(str, part)).encode(),
        label,
        opened.row,
        opened.variant,
        opened.features,
    )
    forget(opened.features)

    def run(now: trials.Attempt) -> float:
        start = time.monotonic()
        spec = override(cfg["classifier"], now.params)
        truth, probabilities = fitting.validate(
            features, splits, cfg=cfg | {"classifier": spec}, threads=threads
        )
        now.seconds += time.monotonic() - start
        stored = probabilities.astype(np.float32)  # predictions are stored and scored as float32
        scores, _ = metrics.scores(truth, stored.argmax(axis=1), stored)
        return scores[tune["objective"]]

    trials.attempt(
        output,
        number=number,
        subject={"dataset": cfg["dataset"], **names._asdict()},
        tune=tune,
        settings=cfg["classifier"],
        digest=digest,
        run=run,
    )
