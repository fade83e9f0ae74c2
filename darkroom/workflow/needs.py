"""What the jobs of each stage need: memory, time and disk, from the size of the data and the settings.

The rates were measured on the cores of an Intel Xeon (Sapphire Rapids) and are of the right
order elsewhere. No margin is in them: `resources` adds it. Nothing slow is imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

from darkroom.classify import cost, kinds
from darkroom.config.classifier import Classifier
from darkroom.config.model import Model
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.config.tuning import drawn
from darkroom.errors import UserError
from darkroom.predict import unseen
from darkroom.sources.addresses import kind
from darkroom.workflow.arithmetic import (
    UNKNOWN_BACKBONE,
    Work,
    backbone,
    embedding,
    total,
    tuned_layers,
    walk,
)
from darkroom.workflow.size import FILE_BYTES, Data

MB = 1e6  # Snakemake and Slurm count so, or by 2^20, which is more

# Interpreter and packages, in MB: of images and tables; of scikit-learn, or ONNX Runtime; of TensorFlow;
# more with a GPU.
PLAIN_MB, CLASSIC_MB, NETWORK_MB, GPU_MB = 250.0, 350.0, 1100.0, 3000.0
# Seconds of a job that come whatever the data: of images and tables; of scikit-learn; of a network
# that runs by Keras; of one that trains; of the report. Between the fixed CPU seconds of benchmarks/scale.py
# (0.5, 2, 8, 10, 5) and the jobs of the digits (0.7, 2.3, 4.5, 7, 5). LEAST_MINUTES are for slow disks.
START, CLASSIC_START, RUNNING_START, TRAINING_START, REPORT_START = 1.0, 2.5, 6.0, 8.0, 5.0
# What a core does in a second in float32 on TensorFlow: multiplications, and values that layers put
# out. By the CPU seconds of a forward pass, one thread, of MobileNet (alpha 0.25 and 1), MobileNetV3Small,
# EfficientNetB0, DenseNet121, ResNet50 and VGG16 at 224 pixels and of the networks of nine presets:
# this tells each within a third. A step of these presets took 3 to 5 passes; and an empty one 1 ms.
CORE, VALUES, STEP = 1.2e11, 3e9, 0.002
# ONNX Runtime against TensorFlow: 3.5 of MobileNet, 1.6 of ResNet50 (benchmarks/README.md, "Inference").
INFERRED = 1.6
# How many times longer other backends take on a processor (benchmarks/README.md, "Backends": mean of two networks).
SLOWER = {"tensorflow": 1.0, "jax": 6.0, "torch": 3.5}
# A GPU's multiplications a second: an H200 reached 1.2e13 and more (the same table, cifar10_cnn in
# bfloat16, three passes a step); a quarter of it, since older GPUs, float32 and TensorFlow were not measured.
ON_GPU = 3e12
FETCHED = 5e6  # bytes a second from the network: assumed
MAPS = (
    4  # of the largest maps of a batch, held at once: VGG16 held 2.8, ResNet50 3.9, DenseNet121 4.2
)
THUMBNAIL_MB = 1.03e-3  # 32 × 32 gray pixels of a file
TABLE_MB = (
    1.2e-3  # of a file's line in the manifest while it is made, or split (benchmarks/scale.py)
)


class Need(NamedTuple):
    """What a job takes, as far as it can be known before, without a margin.

    Attributes
    ----------
    memory : MB (10^6 bytes) at its largest.
    seconds : wall time.
    disk : MB that it writes.
    """

    memory: float
    seconds: float
    disk: float


@dataclass
class Job:
    """A job that is to be forecast.

    Attributes
    ----------
    settings : of the run.
    wildcards : of its output, e.g. `dataset`, `model`, `view`.
    cores : that it runs on.
    gpu : whether it runs a network on a GPU.
    folder : of the run's data/ and results/.
    ask : ask Keras what a backbone is made of, which takes it some seconds; see `arithmetic.backbone`.
    """

    settings: Settings
    wildcards: Mapping[str, str]
    cores: int = 1
    gpu: bool = False
    folder: Path = Path()
    ask: bool = True

    def backbone(self, name: str, shape: tuple[int, int, int]) -> dict[str, Work]:
        """What each layer of a backbone takes, as `arithmetic.backbone` gives it."""
        return backbone(self.settings, name, shape, ask=self.ask)

    @cached_property
    def data(self) -> Data:
        """The data set that it works on."""
        return Data(self.settings, self.wildcards["dataset"], self.folder)


# ---------------------------------------------------------------- networks


def _seconds(work: Work, job: Job) -> float:
    """What an image takes."""
    if job.gpu:
        return work.multiplications / ON_GPU
    on_a_core = work.multiplications / CORE + work.values / VALUES
    return on_a_core * SLOWER[job.settings.backend] / job.cores


def _running(job: Job) -> tuple[float, float]:
    """MB and seconds that a job takes to run a network at all: by Keras on a GPU, else without it."""
    return (NETWORK_MB + GPU_MB, RUNNING_START) if job.gpu else (CLASSIC_MB, START)


def _inferred(work: Work, job: Job) -> float:
    """What an image takes where nothing learns."""
    if job.gpu:
        return _seconds(work, job)
    return (work.multiplications / CORE + work.values / VALUES) / INFERRED / job.cores


def _maps(layers: Iterable[Work], batch: int) -> float:
    """MB of a batch's maps on their way through layers that do not train: a few of the largest."""
    return 4 * MAPS * max(layer.values for layer in layers) * batch / MB


# ---------------------------------------------------------------- stages


def download(job: Job) -> Need:
    """A folder is looked through, a local archive unpacked, anything else fetched first."""
    data = job.data
    try:
        what = kind(job.settings.datasets[data.dataset].source)
    except UserError:  # the check of the settings says so
        what = ""
    if what == "folder":
        return Need(PLAIN_MB, START + data.files * 2e-5, 1)
    unpacked = START + data.bytes / 1e8 + data.files * 1e-3
    if what in ("archive", "bundled"):
        return Need(PLAIN_MB, unpacked, data.bytes / MB)
    return Need(PLAIN_MB, unpacked + data.bytes / FETCHED, 2 * data.bytes / MB)


def index(job: Job) -> Need:
    """Every file is read, checked and hashed."""
    data = job.data
    reading = data.files * 3e-4 + data.bytes / 1e7
    return Need(
        PLAIN_MB + 100 * job.cores + data.files * (TABLE_MB + THUMBNAIL_MB),
        START + reading / job.cores,
        data.files * (3e-4 + THUMBNAIL_MB),
    )


def listing(job: Job) -> Need:
    """The names of all files, without opening one."""
    data = job.data
    return Need(PLAIN_MB + data.files * TABLE_MB, START + data.files * 1e-4, data.files * 1e-4)


def join(job: Job) -> Need:
    """The columns of all shards at once; pixels stay where they are."""
    data = job.data
    return Need(PLAIN_MB + data.files * TABLE_MB, START + data.files * 2e-5, data.files * 3e-4)


def join_index(job: Job) -> Need:
    """The columns of all shards, and their thumbnails."""
    need, more = join(job), job.data.files * THUMBNAIL_MB
    return need._replace(memory=need.memory + more, disk=need.disk + more)


def copies(job: Job) -> Need:
    """Every image is compared with every other, and some pairs by their pixels."""
    data = job.data
    n = data.files
    return Need(
        CLASSIC_MB + 100 * job.cores + n * (TABLE_MB + 3 * THUMBNAIL_MB),
        CLASSIC_START + (n * 5e-4 + n * n * 1e-8) / job.cores,
        n * 2e-4,
    )


def of_a_shard(of: Callable[[Job], Need]) -> Callable[[Job], Need]:
    """A stage on one of the shards of a data set, and on the listing or manifest of all."""

    def need(job: Job) -> Need:
        data = job.data
        every = data.files
        data.share(job.settings.datasets[data.dataset].shards)
        own = of(job)
        return own._replace(memory=own.memory + (every - data.files) * 3e-4)

    return need


def tables(job: Job) -> Need:
    """Checks and splits: the manifest as a table in memory."""
    data = job.data
    return Need(PLAIN_MB + data.files * TABLE_MB, START + data.files * 2e-5, data.files * 1e-4)


def prepare(job: Job) -> Need:
    """Every usable image is decoded and resized to one view."""
    data = job.data
    views = job.settings.views_of(data.dataset)
    view = (
        views[job.wildcards["view"]]
        if job.wildcards["view"] in views
        else next(iter(views.values()))
    )
    one = math.prod(view.shape)
    reading = data.files * 1e-4 + data.bytes / 1e7 + data.files * one / 1e8
    return Need(
        PLAIN_MB + 120 * job.cores + data.files * 5e-4,
        START + reading / job.cores,
        data.files * one / MB,
    )


def augment(job: Job) -> Need:
    """The variants of every prepared image."""
    data = job.data
    need = prepare(job)
    each = 5e-5 + need.disk / max(1, data.files) * 5e-3  # 0.8 ms of 224 × 224 pixels
    return Need(
        need.memory, START + data.files * data.copies * each / job.cores, need.disk * data.copies
    )


def _most(needs: Iterable[Need]) -> Need:
    return Need(*map(max, zip(*needs, strict=True)))


def train(job: Job) -> Need:
    """By the settings, or by those of its search that take most: a trial may draw them, and be the best."""
    model = job.settings.models[job.wildcards["model"]]
    epochs = (
        model.tune.epochs if model.tune is not None and job.wildcards.get("n") is not None else None
    )
    return _most(_train_as(given, epochs, job) for given in drawn(model))


def _train_as(model: Model, epochs: int | None, job: Job) -> Need:
    data = job.data
    settings, shape, rows = job.settings, data.shape(job.wildcards["model"]), data.training
    memory, disk, one = NETWORK_MB + job.gpu * GPU_MB, 1.0, float(math.prod(shape))
    body = tuned = Work(0, 0, 0)
    if model.backbone is not None:
        layers = job.backbone(model.backbone, shape)
        body = total(layers.values())
        disk += 4 * body.weights / MB
        shape = embedding(shape, settings.features[model.backbone].pool)
        if model.fine_tune is not None:
            tuned = tuned_layers(layers, model.fine_tune)
        if model.fine_tune is not None or model.augment.changes:
            memory += _maps(layers.values(), model.batch) + 2 * 4 * body.weights / MB
        else:
            one = 4.0 * math.prod(shape)
    top = total(walk(model.layers, shape))

    def took(epochs: int, *works: Work) -> float:
        each = _seconds(total(works), job)
        return epochs * (rows * each + -(-rows // model.batch) * STEP)

    # Backward takes twice as much as forward, of what learns.
    forward = [body] if model.augment.changes else []
    seconds = took(model.epochs, *forward, top, top, top)
    if epochs is not None:
        seconds *= epochs / model.epochs
    if model.fine_tune is not None:
        seconds += took(model.fine_tune.epochs, body, tuned, tuned, top, top, top)
    # Forward, gradient and what the library holds beside them; weights, gradient, moments, a copy of the best.
    learned = total([top, tuned])
    memory += 3 * 4 * learned.values * model.batch / MB + 6 * 4 * learned.weights / MB
    memory += min(model.memory_mb, 1.1 * rows * one / MB) + rows * 3e-4
    return Need(memory, TRAINING_START + seconds, disk + 4 * 4 * top.weights / MB)


def features(job: Job) -> Need:
    """One pass of a trained network over all rows."""
    data = job.data
    settings, model = job.settings, job.settings.models[job.wildcards["model"]]
    shape = data.shape(job.wildcards["model"])
    (memory, start), works = _running(job), list[Work]()
    if model.backbone is not None:
        if model.fine_tune is not None:  # else it does not run again
            works += job.backbone(model.backbone, shape).values()
            memory += _maps(works, model.batch)
        shape = embedding(shape, settings.features[model.backbone].pool)
    top = list(walk(model.layers, shape))
    memory += 2 * 4 * total(top).values * model.batch / MB
    seconds = data.rows * (_inferred(total(works + top), job) + 2e-5)
    width = data.width(job.wildcards["model"])
    return Need(memory + data.rows * 4e-4, start + seconds, data.rows * width * 4 / MB)


def embed(job: Job) -> Need:
    """One pass of a pretrained backbone over all rows."""
    data = job.data
    settings, name = job.settings, job.wildcards["features"]
    layers = job.backbone(name, data.shape(name)).values()
    each = _inferred(total(layers), job) + 2e-5
    memory, start = _running(job)
    memory += _maps(layers, settings.features[name].batch)
    return Need(
        memory + 4 * total(layers).weights / MB + data.rows * 1e-4,
        start + data.rows * each,
        data.rows * data.width(name) * 4 / MB,
    )


def weights(job: Job) -> Need:
    """Fetched, and tried in the network that they are of."""
    name = job.wildcards["features"]
    shape = tuple(stage_settings(job.settings, "download_weights", {"features": name})["shape"])
    size = 4 * total(job.backbone(name, shape).values()).weights
    return Need(NETWORK_MB + 2 * size / MB, RUNNING_START + size / FETCHED, 2 * size / MB)


def describe(job: Job) -> Need:
    """Pixels or HOG of all rows."""
    data = job.data
    values = data.rows * data.width(job.wildcards["features"])
    return Need(
        CLASSIC_MB + data.rows * 1e-4, 5 + values * 2e-7 + data.rows * 1e-4, values * 4 / MB
    )


def fit(job: Job) -> Need:
    """The largest fit that the classifier's search may draw."""
    classifier = job.settings.classifiers[job.wildcards["classifier"]]
    return _most(_fit_as(given, job) for given in drawn(classifier))


def _fit_as(given: Classifier, job: Job) -> Need:
    data = job.data
    rows, width = data.training, data.width(job.wildcards["features"])
    used = min(rows, given.max_rows or rows, cost.rows_that_fit(width, given.memory_mb))
    if given.kind == "svm":
        fit = cost.forecast("svm", used, width).seconds or 0.0
    else:
        few = max(1, min(used, 50_000))
        fit = cost.work(given.kind, given.settings, few) * used / few
    held = used * width * 8 / MB  # in float64: scaled, and in the folds of the calibration
    memory = CLASSIC_MB + data.files * TABLE_MB + (4 if given.kind == "svm" else 3) * held
    if given.kind == "svm":
        memory += 250 * job.cores  # libsvm's cache of each pair
    if given.kind == "random_forest":
        leaf = 80 + 8 * data.classes
        memory += kinds.trees(given.settings) * used * 0.6 * leaf / MB
    predicted = data.files * width * 1e-8
    return Need(
        memory,
        CLASSIC_START + fit / max(1, min(job.cores, 4)) + predicted,
        10 + used * width * 8 / MB,
    )


def choose(job: Job) -> Need:
    """A few small files."""
    return Need(PLAIN_MB, CLASSIC_START, 1)


def _runs(job: Job) -> int:
    data = job.data
    settings, name = job.settings, data.dataset
    return max(1, len(settings.folds_of(name)) * len(settings.predictors_of(name)))


def evaluate(job: Job) -> Need:
    """The predictions of all runs; of each run's rows a few numbers are kept."""
    data = job.data
    one = data.evaluated * (data.classes * 8 + 100) / MB
    runs = _runs(job)
    ranked = data.evaluated * (data.classes * 1e-6 + 4e-6)
    return Need(
        CLASSIC_MB + data.files * 1e-3 + 4 * one + runs * data.evaluated * 250 / MB,
        CLASSIC_START + runs * (0.1 + ranked),
        one * runs,
    )


def audit(job: Job) -> Need:
    """A sample of the rows, and a small forest for each check and fold."""
    data = job.data
    folds = len(job.settings.folds_of(job.wildcards["dataset"]))
    rows = min(4000 * folds, data.rows)  # `audit.sample.MOST` of two parts
    trees = 5 + folds * (1.0 + 0.02 * data.classes)
    return Need(CLASSIC_MB + data.files * TABLE_MB, CLASSIC_START + trees + rows * 1e-3, 1)


def labels(job: Job) -> Need:
    """Five logistic regressions on a feature set, of a sample where there are many rows."""
    data = job.data
    rows = min(data.rows, 10_000)  # `audit.labels.MOST`
    values = rows * 1000  # most feature sets have fewer
    return Need(
        CLASSIC_MB + data.files * TABLE_MB + values * 12 / MB,
        CLASSIC_START + 5 + values * data.classes * 4e-7,
        data.files * 1e-4,
    )


def robustness(job: Job) -> Need:
    """31 times the test images, at most a thousand, by any backbone where there is one."""
    data = job.data
    settings = job.settings
    rows = min(1000, data.rows)  # `predict.robustness.MOST`
    once = UNKNOWN_BACKBONE if settings.backbones_of(data.dataset) else Work(1e8, 1e6, 0)
    each = 31 * (3e-3 + _inferred(once, job))
    return Need(2 * CLASSIC_MB + 2500 + data.files * TABLE_MB, 60 + rows * each, 1)


def report(job: Job) -> Need:
    """The tables of all runs, the figures, and the best model, which may read a backbone."""
    data = job.data
    runs = _runs(job)
    table = data.evaluated * (data.classes * 8 + 200) * runs / MB
    model = 2000 if job.settings.backbones_of(data.dataset) else 300
    return Need(
        2 * CLASSIC_MB + model + data.files * 2e-3 + 2 * table,
        REPORT_START + 10 + runs * 0.1 + table / 20 + data.files * 5e-5,
        20,
    )


def predict(job: Job) -> Need:
    """By any backbone where there is one: which model is the best is not known yet."""
    data = job.data
    settings = job.settings
    pictures = _pictures(settings.predict[job.wildcards["name"]].source)
    once = UNKNOWN_BACKBONE if settings.backbones_of(data.dataset) else Work(1e8, 1e6, 0)
    each = FILE_BYTES / 1e7 / job.cores + _inferred(once, job)
    return Need(
        2 * CLASSIC_MB + 2500 + pictures * TABLE_MB,
        600 + pictures * each,
        50 + pictures * 3e-4,
    )


def export(job: Job) -> Need:
    """Some images are predicted twice; a backbone's graph is written again."""
    once = UNKNOWN_BACKBONE if job.settings.backbones_of(job.data.dataset) else Work(1e8, 1e6, 0)
    images = 2 * 128  # `export.IMAGES`, by the model and by what is written of it
    return Need(2 * CLASSIC_MB + 2500, 120 + images * _inferred(once, job), 1000)


@lru_cache(maxsize=16)
def _pictures(source: str) -> int:
    try:
        return len(unseen.find(source).paths)
    except UserError:  # the job itself says so
        return 0
