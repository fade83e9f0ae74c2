"""The whole configuration, checked before anything runs, and what each data set consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from darkroom.config import compare
from darkroom.config.classifier import Classifier, FeatureSet
from darkroom.config.dataset import BACKBONE_VIEW, Dataset, View
from darkroom.config.forms import NAME, Name, Strict
from darkroom.config.messages import in_words
from darkroom.config.model import Model
from darkroom.config.recipe import Chosen
from darkroom.config.removed import REMOVED
from darkroom.errors import UserError, nearest
from darkroom.names import run_name

RESERVED = {
    "augmented",
    "best",
    "features",
    "head",
    "holdout",
    "images",
    "predictions",
    "report",
    "tuning",
    "weights",
}


class Run(Strict):
    """What a run makes, by the names of the other sections."""

    datasets: list[Name] = Field(min_length=1)
    models: list[Name] = []
    features: list[Name] = []
    classifiers: list[Name] = []


class Predict(Strict):
    """New pictures: a folder of them, and by which classifier."""

    source: str = Field(description="a folder of pictures, or one picture")
    model: str | None = Field(
        None,
        description="cnn-seed0, or a classifier on features: cnn-seed0/svm; unset: the best by validation",
    )
    fold: str | None = Field(
        None, description="of cross-validation; unset: the mean of all folds' models"
    )

    @model_validator(mode="before")
    @classmethod
    def _by_folder(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value

    @field_validator("model")
    @classmethod
    def _network_by_itself(cls, value: str | None) -> str | None:
        return value if value is None else value.removesuffix("/head")


class Report(Strict):
    """The report."""

    samples: PositiveInt = Field(6, description="sample images of each class")
    misclassified: NonNegativeInt = Field(
        24, description="misclassified images shown, the most confident first"
    )


class Settings(Strict):
    """The whole configuration, checked; `stages` has what each stage reads of it."""

    data: Name | None = Field(
        None,
        description="a source to run by itself, by a recipe: --config data=FOLDER",
    )
    recipe: Literal["auto", "transfer", "scratch", "both"] = Field(
        "auto",
        description="what `data` runs: transfer: classifiers on the features of a pretrained network; scratch: a network of its own; auto: scratch for images of up to 32 pixels, else transfer",
    )
    budget: Literal["quick", "good", "best"] | PositiveFloat = Field(
        "quick",
        description="what `data` may take, in words or in minutes: good: a larger pretrained network, or three seeds; best: it is also fine-tuned, or trained three times as long",
    )
    mirror: str | None = Field(
        None,
        description="folder, or address of one on a server, where files are looked for before they are downloaded",
    )
    gpus: Literal["auto"] | NonNegativeInt = Field(
        "auto", description="GPUs of a training job; auto: 1 where a GPU is found"
    )
    jobs_per_gpu: PositiveInt = Field(
        1, le=16, description="jobs that share a GPU, each with an equal part of its memory"
    )
    gpu_memory: float | None = Field(
        None,
        gt=0,
        le=1,
        description="part of a GPU's memory that a job may take; null: what it needs, or its equal part",
    )
    threads: PositiveInt = Field(8, description="most threads of one job")
    backend: Literal["tensorflow", "jax", "torch"] = Field(
        "tensorflow",
        description="what Keras computes with; jax and torch: pip install -r envs/backends.in",
    )
    container: str | None = Field(
        None,
        description="with --sdm apptainer, the image that each stage runs in: a .sif file, docker://…; envs/Containerfile builds one",
    )
    run: Run
    datasets: dict[Name, Dataset]
    models: dict[Name, Model] = {}
    features: dict[Name, FeatureSet] = {}
    classifiers: dict[Name, Classifier] = {}
    predict: dict[Name, Predict] = Field(
        {},
        description="{NAME: folder}: results/{dataset}/predictions/NAME.csv is then a target",
    )
    report: Report = Report()
    _views: dict[tuple[str, str], View] = PrivateAttr(default_factory=dict)
    _chosen: Chosen | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _compared(cls, value: Any) -> Any:
        return compare.expanded(value) if isinstance(value, dict) else value

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not value.get("data"):
            return value
        name = data_name(value)
        datasets = dict(value.get("datasets") or {})
        datasets[name] = {**(datasets.get(name) or {}), "source": str(value["data"])}
        run = {**(value.get("run") or {}), "datasets": [name]}
        return {**value, "datasets": datasets, "run": run}

    @model_validator(mode="after")
    def _recipe(self) -> Self:
        if self.data == "":  # of a variable that is not set, perhaps
            raise ValueError("data: it is empty: name a folder or an archive, or leave it out")
        if self.data is None:
            for key in ("recipe", "budget"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key}: it chooses what `data` runs, and there is no data")
        return self

    @model_validator(mode="after")
    def _names(self) -> Self:
        catalogues: dict[str, dict[str, Any]] = {
            "datasets": self.datasets,
            "models": self.models,
            "features": self.features,
            "classifiers": self.classifiers,
        }
        for kind, catalogue in {**catalogues, "predict": self.predict}.items():
            for name in catalogue:
                if not re.fullmatch(NAME, name) or name.lower() in RESERVED:
                    raise ValueError(
                        f"{kind}.{name}: a name has letters, digits, '_', '.', '+' and '-', and is none of {', '.join(sorted(RESERVED))}"
                    )
                if kind in ("models", "features") and re.search(r"-seed\d+$", name):
                    raise ValueError(f"{kind}.{name}: a name must not end in -seed and a number")
        users: dict[str, Any] = {"run": self.run}
        users |= {f"datasets.{n}": d for n, d in self.datasets.items()}
        for where, user in users.items():
            for kind in catalogues:
                if where != "run" and kind == "datasets":
                    continue
                for name in getattr(user, kind) or []:
                    if name not in catalogues[kind]:
                        raise ValueError(
                            f"{where}.{kind}: {name!r} is not in {kind}"
                            + nearest(name, catalogues[kind])
                        )
        both = sorted(set(self.models) & set(self.features))
        if both:
            raise ValueError(f"features.{both[0]}: a model has this name; choose another")
        backbones = [n for n, f in self.features.items() if f.kind == "backbone"]
        for name, model in self.models.items():
            if model.backbone is not None and model.backbone not in backbones:
                raise ValueError(
                    f"models.{name}.backbone: {model.backbone!r} is no feature set of kind backbone"
                    + nearest(model.backbone, backbones)
                )
        for name, dataset in self.datasets.items():
            known = dataset.classes
            if known is None:
                continue
            for where, names in (
                ("split.quotas", list(dataset.split.quotas)),
                ("augment.classes", dataset.augment.classes or []),
            ):
                for used in names:
                    if used not in known:
                        raise ValueError(
                            f"datasets.{name}.{where}: {used!r} is not in classes"
                            + nearest(used, known)
                        )
        return self

    @classmethod
    def load(
        cls, config: dict[str, Any], files: list[str] | None = None, chosen: Chosen | None = None
    ) -> Settings:
        """Check a merged configuration.

        Parameters
        ----------
        config : the merged mapping, as Snakemake hands it over.
        files : the YAML files it was merged from, in order, to name file and line.
        chosen : the recipe that it has settings of.

        Raises
        ------
        UserError
            One line per mistake: file and line, key, value, what is allowed.
        """
        try:
            settings = cls.model_validate(config)
        except ValidationError as error:
            written = partial(compare.written_at, config)
            raise UserError(in_words(error, cls, files or [], written, REMOVED)) from None
        settings._chosen = chosen
        return settings

    @property
    def chosen(self) -> Chosen | None:
        """The recipe of a run of `data`."""
        return self._chosen

    # -- what a data set consists of

    def models_of(self, dataset: str) -> list[str]:
        """Models of a data set; a model with `compare` is replaced by those that it compares."""
        asked = _or(self.datasets[dataset].models, self.run.models)
        found = [n for name in asked for n in self.comparisons.get(name, [name])]
        return list(dict.fromkeys(found))

    @cached_property
    def sharded(self) -> list[str]:
        """Data sets that are indexed and prepared in several jobs."""
        return [name for name, dataset in self.datasets.items() if dataset.shards > 1]

    @cached_property
    def comparisons(self) -> dict[str, list[str]]:
        """Names of the models that are compared, by the model that compares them."""
        return {
            name: [f"{name}-{other}" for other in model.compare]
            for name, model in self.models.items()
            if model.compare
        }

    @cached_property
    def backbones(self) -> list[str]:
        """Names of the feature sets that a pretrained backbone makes."""
        return [name for name, f in self.features.items() if f.kind == "backbone"]

    def backbones_of(self, dataset: str) -> list[str]:
        """Names of the backbones that a data set's models and feature sets need."""
        users = self.models_of(dataset) + self.features_of(dataset)
        return list(dict.fromkeys(filter(None, map(self.backbone_of, users))))

    def backbone_of(self, user: str) -> str | None:
        """The backbone that a model stands on, or that a feature set is."""
        name = self.models[user].backbone if user in self.models else user
        return name if name in self.backbones else None

    def features_of(self, dataset: str) -> list[str]:
        """Names of the feature sets that no network makes."""
        return _or(self.datasets[dataset].features, self.run.features)

    def classifiers_of(self, dataset: str) -> list[str]:
        """Names of the classifiers that are fitted to the data set's feature sets."""
        return _or(self.datasets[dataset].classifiers, self.run.classifiers)

    def runs_of(self, dataset: str) -> list[str]:
        """Trained networks of a data set: `{model}-seed{seed}`."""
        return [run_name(m, s) for m in self.models_of(dataset) for s in self.models[m].seeds]

    def network_of(self, features: str) -> str | None:
        """The model whose training makes a feature set; None where none does."""
        runs = ((name, seed) for name, model in self.models.items() for seed in model.seeds)
        return next((name for name, seed in runs if run_name(name, seed) == features), None)

    def folds_of(self, dataset: str) -> list[str]:
        """Names of the folds: `fold-1` …, or `holdout` alone."""
        k = self.datasets[dataset].split.folds
        return [f"fold-{i}" for i in range(1, k + 1)] if k else ["holdout"]

    def fits_of(self, dataset: str) -> list[tuple[str, str]]:
        """Each (feature set, classifier) that is fitted, each different feature set once.

        A network whose features are those of its frozen backbone leaves them to the backbone's
        own feature set, also where `features` does not name that.
        """
        sets = [
            model.backbone if model.backbone and model.as_embedded else run_name(name, seed)
            for name, model in ((name, self.models[name]) for name in self.models_of(dataset))
            for seed in model.seeds
        ]
        different = dict.fromkeys(sets + self.features_of(dataset))
        return [(f, c) for f in different for c in self.classifiers_of(dataset)]

    def predictors_of(self, dataset: str) -> dict[str, tuple[str, str]]:
        """Each (feature set, classifier) of a data set by its name: `cnn-seed0`, `cnn-seed0/svm`."""
        heads = {run: (run, "head") for run in self.runs_of(dataset)}
        return heads | {"/".join(fit): fit for fit in self.fits_of(dataset)}

    def view_of(self, dataset: str, user: str) -> View:
        """The view that a model or feature set of this data set reads."""
        known = self._views.get((dataset, user))
        if known is None:
            known = self._views[dataset, user] = self._view(dataset, user)
        return known

    def _view(self, dataset: str, user: str) -> View:
        backbone = self.backbone_of(user)
        if backbone is not None:
            user = backbone
        asked = (self.models.get(user) or self.features[user]).view
        base = self.datasets[dataset].view.model_dump()
        if backbone is not None:  # what it was trained on, whatever the data set's view is
            base |= BACKBONE_VIEW
        return View(**{**base, **asked.model_dump(exclude_none=True)})

    def views_of(self, dataset: str) -> dict[str, View]:
        """Views by name that models and feature sets read; the report shows the first.

        That is the data set's own where any of them reads it, or where there is none of them.
        """
        own = self.datasets[dataset].view
        users = self.models_of(dataset) + self.features_of(dataset)
        used = {view.name: view for view in (self.view_of(dataset, user) for user in users)}
        return {own.name: own} | used if own.name in used or not used else used


LONGEST = 100  # letters of a data set's name from its source: file names have 255 bytes


def data_name(config: Mapping[str, Any]) -> str:
    """The name of the data set of `data`: not that of an entry for another source."""
    source = str(config["data"])
    name = source_name(source)
    entries = config.get("datasets")
    entry = entries.get(name) if isinstance(entries, Mapping) else None
    other = entry.get("source", source) if isinstance(entry, Mapping) else source
    return name if other == source else f"data_{name}"


def source_name(source: str) -> str:
    """A data set's name from its source: `/a/My photos.zip` gives `My_photos`."""
    stem = source.split("?")[0].rstrip("/").split("/")[-1].split(":")[-1].split("@")[0]
    stem = re.sub(r"(\.(zip|tar|tgz|tbz2?|txz|gz|bz2|xz|zst))+$", "", stem, flags=re.I)
    stem = re.sub(r"[^A-Za-z0-9_.+-]+", "_", stem)[:LONGEST].strip("_.-+")
    return stem if stem and stem.lower() not in RESERVED else f"data_{stem}".rstrip("_")


def _or(own: list[str] | None, default: list[str]) -> list[str]:
    return default if own is None else own
