"""What a job needs: memory, time and disk, from the size of the data and the settings.

Rules hand it to Snakemake as `mem_mb`, `runtime` and `disk_mb`; a cluster's scheduler reserves
so much and ends a job that takes more, so a second attempt asks for twice as much, and a third
and all after it for four times.
Resources are no settings: another forecast reruns nothing.

Called when a job is ready, so the size of the data is known by then from `source.json`. Before
that it is the listing of a folder or archive, or an assumption. Nothing slow is imported.

The rates were measured on the cores of an Intel Xeon (Sapphire Rapids) and are of the right
order elsewhere; `runtime` has room for a machine of a fifth of the speed.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from darkroom import ROOT
from darkroom.config import Classifier, FineTune, Model, Settings, drawn
from darkroom.errors import UserError
from darkroom.machine.commands import said
from darkroom.predict import unseen
from darkroom.sources import download
from darkroom.workflow import remembered, threads
from darkroom.workflow.threads import Work

MB = 1e6  # Snakemake and Slurm count so, or by 2^20, which is more

# Beside a job's own memory: the two Snakemake processes that a cluster's job starts it from.
AROUND_MB = 400
# A job may take so many times its forecast; and what is always there: a slow start from a
# network file system, for one.
MEMORY_MARGIN, TIME_MARGIN, LEAST_MINUTES = 1.25, 5.0, 10
# Attempts that each ask for twice as much: more would soon ask for more than any node has.
GROWING = 3
# Of a data set that nothing is known of yet.
ASSUMED_FILES, FILE_BYTES = 20_000, 100_000

# Interpreter and packages, in MB: of images and tables; of scikit-learn; of TensorFlow; more with a card.
PLAIN_MB, CLASSIC_MB, NETWORK_MB, CARD_MB = 250.0, 350.0, 1100.0, 3000.0
# Seconds of a job that come whatever the data: of images and tables; of scikit-learn; of a network
# that runs; of one that trains; of the report. Between the fixed CPU seconds of benchmarks/scale.py
# (0.5, 2, 8, 10, 5) and the jobs of the digits (0.7, 2.3, 4.5, 7, 5). LEAST_MINUTES are for slow discs.
START, CLASSIC_START, RUNNING_START, TRAINING_START, REPORT_START = 1.0, 2.5, 6.0, 8.0, 5.0
# What a core does in a second in float32 on TensorFlow: multiplications, and values that layers put
# out. By the CPU seconds of a forward pass, one thread, of MobileNet (alpha 0.25 and 1), MobileNetV3Small,
# EfficientNetB0, DenseNet121, ResNet50 and VGG16 at 224 pixels and of the networks of nine presets:
# this tells each within a third. A step of these presets took 3 to 5 passes; and an empty one 1 ms.
CORE, VALUES, STEP = 1.2e11, 3e9, 0.002
# How many times longer other backends take on a processor (benchmarks/README.md, "Backends": mean of two networks).
SLOWER = {"tensorflow": 1.0, "jax": 6.0, "torch": 3.5}
# A card's multiplications a second: an H200 reached 1.2e13 and more (the same table, cifar10_cnn in
# bfloat16, three passes a step); a quarter of it, since older cards, float32 and TensorFlow were not measured.
CARD = 3e12
# A backbone that cannot be asked is taken for ResNet50, at 224 pixels.
UNKNOWN_BACKBONE = Work(4e9, 4e7, 2.5e7)
FETCHED = 5e6  # bytes a second from the network: assumed
MAPS = (
    4  # of the largest maps of a batch, held at once: VGG16 held 2.8, ResNet50 3.9, DenseNet121 4.2
)
TABLE_MB = (
    1.2e-3  # of a file's line in the manifest while it is made, or split (benchmarks/scale.py)
)
CLASSES = 10  # where neither the settings nor the split say


class Size(NamedTuple):
    """Files and bytes of a data set, and what they are known from."""

    files: int
    bytes: int
    known: Literal["download", "listing", "assumed"]


class Need(NamedTuple):
    """What a job takes, as far as can be told before: no margin is in it.

    Attributes
    ----------
    memory : MB (10^6 bytes) at its largest. seconds : wall time. disk : MB that it writes.
    """

    memory: float
    seconds: float
    disk: float


# ---------------------------------------------------------------- the size of the data


def size(settings: Settings, dataset: str) -> Size:
    """Files and bytes of a data set.

    From `data/{dataset}/source.json` where it is downloaded; else from the listing of a local
    folder or archive; else assumed.
    """
    told = f"data/{dataset}/source.json"
    try:
        return _downloaded(told, os.stat(told).st_mtime_ns)  # noqa: PTH116 (asked for each job)
    except (OSError, ValueError, KeyError, TypeError):
        return _listed(settings.datasets[dataset].source)


@lru_cache(maxsize=1024)
def _downloaded(path: str, changed: int) -> Size:
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    return Size(int(found["files"]), int(found["bytes"]), "download")


@lru_cache(maxsize=1024)
def _listed(source: str) -> Size:
    if source == "bundled:digits":
        return Size(1797, 700_000, "listing")
    try:
        paths = download.listing(source)
        archive = download.local_input(source)
    except (UserError, OSError):
        return Size(ASSUMED_FILES, ASSUMED_FILES * FILE_BYTES, "assumed")
    files = len(paths) if paths else ASSUMED_FILES
    held = Path(archive).stat().st_size if archive else files * FILE_BYTES
    return Size(files, held, "listing" if paths else "assumed")


class _Data:
    """The numbers of a data set that several stages are reckoned from."""

    def __init__(self, settings: Settings, dataset: str) -> None:
        self.settings, self.dataset = settings, dataset
        given = settings.datasets[dataset]
        self.files, self.bytes, _ = size(settings, dataset)
        self.copies = sum(getattr(v.spec, "copies", 1) for v in given.augment.variants)
        self.rows = self.files * (1 + self.copies)
        split = given.split
        self.held_out = 1 / split.folds if split.folds else split.test
        training = 1 - self.held_out
        self.training = int(self.files * training * (1 + self.copies))
        self.evaluated = int(self.files * (self.held_out + training * split.validation)) + 1

    @cached_property
    def classes(self) -> int:
        """As chosen in the settings, or as the split found them."""
        chosen = self.settings.datasets[self.dataset].classes
        if chosen:
            return len(chosen)
        try:
            told = Path("results", self.dataset, "class_indices.json").read_text(encoding="utf-8")
            return len(json.loads(told))
        except (OSError, ValueError, TypeError):
            return CLASSES

    def share(self, shards: int) -> None:
        """Have the files of one of several shards only."""
        self.files, self.bytes = -(-self.files // shards), -(-self.bytes // shards)

    def shape(self, user: str) -> tuple[int, int, int]:
        """(height, width, channels) of a model's or a feature set's images."""
        return self.settings.view_of(self.dataset, user).shape

    def width(self, features: str) -> int:
        """Values of a row of a feature set: of a run (`cnn-seed0`) or one by itself."""
        settings = self.settings
        name = features.rsplit("-seed", 1)[0]
        model = settings.models.get(name)
        if model is not None:
            shape = self.shape(name)
            if model.backbone is not None:
                shape = threads.embedding(shape, settings.features[model.backbone].pool)
            width = math.prod(shape)
            for layer, work in zip(model.layers, threads.walk(model.layers, shape), strict=True):
                width = int(work.values)
                if model.features is not None and layer.name == model.features:
                    break
            return width
        kind, shape = settings.features[features].kind, self.shape(features)
        if kind == "pixels":
            return math.prod(shape)
        if kind == "hog":
            cell = max(1, min(8, *(side // 4 for side in shape[:2])))
            return 36 * math.prod(side // cell - 1 for side in shape[:2])
        return math.prod(threads.embedding(shape, settings.features[features].pool))


# ---------------------------------------------------------------- networks

# In a process of its own: what reads the Snakefile imports no Keras. It takes some seconds, once.
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from darkroom.train import backbones, models
from darkroom.machine import cards
cards.take(0)
models.backend(1, sys.argv[2])
print(json.dumps(backbones.work(*json.loads(sys.argv[3]))))
"""


def backbone(settings: Settings, name: str, shape: tuple[int, int, int]) -> dict[str, Work]:
    """What each layer of a pretrained network takes of an image, by the layer's name.

    Parameters
    ----------
    name : of its feature set. shape : (height, width, channels) of an image.
    """
    given = settings.features[name]
    return _asked(settings.backend, json.dumps([given.application, given.settings, shape]))


@lru_cache(maxsize=64)
def _asked(backend: str, asked: str) -> dict[str, Work]:
    key = remembered.key("backbone", asked)
    found = remembered.recall(key)
    if found is None:
        answer = said(sys.executable, "-c", ASK, str(ROOT), backend, asked, timeout=120)
        if not answer:  # no Keras here, or none such: the job itself says so
            height, width, _ = json.loads(asked)[2]
            area = height * width / 224**2
            m, v, w = UNKNOWN_BACKBONE
            return {"": Work(m * area, v * area, w)}
        found = json.loads(answer.splitlines()[-1])
        remembered.keep(key, found)
    return {layer: Work(*work) for layer, *work in found}


def _tuned(layers: Mapping[str, Work], asked: FineTune) -> Work:
    """Of the layers of a backbone that train in its fine-tuning."""
    from darkroom.train import backbones  # only where there is one

    try:
        first = backbones.first_trained(list(layers), asked.model_dump())
    except UserError:  # the training says so
        first = 0
    return _total(list(layers.values())[first:])


def _total(works: Iterable[Work]) -> Work:
    return Work(*map(sum, zip(Work(0, 0, 0), *works, strict=True)))


def _seconds(work: Work, settings: Settings, cores: int, card: bool) -> float:
    """What an image takes."""
    if card:
        return work.multiplications / CARD
    on_a_core = work.multiplications / CORE + work.values / VALUES
    return on_a_core * SLOWER[settings.backend] / cores


def _maps(layers: Iterable[Work], batch: int) -> float:
    """MB of a batch's maps on their way through layers that do not train: a few of the largest."""
    return 4 * MAPS * max(layer.values for layer in layers) * batch / MB


# ---------------------------------------------------------------- stages

Stage = Callable[[_Data, Mapping[str, str], int, bool], Need]


def _download(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    """A folder is looked through, a local archive unpacked, anything else fetched first."""
    try:
        what = download.kind(data.settings.datasets[data.dataset].source)
    except UserError:  # the check of the settings says so
        what = ""
    if what == "folder":
        return Need(PLAIN_MB, START + data.files * 2e-5, 1)
    unpacked = START + data.bytes / 1e8 + data.files * 1e-3
    if what in ("archive", "bundled"):
        return Need(PLAIN_MB, unpacked, data.bytes / MB)
    return Need(PLAIN_MB, unpacked + data.bytes / FETCHED, 2 * data.bytes / MB)


def _index(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    reading = data.files * 3e-4 + data.bytes / 1e7
    return Need(
        PLAIN_MB + 100 * cores + data.files * TABLE_MB, START + reading / cores, data.files * 3e-4
    )


def _listing(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    return Need(PLAIN_MB + data.files * TABLE_MB, START + data.files * 1e-4, data.files * 1e-4)


def _join(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    """The columns of all shards at once; pixels stay where they are."""
    return Need(PLAIN_MB + data.files * TABLE_MB, START + data.files * 2e-5, data.files * 3e-4)


def _a_shard(of: Stage) -> Stage:
    """A stage on one of the shards of a data set, and on the listing or manifest of all."""

    def asked_of(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
        every = data.files
        data.share(data.settings.datasets[data.dataset].shards)
        own = of(data, asked, cores, card)
        return own._replace(memory=own.memory + (every - data.files) * 3e-4)

    return asked_of


def _tables(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    """Checks and splits: the manifest as a table in memory."""
    return Need(PLAIN_MB + data.files * TABLE_MB, START + data.files * 2e-5, data.files * 1e-4)


def _prepare(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    views = data.settings.views_of(data.dataset)
    view = views[asked["view"]] if asked["view"] in views else next(iter(views.values()))
    one = math.prod(view.shape)
    reading = data.files * 1e-4 + data.bytes / 1e7 + data.files * one / 1e8
    return Need(
        PLAIN_MB + 120 * cores + data.files * 5e-4, START + reading / cores, data.files * one / MB
    )


def _augment(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    need = _prepare(data, asked, cores, card)
    each = 5e-5 + need.disk / max(1, data.files) * 5e-3  # 0.8 ms of 224 × 224 pixels
    return Need(
        need.memory, START + data.files * data.copies * each / cores, need.disk * data.copies
    )


def _most(needs: Iterable[Need]) -> Need:
    return Need(*map(max, zip(*needs, strict=True)))


def _train(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    """By the settings, or by those of its search that take most: a trial may draw them, and be the best."""
    model = data.settings.models[asked["model"]]
    epochs = model.tune.epochs if model.tune is not None and asked.get("n") is not None else None
    return _most(_train_as(given, epochs, data, asked, cores, card) for given in drawn(model))


def _train_as(
    model: Model, epochs: int | None, data: _Data, asked: Mapping[str, str], cores: int, card: bool
) -> Need:
    settings, shape, rows = data.settings, data.shape(asked["model"]), data.training
    memory, disk, one = NETWORK_MB + card * CARD_MB, 1.0, float(math.prod(shape))
    body = tuned = Work(0, 0, 0)
    if model.backbone is not None:
        layers = backbone(settings, model.backbone, shape)
        body = _total(layers.values())
        disk += 4 * body.weights / MB
        shape = threads.embedding(shape, settings.features[model.backbone].pool)
        if model.fine_tune is not None:
            tuned = _tuned(layers, model.fine_tune)
        if model.fine_tune is not None or model.augment.changes:
            memory += _maps(layers.values(), model.batch) + 2 * 4 * body.weights / MB
        else:
            one = 4.0 * math.prod(shape)
    top = _total(threads.walk(model.layers, shape))

    def took(epochs: int, *works: Work) -> float:
        each = _seconds(_total(works), settings, cores, card)
        return epochs * (rows * each + -(-rows // model.batch) * STEP)

    # Backward takes twice as much as forward, of what learns.
    forward = [body] if model.augment.changes else []
    seconds = took(model.epochs, *forward, top, top, top)
    if epochs is not None:
        seconds *= epochs / model.epochs
    if model.fine_tune is not None:
        seconds += took(model.fine_tune.epochs, body, tuned, tuned, top, top, top)
    # Forward, gradient and what the library holds beside them; weights, gradient, moments, a copy of the best.
    learned = _total([top, tuned])
    memory += 3 * 4 * learned.values * model.batch / MB + 6 * 4 * learned.weights / MB
    memory += min(model.memory_mb, 1.1 * rows * one / MB) + rows * 3e-4
    return Need(memory, TRAINING_START + seconds, disk + 4 * 4 * top.weights / MB)


def _features(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    settings, model = data.settings, data.settings.models[asked["model"]]
    shape = data.shape(asked["model"])
    memory, works = NETWORK_MB + card * CARD_MB, list[Work]()
    if model.backbone is not None:
        if model.fine_tune is not None:  # else it does not run again
            works += backbone(settings, model.backbone, shape).values()
            memory += _maps(works, model.batch)
        shape = threads.embedding(shape, settings.features[model.backbone].pool)
    top = list(threads.walk(model.layers, shape))
    memory += 2 * 4 * _total(top).values * model.batch / MB
    seconds = data.rows * (_seconds(_total(works + top), settings, cores, card) + 2e-5)
    width = data.width(asked["model"])
    return Need(memory + data.rows * 4e-4, RUNNING_START + seconds, data.rows * width * 4 / MB)


def _embed(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    settings, name = data.settings, asked["features"]
    layers = backbone(settings, name, data.shape(name)).values()
    each = _seconds(_total(layers), settings, cores, card) + 2e-5
    memory = NETWORK_MB + card * CARD_MB + _maps(layers, settings.features[name].batch)
    return Need(
        memory + 4 * _total(layers).weights / MB + data.rows * 1e-4,
        RUNNING_START + data.rows * each,
        data.rows * data.width(name) * 4 / MB,
    )


def _weights(settings: Settings, name: str) -> Need:
    """Fetched, and tried in the network that they are of."""
    shape = tuple(settings.stage("weights", {"features": name})["shape"])
    size = 4 * _total(backbone(settings, name, shape).values()).weights
    return Need(NETWORK_MB + 2 * size / MB, RUNNING_START + size / FETCHED, 2 * size / MB)


def _describe(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    values = data.rows * data.width(asked["features"])
    return Need(
        CLASSIC_MB + data.rows * 1e-4, 5 + values * 2e-7 + data.rows * 1e-4, values * 4 / MB
    )


def _fit(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    classifier = data.settings.classifiers[asked["classifier"]]
    return _most(_fit_as(given, data, asked, cores) for given in drawn(classifier))


def _fit_as(given: Classifier, data: _Data, asked: Mapping[str, str], cores: int) -> Need:
    # only where a fit is to be run
    from darkroom.classify.fitting import forecast, rows_that_fit, work

    rows, width = data.training, data.width(asked["features"])
    used = min(rows, given.max_rows or rows, rows_that_fit(width, given.memory_mb))
    if given.kind == "svm":
        fit = forecast("svm", used, width).seconds or 0.0
    else:
        few = max(1, min(used, 50_000))
        fit = work(given.kind, given.settings, few) * used / few
    held = used * width * 8 / MB  # in float64: scaled, and in the folds of the calibration
    memory = CLASSIC_MB + data.files * TABLE_MB + (4 if given.kind == "svm" else 3) * held
    if given.kind == "svm":
        memory += 250 * cores  # libsvm's cache of each pair
    if given.kind == "random_forest":
        trees = given.settings.get("n_estimators")
        leaf = 80 + 8 * data.classes
        memory += (trees if isinstance(trees, int) else 300) * used * 0.6 * leaf / MB
    predicted = data.files * width * 1e-8
    return Need(
        memory, CLASSIC_START + fit / max(1, min(cores, 4)) + predicted, 10 + used * width * 8 / MB
    )


def _choose(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    return Need(PLAIN_MB, CLASSIC_START, 1)


def _runs(data: _Data) -> int:
    settings, name = data.settings, data.dataset
    return max(1, len(settings.folds_of(name)) * len(settings.predictors_of(name)))


def _evaluate(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    one = data.evaluated * (data.classes * 8 + 100) / MB
    runs = _runs(data)
    resampled = data.settings.evaluate.bootstrap * data.evaluated * data.classes * 2e-9
    return Need(
        CLASSIC_MB + data.files * 1e-3 + 2 * runs * one,
        CLASSIC_START + runs * (0.05 + resampled),
        one * runs,
    )


def _report(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    runs = _runs(data)
    table = data.evaluated * (data.classes * 8 + 200) * runs / MB
    return Need(
        2 * CLASSIC_MB + data.files * 2e-3 + 2 * table,
        REPORT_START + runs * 0.1 + table / 20 + data.files * 5e-5,
        20,
    )


def _predict(data: _Data, asked: Mapping[str, str], cores: int, card: bool) -> Need:
    """By any backbone where there is one: which model is the best is not known yet."""
    settings = data.settings
    pictures = _pictures(settings.predict[asked["name"]].source)
    once = UNKNOWN_BACKBONE if settings.backbones_of(data.dataset) else Work(1e8, 1e6, 0)
    each = FILE_BYTES / 1e7 / cores + _seconds(once, settings, cores, card)
    return Need(
        NETWORK_MB + CLASSIC_MB + 2500 + card * CARD_MB + pictures * TABLE_MB,
        600 + pictures * each,
        50 + pictures * 3e-4,
    )


@lru_cache(maxsize=16)
def _pictures(source: str) -> int:
    try:
        return len(unseen.find(source).paths)
    except UserError:  # the job itself says so
        return 0


STAGES: dict[str, Stage] = {
    "download_source": _download,
    "index_files": _index,
    "list_files": _listing,
    "index_shard": _a_shard(_index),
    "join_index": _join,
    "check_files": _tables,
    "split_rows": _tables,
    "prepare_images": _prepare,
    "prepare_shard": _a_shard(_prepare),
    "join_images": _join,
    "augment_images": _augment,
    "embed_images": _embed,
    "try_model": _train,
    "try_classifier": _fit,
    "choose_setting": _choose,
    "choose_classifier_setting": _choose,
    "train_model": _train,
    "extract_features": _features,
    "describe_images": _describe,
    "fit_classifier": _fit,
    "evaluate_dataset": _evaluate,
    "write_report": _report,
    "predict_images": _predict,
}


def need(
    settings: Settings, rule: str, wildcards: Mapping[str, str], cores: int = 1, card: bool = False
) -> Need:
    """Forecast of one job.

    Parameters
    ----------
    rule : its name. wildcards : of its output, e.g. `dataset`, `model`, `view`.
    cores : that it runs on. card : whether it runs a network on a GPU.

    Raises
    ------
    KeyError
        A rule that nothing is known of.
    """
    if rule == "download_weights":
        return _weights(settings, wildcards["features"])
    return STAGES[rule](_Data(settings, wildcards["dataset"]), wildcards, max(1, cores), card)


# ---------------------------------------------------------------- as Snakemake's resources


def mem_mb(need: Need, attempt: int = 1) -> int:
    """Memory to ask for, in MB: with room, in whole hundreds, doubled with an attempt."""
    return math.ceil((need.memory * MEMORY_MARGIN + AROUND_MB) / 100) * 100 * _times(attempt)


def runtime(need: Need, attempt: int = 1) -> int:
    """Time to ask for, in minutes: with room, doubled with an attempt."""
    minutes = LEAST_MINUTES + math.ceil(need.seconds * TIME_MARGIN / 60)
    return minutes * _times(attempt)


def disk_mb(need: Need, attempt: int = 1) -> int:
    """Room for what a job writes, in MB, twice: beside its place and in it; doubled with an attempt."""
    return (math.ceil(need.disk * 2) + 1000) * _times(attempt)


def _times(attempt: int) -> int:
    return 1 << min(attempt, GROWING) - 1


def shards_that_pay(settings: Settings, dataset: str) -> tuple[int, float] | None:
    """Shards of about a quarter of an hour each, where one job indexes or prepares for hours.

    Returns
    -------
    How many, and the seconds that one job takes; None where shards gain little or are set.
    """
    if settings.datasets[dataset].shards > 1:
        return None
    data = _Data(settings, dataset)
    views = settings.views_of(dataset)
    told = [_index(data, {}, settings.threads, False)]
    told += [_prepare(data, {"view": view}, settings.threads, False) for view in views]
    longest = max(need.seconds for need in told)
    return (min(500, math.ceil(longest / 900)), longest) if longest > 7200 else None


def small(settings: Settings) -> bool:
    """Whether tables and reports of all data sets in `run` are work for the submitting host.

    A few seconds and little memory: less than a cluster takes to start a job. Not of a data set
    whose size is still to be found out.
    """
    for dataset in settings.run.datasets:
        if size(settings, dataset).known == "assumed":
            return False
        data = _Data(settings, dataset)
        for stage in (_tables, _evaluate, _report):
            told = stage(data, {}, 1, False)
            if told.seconds > 60 or told.memory > 2000:
                return False
    return True


def resources(settings: Settings, gpus: int) -> dict[str, Callable[..., int]]:
    """Resources of any rule, by name: functions that Snakemake calls when a job is ready.

    Parameters
    ----------
    gpus : cards of a job that runs a network.
    """

    def of(ask: Callable[[Need, int], int]) -> Callable[..., int]:
        def asked(wildcards: Any, threads: int, attempt: int, rulename: str) -> int:
            return ask(told(rulename, tuple(wildcards.items()), threads), attempt)

        # Snakemake asks for the parameters at each call; thousands of jobs make many.
        asked.__signature__ = inspect.signature(asked)  # type: ignore[attr-defined]
        return asked

    @lru_cache(maxsize=1)  # one job is asked for each of its resources in turn
    def told(rule: str, wildcards: tuple[tuple[str, str], ...], cores: int) -> Need:
        return need(settings, rule, dict(wildcards), cores, gpus > 0)

    return {ask.__name__: of(ask) for ask in (mem_mb, runtime, disk_mb)}
