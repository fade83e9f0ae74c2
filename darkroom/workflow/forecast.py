"""What a run takes from its beginning: its jobs, and their time, memory and disc by `darkroom/workflow/needs.py`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from darkroom.config.settings import Settings
from darkroom.workflow import threads
from darkroom.workflow.needs import MB
from darkroom.workflow.resources import need as needed

# They run beside their like; the others one after another, on all cores.
SIDE_BY_SIDE = {
    "index_shard", "prepare_shard", "train_model", "try_model", "extract_features",
    "fit_classifier", "try_classifier",
}  # fmt: skip
ON_CARDS = {"train_model", "try_model", "extract_features", "embed_images", "predict_images"}


class Job(NamedTuple):
    """A job of a run from its beginning: its rule, its wildcards, the cores that it takes."""

    rule: str
    wildcards: dict[str, str]
    cores: int


def jobs(settings: Settings, cores: int) -> Iterator[Job]:
    """All jobs that the data sets in `run` make, from their beginning.

    Parameters
    ----------
    cores : of the machine: no job takes more.
    """
    most = max(1, min(settings.threads, cores))
    backbones: dict[str, None] = {}
    for dataset in settings.run.datasets:
        of = {"dataset": dataset}
        shards = settings.datasets[dataset].shards
        yield Job("download_source", of, 1)
        views = [{**of, "view": view} for view in settings.views_of(dataset)]
        if shards > 1:
            yield Job("list_files", of, 1)
            yield from (Job("index_shard", of, most) for _ in range(shards))
            yield Job("join_index", of, 1)
            yield from (Job("prepare_shard", v, most) for v in views for _ in range(shards))
            yield from (Job("join_images", v, 1) for v in views)
        else:
            yield Job("index_files", of, most)
            yield from (Job("prepare_images", v, most) for v in views)
        yield from (Job(rule, of, 1) for rule in ("check_files", "split_rows"))
        if settings.datasets[dataset].augment.variants:
            yield from (Job("augment_images", v, most) for v in views)
        used = settings.backbones_of(dataset)
        backbones |= dict.fromkeys(used)
        yield from (Job("embed_images", {**of, "features": name}, most) for name in used)
        plain = [name for name in settings.features_of(dataset) if name not in used]
        yield from (Job("describe_images", {**of, "features": name}, 1) for name in plain)
        for fold in settings.folds_of(dataset):
            yield from _of_fold(settings, {**of, "fold": fold}, cores)
        yield from (Job(rule, of, 1) for rule in ("evaluate_dataset", "write_report"))
    yield from (Job("download_weights", {"features": name}, 1) for name in backbones)


def _of_fold(settings: Settings, of: dict[str, str], cores: int) -> Iterator[Job]:
    dataset = of["dataset"]
    for name in settings.models_of(dataset):
        model = settings.models[name]
        training, running = (
            min(cores, threads.of_network(settings, dataset, name, training=how))
            for how in (True, False)
        )
        trained = {**of, "model": name}
        if model.tune is not None:
            for n in range(1, model.tune.trials + 1):
                yield Job("try_model", {**trained, "n": str(n)}, training)
            yield Job("choose_setting", trained, 1)
        for seed in model.seeds:
            yield Job("train_model", {**trained, "seed": str(seed)}, training)
            yield Job("extract_features", {**trained, "seed": str(seed)}, running)
    every = threads.work_of_fits(settings)
    for features, name in settings.fits_of(dataset):
        tune = settings.classifiers[name].tune
        work = threads.work_of_fit(settings, name)
        own = threads.of_share(work, max(work, every), cores, settings.threads)
        fitted = {**of, "features": features, "classifier": name}
        if tune is not None:
            for n in range(1, tune.trials + 1):
                yield Job("try_classifier", {**fitted, "n": str(n)}, own)
            yield Job("choose_classifier_setting", fitted, 1)
        yield Job("fit_classifier", fitted, own)


class Forecast(NamedTuple):
    """What a run takes.

    Attributes
    ----------
    jobs : of each rule. seconds : wall time of each rule's jobs.
    largest : the job that takes most memory. memory : its bytes. beside : how many of its
        rule run side by side. disc : bytes written.
    """

    jobs: Counter[str]
    seconds: dict[str, float]
    largest: str
    memory: float
    beside: int
    disc: float


def forecast(settings: Settings, cores: int, cards: int) -> Forecast:
    """What the run of all data sets in `run` takes, in the current working directory.

    Parameters
    ----------
    cores, cards : of the machine.
    """
    each = 1 if settings.gpus == "auto" else max(1, settings.gpus)
    slots = cards * settings.jobs_per_gpu // each
    counts: Counter[str] = Counter()
    shared: defaultdict[str, float] = defaultdict(float)
    longest: defaultdict[str, float] = defaultdict(float)
    written, memory, largest, most = 0.0, 0.0, "", 1
    for job in jobs(settings, cores):
        on_card = slots > 0 and job.rule in ON_CARDS
        need = needed(settings, job.rule, job.wildcards, job.cores, on_card)
        beside = 1
        if on_card:
            beside = slots
        elif job.rule in SIDE_BY_SIDE:
            beside = max(1, cores // job.cores)
        shared[job.rule] += need.seconds / beside
        longest[job.rule] = max(longest[job.rule], need.seconds)
        counts[job.rule] += 1
        written += need.disk * MB
        if need.memory > memory:
            memory, largest, most = need.memory, job.rule, beside
    seconds = {rule: max(shared[rule], longest[rule]) for rule in counts}
    beside = min(most, counts[largest])
    return Forecast(counts, seconds, largest, memory * MB, beside, written)
