"""Whatever can be known to fail is said before anything runs.

Called while the Snakefile is read, once a command and not in the jobs' own processes,
so it opens no image and imports nothing slow unless there is something to check.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from darkroom.classify.cost import forecast
from darkroom.classify.kinds import check_settings
from darkroom.config.classifier import Classifier
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError, nearest
from darkroom.machine import disk
from darkroom.overrides import override
from darkroom.predict import unseen
from darkroom.sources import addresses, formats, mirror, published
from darkroom.train import weights
from darkroom.workflow import remembered
from darkroom.workflow.code import code
from darkroom.workflow.known import (
    by_index,
    indexed_rows,
    listed_rows,
    manifest_of,
    told_by_index,
    told_by_names,
)
from darkroom.workflow.resources import gpus_of_a_job, shards_that_pay
from darkroom.workflow.size import size_of

WIDTH = 128  # features a row, for the forecast: a network's last hidden layer, about


def check_folders(settings: Settings, folder: Path) -> None:
    """Try to write where this run will: its folder, and what stands in it for each data set.

    Snakemake itself would end with a traceback, or only once a stage has done its work.

    Raises
    ------
    UserError
        A folder is read-only, belongs to another, or has no room for a page.
    """
    kept = [folder / ".snakemake"]
    for dataset in settings.run.datasets:
        kept += [folder / part / dataset for part in ("data", "results", "logs")]
    for place in dict.fromkeys(map(disk.nearest, kept)):
        trial = place / f".writable-{os.getpid()}"
        try:
            with trial.open("wb", buffering=0) as file:
                file.write(bytes(4096))
        except OSError as error:
            error.filename = str(place)
            raise UserError(disk.in_words(error) or f"{place}: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                trial.unlink(missing_ok=True)


def check_targets(settings: Settings, targets: Iterable[str]) -> None:
    """Check the data sets that file targets name, and the new pictures that are to be predicted.

    Raises
    ------
    UserError
        A target in the folder of a data set that the configuration does not know; predictions
        without pictures, or by a classifier that there is not.
    """
    for target in targets:
        if target == "predict":
            if not settings.predict:
                raise UserError(
                    "predict: the configuration names no new pictures: "
                    "--config predict='{NAME: FOLDER}'"
                )
            for name in settings.predict:
                for dataset in settings.run.datasets:
                    _check_pictures(settings, dataset, name)
        parts = Path(target).parts
        known = [*settings.datasets, *(["weights"] if parts[:1] == ("data",) else [])]
        if len(parts) > 2 and parts[0] in ("results", "data") and parts[1] not in known:
            raise UserError(
                f"{target}: {parts[1]!r} is not in datasets of the configuration"
                + nearest(parts[1], known)
            )
        if len(parts) == 4 and parts[::2] == ("results", "predictions"):
            _check_pictures(settings, parts[1], parts[3].removesuffix(".csv"))


def _check_pictures(settings: Settings, dataset: str, name: str) -> None:
    """Check what a name in `predict` asks of a data set."""
    if name not in settings.predict:
        raise UserError(
            f"{name!r} is not in predict of the configuration{nearest(name, settings.predict)}: "
            f"--config predict='{{{name}: FOLDER}}'"
        )
    request = settings.predict[name]
    known = settings.predictors_of(dataset)
    if request.model is not None and request.model not in known:
        raise UserError(
            f"predict.{name}.model: {dataset} has no {request.model!r}{nearest(request.model, known)}"
        )
    folds = settings.folds_of(dataset)
    if request.fold is not None and request.fold not in folds:
        raise UserError(
            f"predict.{name}.fold: {dataset} has no {request.fold!r}{nearest(request.fold, folds)}"
        )
    unseen.digest(request.source)


def check_sources(settings: Settings, say: Callable[[str], Any], folder: Path = Path()) -> None:
    """Check that no local source is another file than an archive or lies where a run writes.

    Says where another source had this name.

    Raises
    ------
    UserError
        A source is no archive, is in `results`, or in the folder of a data set's own files, or contains it.
    """
    for dataset in settings.run.datasets:
        source = settings.datasets[dataset].source
        if addresses.kind(source) not in ("folder", "archive"):
            continue
        path = addresses.local_path(source).resolve()
        if path.is_file() and not (published.is_packed(path.name) or formats.recognise(str(path))):
            raise formats.not_an_archive(str(path), f"datasets.{dataset}.source: {source}")
        for own in (
            folder / "results",
            *(folder / "data" / name for name in settings.run.datasets),
        ):
            place = own.resolve()
            if path.is_relative_to(place) or place.is_relative_to(path):
                raise UserError(
                    f"datasets.{dataset}.source: {source} and {own}, where a run writes, lie in each "
                    "other: move the images elsewhere, or give the data set another name"
                )
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads((folder / "data" / dataset / "source.json").read_text("utf-8"))
            before = str(record["source"])
            if "://" not in before and addresses.local_path(before).resolve() != path:
                say(
                    f"{dataset}: the results of this name are of {before}, and are made anew from "
                    f"{source}; a data set of another name keeps both"
                )


def check_shards(settings: Settings, say: Callable[[str], Any], folder: Path = Path()) -> None:
    """Say where a data set would gain by shards, on a cluster."""
    for dataset in settings.run.datasets:
        paying = shards_that_pay(settings, dataset, folder)
        if paying is not None:
            say(
                f"datasets.{dataset}: to index or prepare its {size_of(settings, dataset, folder).files:,} "
                f"files takes one job about {paying[1] / 3600:.0f} hours; on a cluster, shards: {paying[0]} "
                "makes it as many jobs of a quarter of an hour"
            )


def check(settings: Settings, say: Callable[[str], Any] = print, folder: Path = Path()) -> None:
    """Check what `run` asks for against what is already known of the data.

    Parameters
    ----------
    settings : the checked configuration.
    say : called with each warning: the run goes on.
    folder : of the run's data/ and results/.

    Raises
    ------
    UserError
        A backend that is not installed, a mirror that is not there, a source of an unknown kind or that is not there, a split that the data cannot give,
        a backbone that Keras does not have, weights that are not there, a threshold, an operating point or a sigmoid for more than two classes.
    """
    if settings.backend != "tensorflow":  # which alone is in the lock
        from darkroom.train import devices, keras_backend

        keras_backend.check(settings.backend)
        devices.check_gpus(settings.backend, gpus_of_a_job(settings.gpus))
    mirror.check(settings.mirror)
    for dataset in settings.run.datasets:
        for name in settings.classifiers_of(dataset):
            _check_classifier(name, settings.classifiers[name])
        addresses.kind(settings.datasets[dataset].source)
        for name in settings.backbones_of(dataset):
            backbone = settings.features[name]
            try:
                weights.check(str(backbone.application), backbone.weights)
            except UserError as error:
                raise UserError(f"features.{name}: {error}") from None
        cfg = stage_settings(settings, "split_rows", {"dataset": dataset})
        known = _known(settings, dataset, cfg, manifest_of(dataset, folder), say)
        _check_two_classes(settings, dataset, known.labels)
        if known.parts is None:
            continue
        _check_tuning(settings, dataset, known.parts)
        _forecast(settings, dataset, known.rows, say)


class _Known(NamedTuple):
    """What is known of a data set's rows before anything runs; None where nothing is."""

    rows: int
    labels: list[str] | None
    parts: dict[str, list[str]] | None  # of each fold


def _known(
    settings: Settings, dataset: str, cfg: Any, manifest: Path, say: Callable[[str], Any]
) -> _Known:
    """Say where the labels are from, and try the split on the last index, or on what the file names tell."""
    # a split of millions of rows takes minutes to try: what came of it is remembered
    key = by_index(manifest, "split", _Known._fields, cfg, code("split_rows"), dataset)
    if key is not None:
        now, before = told_by_names(settings, dataset), told_by_index(manifest)
        if now and before and (now[0] != before[0] or not set(now) <= set(before)):
            _tell_labels(dataset, now, say)
    if key is not None and (found := remembered.recall(key)) is not None:
        return _Known(*found)
    indexed = indexed_rows(manifest)
    table = listed_rows(settings, dataset) if indexed is None else indexed
    if table is None:
        return _Known(0, None, None)
    if indexed is None:
        _tell_labels(dataset, [table.attrs["layout"], *table.attrs["warnings"]], say)
    from darkroom.split import plan

    _check_two_classes(settings, dataset, sorted(table["label"].dropna().unique()))

    def tried() -> _Known:
        labels = sorted(table["label"].dropna().unique())
        parts = plan.check(table, cfg=cfg)
        return _Known(len(table), labels, {fold: sorted(found) for fold, found in parts.items()})

    try:
        known = tried()
    except UserError:
        # The manifest may be older than the images or the layout's settings: what is
        # there now decides. Where it cannot be listed, the split itself will refuse.
        if indexed is None:
            raise
        table = listed_rows(settings, dataset)
        return _Known(0, None, None) if table is None else tried()
    if key is not None:
        remembered.keep(key, list(known))
    return known


def _tell_labels(dataset: str, lines: list[str], say: Callable[[str], Any]) -> None:
    """Say where the labels come from, and what looks like a mistake."""
    say(f"{dataset}: {lines[0]}")
    for warning in lines[1:]:
        say(f"{dataset}: check: {warning}")


def _check_classifier(name: str, classifier: Classifier) -> None:
    """Refuse names of settings that the classifier does not have, in its `tune` too."""
    plain = classifier.model_dump(exclude={"tune"})
    check_settings(name, classifier.kind, classifier.settings)
    for path, value in classifier.tune.samples() if classifier.tune else []:
        drawn = override(plain, {path: value})
        check_settings(name, drawn["kind"], drawn["settings"])


def _check_tuning(settings: Settings, dataset: str, parts: dict[str, list[str]]) -> None:
    """Refuse a search without validation rows to judge its trials by."""
    tuned = [f"models.{n}" for n in settings.models_of(dataset) if settings.models[n].tune]
    tuned += [
        f"classifiers.{n}" for n in settings.classifiers_of(dataset) if settings.classifiers[n].tune
    ]
    without = [fold for fold, found in parts.items() if "validation" not in found]
    if tuned and without:
        raise UserError(
            f"{dataset}, {without[0]}: {tuned[0]}.tune needs validation rows to choose by, and there "
            "are none: set split.validation, or leave `tune` out"
        )


def _check_two_classes(settings: Settings, dataset: str, labels: list[str] | None) -> None:
    """Refuse what two classes alone can have: a threshold, an operating point, a sigmoid."""
    chosen = settings.datasets[dataset].classes
    sigmoid = [n for n in settings.models_of(dataset) if settings.models[n].head == "sigmoid"]
    threshold = settings.datasets[dataset].threshold != 0.5
    point = settings.datasets[dataset].operating_point is not None
    if not (sigmoid or threshold or point):
        return
    if chosen is not None:
        classes = list(chosen)
    elif labels is not None:
        classes = labels
    else:
        return
    if len(classes) == 2:
        return
    names = f"{len(classes)} ({', '.join(classes[:5])}{', …' if len(classes) > 5 else ''})"
    for given, key, what in (
        (threshold, "threshold", "a threshold"),
        (point, "operating_point", "an operating point"),
    ):
        if given:
            raise UserError(
                f"datasets.{dataset}.{key}: {what} is for two classes, and there are {names}: "
                "choose two of them by classes, or leave it out"
            )
    raise UserError(
        f"models.{sigmoid[0]}.head: a sigmoid unit distinguishes two classes, and {dataset} has {names}: "
        "set head: softmax or auto"
    )


def _forecast(settings: Settings, dataset: str, rows: int, say: Callable[[str], Any]) -> None:
    augment = settings.datasets[dataset].augment
    split = settings.datasets[dataset].split
    share = 1 - (1 / split.folds if split.folds else split.test)
    training = int(rows * share * (1 - split.validation))
    for variant in augment.variants:
        training += int(rows * share) * getattr(variant.spec, "copies", 1)
    for name in settings.classifiers_of(dataset):
        classifier = settings.classifiers[name]
        plan = forecast(
            classifier.kind,
            training,
            WIDTH,
            max_rows=classifier.max_rows,
            memory_mb=classifier.memory_mb,
        )
        if plan.message:
            say(f"classifiers.{name} on {dataset}: {plan.message}")
