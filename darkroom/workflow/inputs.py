"""The input files of each job, by the wildcards of its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from snakemake.io import expand

from darkroom.config.settings import Settings
from darkroom.config.tuning import Tune
from darkroom.errors import UserError
from darkroom.sources import local
from darkroom.train import weights
from darkroom.workflow import content
from darkroom.workflow.calls import Wildcards, called, in_words

Files = list[str]


@called
class Inputs:
    """Input functions of the rules.

    Each takes the wildcards of a job. Where a job has no such input, a function gives [].

    Parameters
    ----------
    settings : of the run.
    folder : of its data/ and results/. A module with a `prefix` has one of its own, which
        Snakemake puts before each path; files of the user's then need their whole path.
    """

    def __init__(self, settings: Settings, folder: Path = Path()) -> None:
        self.settings, self.folder = settings, folder

    def each(self, *patterns: str) -> Callable[[Wildcards], Files]:
        """An input function: the files of patterns, of the data set of the wildcards, else of all in `run`.

        Parameters
        ----------
        patterns : with `dataset`, `fold`, `run`, `view`, `fit`, `backbone`, `name` (in `predict`)
            `shard` (of several) or `stored` (views of which variants are stored) in braces.
        """

        def files(wildcards: Wildcards) -> Files:
            named = wildcards.get("dataset")
            found = []
            for dataset in [named] if named else self.settings.run.datasets:
                for pattern in patterns:
                    found += expand(pattern, **self._names(dataset))
            return list(dict.fromkeys(found))

        return called(files)

    def _names(self, dataset: str) -> dict[str, Any]:
        settings = self.settings
        views, shards = list(settings.views_of(dataset)), settings.datasets[dataset].shards
        return {
            "dataset": dataset,
            "fold": settings.folds_of(dataset),
            "run": settings.runs_of(dataset),
            "view": views,
            "shard": range(1, shards + 1) if shards > 1 else [],
            "stored": views if settings.datasets[dataset].augment.variants else [],
            "fit": ["/".join(fit) for fit in settings.fits_of(dataset)],
            "backbone": settings.backbones_of(dataset),
            "name": list(settings.predict),
        }

    # -- of a source and its images

    @in_words
    def state(self, wildcards: Wildcards) -> str | Files:
        """A file whose time tells of a change of a folder or archive on this disk."""
        return self._own(content.state(self.settings, wildcards.dataset, self.folder))

    @in_words
    def archive(self, wildcards: Wildcards) -> str | Files:
        """The local archive that a data set is unpacked from."""
        return self._own(local.local_input(self.settings.datasets[wildcards.dataset].source))

    @in_words
    def weights_state(self, wildcards: Wildcards) -> str | Files:
        """A file whose time tells of a change of the local file of weights."""
        file = weights.local(self.settings.features[wildcards.features].weights)
        if file is None:
            return []
        return self._own(content.weights_state(Path(file), wildcards.features, self.folder))

    @in_words
    def weights_file(self, wildcards: Wildcards) -> str | Files:
        """The local file that has the weights of a backbone."""
        return self._own(weights.local(self.settings.features[wildcards.features].weights))

    def _own(self, file: str | None) -> str | Files:
        """A file of the user's as an input, if there is one."""
        if file is None:
            return []
        return file if self.folder == Path() else str(Path(file).absolute())

    def _view(self, wildcards: Wildcards) -> str:
        """The view of a network or of a feature set; else the one that the report shows."""
        user = wildcards.get("model") or wildcards.get("features")
        if user:
            return self.settings.view_of(wildcards.dataset, user).name
        return next(iter(self.settings.views_of(wildcards.dataset)))

    def images(self, wildcards: Wildcards) -> str:
        """The prepared images in the view that a job reads."""
        return f"results/{wildcards.dataset}/images/{self._view(wildcards)}.h5"

    def shards(self, wildcards: Wildcards) -> Files:
        """The files that the prepared images of a data set with shards point to."""
        n = self.settings.datasets[wildcards.dataset].shards
        view = wildcards.get("view") or self._view(wildcards)
        folder = f"results/{wildcards.dataset}/images/{view}.shards"
        return [f"{folder}/{k}.h5" for k in range(1, n + 1)] if n > 1 else []

    def index_shards(self, wildcards: Wildcards) -> Files:
        """The index of each shard."""
        n = self.settings.datasets[wildcards.dataset].shards
        return [f"results/{wildcards.dataset}/index/{k}.parquet" for k in range(1, n + 1)]

    def augmented(self, wildcards: Wildcards) -> str | Files:
        """The stored variants in the same view, where the data set has any."""
        if not self.settings.datasets[wildcards.dataset].augment.variants:
            return []
        return f"results/{wildcards.dataset}/augmented/{self._view(wildcards)}.h5"

    def robustness(self, wildcards: Wildcards) -> str | Files:
        """How the best model does on images that were made worse, where that is asked for."""
        if not self.settings.datasets[wildcards.dataset].robustness:
            return []
        return f"results/{wildcards.dataset}/robustness.parquet"

    # -- of networks and classifiers

    def features(self, wildcards: Wildcards) -> str:
        """A feature set: of this fold where a network made it, else one for all folds."""
        if wildcards.features in self.settings.features:
            return f"results/{wildcards.dataset}/features/{wildcards.features}.h5"
        return f"results/{wildcards.dataset}/{wildcards.fold}/{wildcards.features}/features.h5"

    def labelled(self, wildcards: Wildcards) -> str:
        """The feature set that labels are checked by: a backbone's, else one of no training, else a network's."""
        settings, dataset = self.settings, wildcards.dataset
        fitted = [features for features, _ in settings.fits_of(dataset)]
        still = [name for name in fitted if name in settings.features]
        backbones = [name for name in still if name in settings.backbones]
        for name in (backbones or still)[:1]:
            return f"results/{dataset}/features/{name}.h5"
        run = next(iter([*settings.runs_of(dataset), *fitted]), None)
        if run is None:
            raise UserError(f"{dataset}: it has no model, and no feature set with a classifier")
        return f"results/{dataset}/{settings.folds_of(dataset)[0]}/{run}/features.h5"

    def weights(self, wildcards: Wildcards) -> str | Files:
        """The weights of the backbone of a network."""
        backbone = self.settings.models[wildcards.model].backbone
        return f"data/weights/{backbone}.h5" if backbone else []

    def embedded(self, wildcards: Wildcards) -> str | Files:
        """The backbone's features that a head learns from, where nothing changes pixels."""
        model = self.settings.models[wildcards.model]
        if model.backbone is None or model.augment.changes:
            return []
        return f"results/{wildcards.dataset}/features/{model.backbone}.h5"

    def embedded_frozen(self, wildcards: Wildcards) -> str | Files:
        """The backbone's features that a trained head is run on, where the backbone was not trained."""
        model = self.settings.models[wildcards.model]
        if model.backbone is None or model.fine_tune is not None:
            return []
        return f"results/{wildcards.dataset}/features/{model.backbone}.h5"

    # -- of searches

    def _tune(self, wildcards: Wildcards) -> Tune | None:
        """The search of a classifier or a model, where it has one."""
        classifier = wildcards.get("classifier")
        if classifier:
            return self.settings.classifiers[classifier].tune
        return self.settings.models[wildcards.model].tune

    def _search(self, wildcards: Wildcards) -> Tune:
        tune = self._tune(wildcards)
        if tune is None:
            name = wildcards.get("classifier") or wildcards.model
            raise UserError(f"{name!r} has no tune in the configuration, so there is no search")
        return tune

    @in_words
    def trial_before(self, wildcards: Wildcards) -> str | Files:
        """The trial that a trial waits for: so many run side by side as `parallel` says."""
        n = int(wildcards.n) - self._search(wildcards).parallel
        return f"{_folder(wildcards)}/trial-{n}.json" if n > 0 else []

    @in_words
    def trials(self, wildcards: Wildcards) -> Files:
        """All trials of a search."""
        count = self._search(wildcards).trials
        return [f"{_folder(wildcards)}/trial-{n}.json" for n in range(1, count + 1)]

    def best(self, wildcards: Wildcards) -> str | Files:
        """The setting that a search chose, where there is a search."""
        return f"{_folder(wildcards)}/best.json" if self._tune(wildcards) else []

    def searches(self, wildcards: Wildcards) -> Files:
        """The chosen settings of all searches of a data set."""
        settings, dataset = self.settings, wildcards.dataset
        models = [m for m in settings.models_of(dataset) if settings.models[m].tune]
        fits = [
            "/".join(fit) for fit in settings.fits_of(dataset) if settings.classifiers[fit[1]].tune
        ]
        found: Files = expand(
            f"results/{dataset}/{{fold}}/tuning/{{searched}}/best.json",
            fold=settings.folds_of(dataset),
            searched=models + fits,
        )
        return found

    # -- of predictions

    def predictors(self, wildcards: Wildcards) -> dict[str, Files]:
        """The files that new pictures are predicted by: of the named classifier, or of all.

        models: the files of classifiers. makers: the networks that make their features, and what
        a network tells unlike pictures by.
        predictions: theirs, where a threshold is still to be chosen. tables: the
        scores that tell the best, where no classifier is named.
        """
        settings, dataset = self.settings, wildcards.dataset
        request = settings.predict[wildcards.name]
        folds = [request.fold] if request.fold else settings.folds_of(dataset)
        known = settings.predictors_of(dataset)
        if request.model is None:
            return self._trained(dataset, folds, known.values()) | {"predictions": []}
        features, classifier = known[request.model]
        predictions: Files = []
        if isinstance(settings.datasets[dataset].threshold, str):
            predictions = [
                f"results/{dataset}/{fold}/{features}/{classifier}/predictions.parquet"
                for fold in folds
            ]
        found = self._trained(dataset, folds, [(features, classifier)])
        return found | {"predictions": predictions, "tables": []}

    def exported(self, wildcards: Wildcards) -> dict[str, Files]:
        """The files of all classifiers, of which the best is exported, and the tables that tell it."""
        settings, dataset = self.settings, wildcards.dataset
        known = settings.predictors_of(dataset)
        return self._trained(dataset, settings.folds_of(dataset), known.values())

    def _trained(
        self, dataset: str, folds: list[str], names: Iterable[tuple[str, str]]
    ) -> dict[str, Files]:
        """The `models`, `makers` and `tables` of classifiers by their features, see `predictors`."""
        settings, results = self.settings, f"results/{dataset}"
        models, makers = [], []
        for features, classifier in names:
            for fold in folds:
                run = f"{results}/{fold}/{features}"
                if classifier == "head":
                    models.append(f"{run}/model.onnx")
                    makers.append(f"{run}/unlike.npz")
                    continue
                models.append(f"{run}/{classifier}/model.skops")
                if features in settings.backbones:
                    makers.append(f"data/weights/{features}.onnx")
                elif features not in settings.features:
                    makers.append(f"{run}/model.onnx")
        tables = [f"{results}/{name}.parquet" for name in ("thresholds", "summary", "metrics")]
        return {"models": models, "makers": list(dict.fromkeys(makers)), "tables": tables}


def _folder(wildcards: Wildcards) -> str:
    """The folder of a search."""
    searched = ("features", "classifier") if wildcards.get("classifier") else ("model",)
    names = "/".join(wildcards[name] for name in searched)
    return f"results/{wildcards.dataset}/{wildcards.fold}/tuning/{names}"
