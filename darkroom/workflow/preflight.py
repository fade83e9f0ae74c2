"""Whatever can be known to fail is said before anything runs.

Called while the Snakefile is read, once a command and not in the jobs' own processes,
so it opens no image and imports nothing slow unless there is something to check.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from darkroom.config import Classifier, Settings
from darkroom.errors import UserError, nearest
from darkroom.machine import cards, disk, process
from darkroom.overrides import override
from darkroom.predict import unseen
from darkroom.sources import download
from darkroom.sources.folders import printable
from darkroom.train import weights
from darkroom.workflow import demand, remembered
from darkroom.workflow.code import code

WIDTH = 128  # features a row, for the forecast: a network's last hidden layer, about


def export_to_jobs(root: str) -> None:
    """What the jobs' own processes need from this one, on a cluster's nodes too.

    Parameters
    ----------
    root : folder of the project: its scripts import `darkroom` from there.
    """
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    os.environ[process.PARENT] = str(os.getpid())
    process.lock_no_arrays()


def refusals_in_words() -> None:
    """Let Snakemake say in a sentence what the disk refuses it: a lock, a job's mark or record.

    By itself it ends with a traceback, or asks for write permissions on a disk that is full.
    """
    logging.getLogger("snakemake.logging").addFilter(_in_words)


def _in_words(record: logging.LogRecord) -> bool:
    error = sys.exc_info()[1]
    if error is not None and record.levelno >= logging.ERROR:
        said = disk.in_words(error, [str(Path.cwd()), str(Path.cwd() / ".snakemake")])
        if said is not None:
            record.msg, record.args = said, ()
    return True


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


def overlays(workflow: Any) -> list[Path]:
    """The files that the configuration was merged from, in the order of merging."""
    named = [Path(str(file)) for file in workflow.overwrite_configfiles]
    return [Path(workflow.basedir) / "config.yaml", *named]


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
    asked = settings.predict[name]
    known = settings.predictors_of(dataset)
    if asked.model is not None and asked.model not in known:
        raise UserError(
            f"predict.{name}.model: {dataset} has no {asked.model!r}{nearest(asked.model, known)}"
        )
    folds = settings.folds_of(dataset)
    if asked.fold is not None and asked.fold not in folds:
        raise UserError(
            f"predict.{name}.fold: {dataset} has no {asked.fold!r}{nearest(asked.fold, folds)}"
        )
    unseen.digest(asked.source)


def gpus(setting: int | Literal["auto"]) -> int:
    """Cards that a training job asks for: the setting, or 1 where this machine has a card."""
    return int(cards.likely()) if setting == "auto" else setting


def card_slots(settings: Settings, asked: int) -> int:
    """How much of the resource `gpu` this machine has, where one card is one, times those who share it.

    Parameters
    ----------
    asked : cards that a job takes, 1 or more.

    Raises
    ------
    UserError
        A job asks for more cards than there are, though there are some.
    """
    found = cards.found()
    if 0 < len(found) < asked:
        raise UserError(cards.too_few(asked, found))
    # Cards that cannot be listed are for one job at a time; the job says so if there are none.
    return (len(found) or asked) * settings.jobs_per_gpu


def check_shards(settings: Settings, say: Callable[[str], Any]) -> None:
    """Say where a data set would gain by shards, on a cluster."""
    for dataset in settings.run.datasets:
        told = demand.shards_that_pay(settings, dataset)
        if told is not None:
            say(
                f"datasets.{dataset}: to index or prepare its {demand.size(settings, dataset).files:,} "
                f"files takes one job about {told[1] / 3600:.0f} hours; on a cluster, shards: {told[0]} "
                "makes it as many jobs of a quarter of an hour"
            )


def check(settings: Settings, say: Callable[[str], Any] = print) -> None:
    """Check what `run` asks for against what is already known of the data.

    Parameters
    ----------
    settings : the checked configuration.
    say : called with each warning: the run goes on.

    Raises
    ------
    UserError
        A backend that is not installed, a source of an unknown kind or that is not there, a split that the data cannot give,
        a backbone that Keras does not have, weights that are not there, a threshold or a sigmoid for more than two classes.
    """
    if settings.backend != "tensorflow":  # which alone is in the lock
        from darkroom.train import models, steps

        models.check_backend(settings.backend)
        steps.check_cards(settings.backend, gpus(settings.gpus))
    for dataset in settings.run.datasets:
        for name in settings.classifiers_of(dataset):
            _check_classifier(name, settings.classifiers[name])
        download.kind(settings.datasets[dataset].source)
        for name in settings.backbones_of(dataset):
            backbone = settings.features[name]
            try:
                weights.check(str(backbone.application), backbone.weights)
            except UserError as error:
                raise UserError(f"features.{name}: {error}") from None
        cfg = settings.stage("split", {"dataset": dataset})
        known = _known(settings, dataset, cfg)
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


def _known(settings: Settings, dataset: str, cfg: dict[str, Any]) -> _Known:
    """Try the split on the last index, or on what the file names tell."""
    # a split of millions of rows takes minutes to try: what came of it is remembered
    key = _by_index(dataset, "split", _Known._fields, cfg, code("split_rows"))
    if key is not None and (found := remembered.recall(key)) is not None:
        return _Known(*found)
    indexed = _indexed(dataset)
    table = _listed(settings, dataset) if indexed is None else indexed
    if table is None:
        return _Known(0, None, None)
    from darkroom import partition

    _check_two_classes(settings, dataset, sorted(table["label"].dropna().unique()))

    def tried() -> _Known:
        labels = sorted(table["label"].dropna().unique())
        parts = partition.check(table, cfg=cfg, dataset=dataset)
        return _Known(len(table), labels, {fold: sorted(found) for fold, found in parts.items()})

    try:
        known = tried()
    except UserError:
        # The manifest may be older than the images or the layout's settings: what is
        # there now decides. Where it cannot be listed, the split itself will refuse.
        if indexed is None:
            raise
        table = _listed(settings, dataset)
        return _Known(0, None, None) if table is None else tried()
    if key is not None:
        remembered.keep(key, list(known))
    return known


def _by_index(dataset: str, *of: Any) -> str | None:
    """Key of a fact on the last index, and what else it was found from; None where there is no index."""
    try:
        told = (Path("results") / dataset / "manifest.parquet").stat()
    except OSError:
        return None
    return remembered.key(*of, dataset, told.st_size, told.st_mtime_ns)


def _check_classifier(name: str, classifier: Classifier) -> None:
    """Refuse names of settings that the classifier does not have, in its `tune` too."""
    from darkroom.classify.fitting import check_settings

    plain = classifier.model_dump(exclude={"tune"})
    check_settings(name, plain)
    for path, value in classifier.tune.samples() if classifier.tune else []:
        check_settings(name, override(plain, {path: value}))


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
    """Refuse what two classes alone can have: a threshold, a sigmoid."""
    chosen = settings.datasets[dataset].classes
    sigmoid = [n for n in settings.models_of(dataset) if settings.models[n].head == "sigmoid"]
    threshold = settings.datasets[dataset].threshold
    if not sigmoid and threshold == 0.5:
        return
    if chosen is not None:
        classes = list(chosen)
    elif labels is not None:
        classes = labels
    else:
        return
    if len(classes) == 2:
        return
    told = f"{len(classes)} ({', '.join(classes[:5])}{', …' if len(classes) > 5 else ''})"
    if threshold != 0.5:
        raise UserError(
            f"datasets.{dataset}.threshold: a threshold is for two classes, and there are {told}: "
            "choose two of them by classes, or leave it out"
        )
    raise UserError(
        f"models.{sigmoid[0]}.head: a sigmoid unit tells two classes, and {dataset} has {told}: "
        "set head: softmax or auto"
    )


def within_limit(settings: Settings, dataset: str) -> bool:
    """Whether the last index has no more unusable files than are allowed; True where there is none."""
    # Arrow takes a good part of a run with nothing to do: what was counted is remembered.
    key = _by_index(dataset, "unusable")
    if key is None:
        return True
    counted = remembered.recall(key)
    if counted is None:
        import pyarrow.parquet as parquet

        with parquet.ParquetFile(Path("results") / dataset / "manifest.parquet") as file:
            status = file.read(columns=["status"])["status"]
        counted = [sum(part.to_pylist().count("unusable") for part in status.chunks), len(status)]
        remembered.keep(key, counted)
    unusable, rows = counted
    return bool(unusable <= settings.datasets[dataset].max_unusable * rows)


def _indexed(dataset: str) -> Any:
    """The usable rows of the last index, a DataFrame; None where there is none yet."""
    manifest = Path("results") / dataset / "manifest.parquet"
    if not manifest.exists():
        return None
    import pyarrow.parquet as parquet

    columns = ["path", "label", "group", "split", "sha256", "status", "row"]
    table = parquet.read_table(manifest, columns=columns).to_pandas()
    return table[table["status"] != "unusable"].reset_index(drop=True)


def _listed(settings: Settings, dataset: str) -> Any:
    """The rows that the file names tell: a DataFrame of path, label, group, split.

    None where only a download would tell, or where the file names alone do not.
    """
    paths = download.listing(settings.datasets[dataset].source)
    if not paths:
        return None
    import pandas

    from darkroom.index import layout

    cfg = settings.stage("index", {"dataset": dataset})
    root = Path(settings.datasets[dataset].source).expanduser()

    def open_text(path: str) -> bytes:
        return (root / path).read_bytes()

    try:
        found = layout.recognise(paths, cfg["layout"], group=cfg["group"], open_text=open_text)
    except (FileNotFoundError, NotADirectoryError):  # a table in an archive: the index reads it
        return None
    columns = {name: getattr(found, name) for name in ("path", "label", "group", "split")}
    return pandas.DataFrame(
        {name: [v and printable(v) for v in values] for name, values in columns.items()}
    )


def _forecast(settings: Settings, dataset: str, rows: int, say: Callable[[str], Any]) -> None:
    from darkroom.classify.fitting import forecast

    augment = settings.datasets[dataset].augment
    split = settings.datasets[dataset].split
    share = 1 - (1 / split.folds if split.folds else split.test)
    training = int(rows * share * (1 - split.validation))
    for variant in augment.variants:
        training += int(rows * share) * getattr(variant.spec, "copies", 1)
    for name in settings.classifiers_of(dataset):
        classifier = settings.classifiers[name]
        told = forecast(
            classifier.kind,
            training,
            WIDTH,
            classifier.max_rows,
            classifier.memory_mb,
        )
        if told.message:
            say(f"classifiers.{name} on {dataset}: {told.message}")
