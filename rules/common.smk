# The checked settings, and the few functions that the rules share. No rules here.
import os
import re
import sys

from snakemake.exceptions import WorkflowError

# Scripts import darkroom in processes of their own, on a cluster's nodes too.
HERE = str(workflow.basedir)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([HERE, *filter(None, [os.environ.get("PYTHONPATH")])])
)

os.environ["DARKROOM_PARENT"] = str(os.getpid())

from pathlib import Path

from darkroom import preflight, sources, survival
from darkroom.config import Settings
from darkroom.errors import UserError
from darkroom.provenance import code

try:
    settings = Settings.load(config, files=[str(f) for f in workflow.configfiles])
    if workflow.is_main_process:
        if survival.clear_stale_lock(Path.cwd()):
            print("The last run here was cut off; going on from what it left.", file=sys.stderr)
        preflight.check(settings, say=lambda text: print(text, file=sys.stderr))
except UserError as error:
    raise WorkflowError(str(error)) from None


wildcard_constraints:
    dataset="[^/]+",
    fold=r"holdout|fold-\d+",
    model="[^/]+",
    seed=r"\d+",
    view="[^/]+",
    features="[^/]+",
    classifier="|".join(map(re.escape, settings.classifiers)) or "(?!)",


def cfg(stage):
    """Exactly the settings that a stage reads, by the wildcards of its rule.

    Snakemake records their text: a changed setting reruns the stages that read it.
    """

    def of(wildcards):
        try:
            return settings.stage(stage, dict(wildcards.items()))
        except UserError as error:
            raise WorkflowError(str(error)) from None

    return of


def each(pattern):
    """The files of a pattern: of one data set where the wildcards name it, else of all in `run`."""

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
                features=settings.runs_of(dataset) + settings.features_of(dataset),
                classifier=settings.classifiers_of(dataset),
            )
        return list(dict.fromkeys(files))

    return of


def images_of(wildcards):
    """The prepared images in the view of a network or a feature set."""
    user = wildcards.get("model") or wildcards.get("features")
    view = settings.view_of(wildcards.dataset, user) if user else settings.datasets[wildcards.dataset].view
    return f"results/{wildcards.dataset}/images/{view.name}.h5"


def augmented_of(wildcards):
    """The stored variants in the same view, where the data set has any."""
    if not settings.datasets[wildcards.dataset].augment.variants:
        return []
    return images_of(wildcards).replace("/images/", "/augmented/")


def features_of(wildcards):
    """A feature set: of this fold when a network made it, else one for all folds."""
    if wildcards.features in settings.features:
        return "results/{dataset}/features/{features}.h5"
    return "results/{dataset}/{fold}/{features}/features.h5"


GPUS = preflight.gpus(settings.gpus)
