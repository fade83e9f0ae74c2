# The checked settings, and the few functions that the rules share. No rules here.
import functools
import inspect
import re
import sys
from pathlib import Path

from snakemake import io
from snakemake.exceptions import WorkflowError

if str(workflow.basedir) not in sys.path:
    sys.path.insert(0, str(workflow.basedir))

from darkroom.train import weights
from darkroom.workflow import demand, preflight, stale_locks, threads
from darkroom.sources import download
from darkroom.config import Settings
from darkroom.errors import UserError
from darkroom.predict import unseen
from darkroom.workflow.code import code

tell = functools.partial(print, file=sys.stderr)
# Whether jobs share this machine; not on a cluster (--jobs), nor in one of its jobs, which has its place to itself.
HERE = workflow.resource_settings.nodes is None and not workflow.remote_exec
preflight.export_to_jobs(str(workflow.basedir))
preflight.refusals_in_words()
try:
    settings = Settings.load(config, files=[str(f) for f in preflight.overlays(workflow)])
    # A card of the login node tells nothing of the others: the profile asks for those.
    GPUS = preflight.gpus(settings.gpus) if HERE or settings.gpus != "auto" else 0
    if workflow.is_main_process:
        preflight.check_folders(settings, Path.cwd())
        if stale_locks.clear_stale_lock(Path.cwd(), say=tell):
            tell("The last run here was cut off; going on from what it left.")
        ALONE = stale_locks.alone(Path.cwd())
        preflight.check_targets(settings, sys.argv[1:])
        preflight.check(settings, say=tell)
        # A card for each training, as far as they go. A cluster counts its own.
        if GPUS and HERE and "gpu" not in workflow.global_resources:
            workflow.global_resources["gpu"] = preflight.card_slots(settings, GPUS)
        if not HERE:
            preflight.check_shards(settings, say=tell)
            # A dry run counts one core, where none are named, and would show each job with one thread.
            if workflow.resource_settings.cores == 1:
                workflow.global_resources["_cores"] = None
except UserError as error:
    tell(f"\n{error}")
    sys.exit(1)


onstart:  # no dry run comes here, nor what only looks
    if ALONE and (ended := stale_locks.end_leftover_jobs(Path.cwd())):
        tell(f"Jobs of that run were still with Slurm, and are cancelled: {', '.join(ended)}")


if settings.container:

    container: settings.container


def called(function):
    """The same function with its parameters noted: Snakemake asks for them at each of many calls."""
    function.__signature__ = inspect.signature(function)
    return function


def one_of(names):
    """A wildcard that takes only these names; none where there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


WHOLE = one_of([name for name in settings.datasets if name not in settings.sharded])
SHARDED = one_of(settings.sharded)


wildcard_constraints:
    dataset=one_of(settings.datasets),
    fold=r"holdout|fold-[0-9]+",
    model=one_of(settings.models),
    seed="[0-9]+",
    view="[^/]+",
    shard="[1-9][0-9]*",
    features="[^/]+",
    classifier=one_of(settings.classifiers),


def constrain_stored_files():
    """Let files in storage know what their wildcards may be: Snakemake forgets it of them.

    The storage makes a file's path anew, of a name without constraints. Without them
    `results/{dataset}/predictions.parquet` is whatever ends so, and two rules make one file.
    """
    for of in workflow.rules:
        for file in of.products():
            if not file.is_callable() and file.is_storage:
                pattern = io.update_wildcard_constraints(
                    str(file), of.wildcard_constraints, workflow.wildcard_constraints
                )
                file._regex = re.compile(io.regex_from_filepattern(pattern))
                file._wildcard_constraints = io.get_wildcard_constraints(pattern)


def cfg(stage):
    """Exactly the settings that a stage reads, by the wildcards of its rule.

    Snakemake records their text: a changed setting reruns the stages that read it.
    """

    @called
    def of(wildcards):
        try:
            return settings.stage(stage, dict(wildcards.items()))
        except UserError as error:
            raise WorkflowError(str(error)) from None

    return of


def each(pattern):
    """The files of a pattern: of one data set where the wildcards name it, else of all in `run`."""

    @called
    def of(wildcards):
        named = wildcards.get("dataset")
        files = []
        for dataset in [named] if named else settings.run.datasets:
            files += collect(
                pattern,
                dataset=dataset,
                fold=settings.folds_of(dataset),
                run=settings.runs_of(dataset),
                view=list(settings.views_of(dataset)),
                fit=["/".join(fit) for fit in settings.fits_of(dataset)],
            )
        return list(dict.fromkeys(files))

    return of


def view_of(wildcards):
    """The view of a network or of a feature set; else the one that the report shows."""
    user = wildcards.get("model") or wildcards.get("features")
    if user:
        return settings.view_of(wildcards.dataset, user).name
    return next(iter(settings.views_of(wildcards.dataset)))


@called
def images_of(wildcards):
    """The prepared images in the view that is asked for."""
    return f"results/{wildcards.dataset}/images/{view_of(wildcards)}.h5"


@called
def shards_of(wildcards):
    """What the prepared images are joined of, where the data set has shards: read with them."""
    n = settings.datasets[wildcards.dataset].shards
    if n == 1:
        return []
    folder = (
        f"results/{wildcards.dataset}/images/{wildcards.get('view') or view_of(wildcards)}.shards"
    )
    return [f"{folder}/{k}.h5" for k in range(1, n + 1)]


@called
def index_shards_of(wildcards):
    n = settings.datasets[wildcards.dataset].shards
    return [f"results/{wildcards.dataset}/index/{k}.parquet" for k in range(1, n + 1)]


@called
def augmented_of(wildcards):
    """The stored variants in the same view, where the data set has any."""
    if not settings.datasets[wildcards.dataset].augment.variants:
        return []
    return f"results/{wildcards.dataset}/augmented/{view_of(wildcards)}.h5"


@called
def features_of(wildcards):
    """A feature set: of this fold when a network made it, else one for all folds."""
    if wildcards.features in settings.features:
        return "results/{dataset}/features/{features}.h5"
    return "results/{dataset}/{fold}/{features}/features.h5"


@called
def weights_of(wildcards):
    """The weights of the backbone that a network stands on."""
    backbone = settings.models[wildcards.model].backbone
    return f"data/weights/{backbone}.h5" if backbone else []


@called
def embedded_of(wildcards):
    """The backbone's features that a head learns from, where nothing changes pixels."""
    model = settings.models[wildcards.model]
    if model.backbone is None or model.augment.changes:
        return []
    return f"results/{wildcards.dataset}/features/{model.backbone}.h5"


@called
def embedded_of_frozen(wildcards):
    """The backbone's features that a trained head is run on, where the backbone is as it was."""
    model = settings.models[wildcards.model]
    if model.backbone is None or model.fine_tune is not None:
        return []
    return f"results/{wildcards.dataset}/features/{model.backbone}.h5"


@called
def predicting(wildcards):
    """What new pictures are predicted by: the named classifier, or whichever is the best; all folds.

    models: its files. makers: what makes its features. said: its predictions, where its best
    fold or its threshold has to be found. tables: what tells the best, where none is named.
    """
    asked = settings.predict[wildcards.name]
    dataset = settings.datasets[wildcards.dataset]
    results = f"results/{wildcards.dataset}"
    known = settings.predictors_of(wildcards.dataset)
    folds = [asked.fold] if asked.fold else settings.folds_of(wildcards.dataset)
    models, makers, said = [], [], []
    for features, classifier in known.values() if asked.model is None else [known[asked.model]]:
        for fold in folds:
            run = f"{results}/{fold}/{features}"
            said.append(f"{run}/{classifier}/predictions.parquet")
            if classifier == "head":
                models.append(f"{run}/model.keras")
                continue
            models.append(f"{run}/{classifier}/model.skops")
            if features in settings.backbones:
                makers.append(f"data/weights/{features}.h5")
            elif features not in settings.features:
                makers.append(f"{run}/model.keras")
    tables = [f"{results}/{name}.csv" for name in ("thresholds", "summary", "metrics")]
    if asked.model is not None:
        tables = []
    if tables or (len(said) == 1 and not isinstance(dataset.threshold, str)):
        said = []
    makers = list(dict.fromkeys(makers))
    return {"models": models, "makers": makers, "said": said, "tables": tables}


@called
def pictures_of(wildcards):
    """A digest of the new pictures: changed ones are predicted anew."""
    try:
        return unseen.digest(settings.predict[wildcards.name].source)
    except UserError as error:
        raise WorkflowError(str(error)) from None


@called
def training_threads(wildcards):
    return threads.of_network(settings, wildcards.dataset, wildcards.model, training=True)


@called
def extraction_threads(wildcards):
    return threads.of_network(settings, wildcards.dataset, wildcards.model, training=False)


@functools.cache
def all_fits():
    return threads.work_of_fits(settings)


@called
def classifier_threads(wildcards):
    """The cores, shared among all fits of this run by their work."""
    work = threads.work_of_fit(settings, wildcards.classifier)
    cores = workflow.resource_settings.cores if HERE else None
    return threads.of_share(work, max(work, all_fits()), cores, settings.threads)


def tune_of(wildcards):
    """The search of a model or a classifier, or None."""
    classifier = wildcards.get("classifier")
    of = settings.classifiers[classifier] if classifier else settings.models[wildcards.model]
    return of.tune


def tuning_of(wildcards):
    """The folder of a search."""
    what = ("features", "classifier") if wildcards.get("classifier") else ("model",)
    return "/".join(
        ["results", wildcards.dataset, wildcards.fold, "tuning", *(wildcards[w] for w in what)]
    )


@called
def trial_before(wildcards):
    """What a trial waits for: as many trials run side by side as `parallel` says."""
    n = int(wildcards.n) - tune_of(wildcards).parallel
    return f"{tuning_of(wildcards)}/trial-{n}.json" if n > 0 else []


@called
def trials_of(wildcards):
    """All trials of a search."""
    folder = tuning_of(wildcards)
    return [f"{folder}/trial-{n}.json" for n in range(1, tune_of(wildcards).trials + 1)]


@called
def best_of(wildcards):
    """The setting that a search chose, where there is a search."""
    return f"{tuning_of(wildcards)}/best.json" if tune_of(wildcards) else []


@called
def searches_of(wildcards):
    """The chosen settings of all searches of a data set."""
    dataset = wildcards.dataset
    models = [m for m in settings.models_of(dataset) if settings.models[m].tune]
    fits = ["/".join(fit) for fit in settings.fits_of(dataset) if settings.classifiers[fit[1]].tune]
    folder = f"results/{dataset}/{{fold}}/tuning"
    return collect(
        f"{folder}/{{of}}/best.json",
        fold=settings.folds_of(dataset),
        of=models + fits,
    )


# Memory, time and disk of any rule, by the size of the data; they grow with each attempt. A card
# may also be asked for by the profile or by --set-resources.
PROFILE = workflow.resource_settings.overwrite_resources.get("train_model", {})
CARDS = GPUS or int("gpu" in PROFILE and str(getattr(PROFILE["gpu"], "raw", PROFILE["gpu"])) != "0")
NEEDS = demand.resources(settings, CARDS)
