"""What each stage reads of the settings: all of it, and nothing else.

A function a rule, named like the rule. It gives plain JSON values, which Snakemake records: so a
changed setting reruns the stages that read it and no other.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from darkroom.config import compare
from darkroom.config.dataset import BACKBONE_VIEW, View
from darkroom.config.tuning import searched, tunable
from darkroom.errors import UserError, nearest
from darkroom.sources.addresses import shown

if TYPE_CHECKING:
    from darkroom.audit.audit import AuditDataset
    from darkroom.audit.labels import CheckLabels
    from darkroom.classify.fitting import FitClassifier
    from darkroom.config.settings import Settings
    from darkroom.evaluate.evaluate import EvaluateDataset
    from darkroom.features.backbone import EmbedImages
    from darkroom.features.describe import DescribeImages
    from darkroom.features.network import ExtractFeatures
    from darkroom.images.prepare import JoinImages, PrepareImages, PrepareShard
    from darkroom.images.variants import AugmentImages
    from darkroom.index.check import CheckFiles
    from darkroom.index.copies import FindCopies
    from darkroom.index.manifest import IndexFiles
    from darkroom.index.sharded import IndexShard, JoinIndex, ListFiles
    from darkroom.predict.export_model import ExportModel
    from darkroom.predict.predict import PredictImages
    from darkroom.predict.robustness import MeasureRobustness
    from darkroom.report.results import WriteReport
    from darkroom.sources.download import DownloadSource
    from darkroom.split.plan import SplitRows
    from darkroom.split.splits import Balance
    from darkroom.train.backbones import Backbone
    from darkroom.train.settings import Model
    from darkroom.train.training import TrainModel
    from darkroom.train.weights import DownloadWeights
    from darkroom.tune.choose import ChooseClassifierSetting, ChooseSetting
    from darkroom.tune.classifier_trials import TryClassifier
    from darkroom.tune.model_trials import ModelSearch, TryModel


def stage_settings(settings: Settings, rule: str, wildcards: dict[str, str]) -> dict[str, Any]:
    """Exactly the settings that the stage of a rule reads, as JSON values.

    Parameters
    ----------
    settings : the checked configuration.
    rule : one of the functions below has its name.
    wildcards : of the rule's output; more than the stage needs do no harm.

    Raises
    ------
    UserError
        A wildcard, so a target on the command line, names nothing in the configuration.
    """
    for wildcard in ("dataset", "model", "view"):
        asked = wildcards.get(wildcard)
        if asked is None:
            continue
        known: Collection[str] = (
            settings.views_of(wildcards["dataset"])
            if wildcard == "view"
            else getattr(settings, f"{wildcard}s")
        )
        if asked not in known:
            raise UserError(
                f"{asked!r} is not in {wildcard}s of the configuration" + nearest(asked, known)
            )
    reader: Callable[..., Any] = globals()[rule]
    wanted = list(inspect.signature(reader).parameters)[1:]
    given: dict[str, Any] = {key: wildcards[key] for key in wanted}
    if "seed" in given:
        given["seed"] = int(given["seed"])
    found: dict[str, Any] = reader(settings, **given)
    return found


def download_source(settings: Settings, dataset: str) -> DownloadSource:
    """The source, its hashes and limits, and the folder of it that the layout looks in."""
    d = settings.datasets[dataset]
    return {
        "dataset": dataset,
        "source": shown(d.source),
        "sha256": d.sha256,
        "limits": _json(d.limits),
        "root": d.layout.root,
    }


def index_files(settings: Settings, dataset: str) -> IndexFiles:
    """The layout, the groups and the decoding policy."""
    d = settings.datasets[dataset]
    return {
        "dataset": dataset,
        "layout": _json(d.layout),
        "group": d.group,
        "decode": _json(d.decode),
    }


def list_files(settings: Settings, dataset: str) -> ListFiles:
    """The layout and the groups."""
    d = settings.datasets[dataset]
    return {"layout": _json(d.layout), "group": d.group}


def index_shard(settings: Settings, dataset: str, shard: str) -> IndexShard:
    """The decoding policy, and which shard it is."""
    d = settings.datasets[dataset]
    return {"decode": _json(d.decode), "shard": int(shard), "shards": d.shards}


def join_index(settings: Settings, dataset: str) -> JoinIndex:
    """The data set's name alone."""
    return {"dataset": dataset}


def check_files(settings: Settings, dataset: str) -> CheckFiles:
    """The data set's name alone; the limit is a parameter of the rule that is not recorded."""
    return {"dataset": dataset}


def find_copies(settings: Settings, dataset: str) -> FindCopies:
    """The data set's name alone."""
    return {"dataset": dataset}


def download_weights(settings: Settings, features: str) -> DownloadWeights:
    """The backbone, its weights, and the size of the images that it is written for."""
    f = settings.features[features]
    view = View(**BACKBONE_VIEW | f.view.model_dump(exclude_none=True))
    return {
        "features": features,
        "application": str(f.application),
        "settings": f.settings,
        "weights": shown(f.weights),
        "sha256": f.sha256,
        "shape": list(view.shape),
        "pool": f.pool,
    }


def split_rows(settings: Settings, dataset: str) -> SplitRows:
    """The classes, what becomes of copies, and the split."""
    d = settings.datasets[dataset]
    return {
        "dataset": dataset,
        "classes": d.classes,
        "duplicates": d.duplicates,
        "split": _json(d.split),
    }


def prepare_images(settings: Settings, dataset: str, view: str) -> PrepareImages:
    """The view and the decoding policy."""
    return {
        "dataset": dataset,
        "view": _json(settings.views_of(dataset)[view]),
        "decode": _json(settings.datasets[dataset].decode),
    }


def prepare_shard(settings: Settings, dataset: str, view: str, shard: str) -> PrepareShard:
    """The view, the decoding policy, and which shard it is."""
    shards = settings.datasets[dataset].shards
    return {
        **prepare_images(settings, dataset, view),
        "shard": int(shard),
        "shards": shards,
    }


def join_images(settings: Settings, dataset: str, view: str) -> JoinImages:
    """The names alone."""
    return {"dataset": dataset, "view": view}


def augment_images(settings: Settings, dataset: str) -> AugmentImages:
    """The variants, the labels that get them, and what the source's own parts are used for."""
    d = settings.datasets[dataset]
    labels = d.augment.classes
    if labels is not None and d.classes is not None:
        labels = sorted(old for name in labels for old in d.classes[name])
    return {
        "dataset": dataset,
        "variants": [_json(v, exclude_none=True) for v in d.augment.variants],
        "labels": labels,
        "seed": d.augment.seed,
        "given": _json(d.split)["given"],
    }


def _balance(settings: Settings, dataset: str) -> Balance:
    a = settings.datasets[dataset].augment
    return {"balance": a.balance, "balance_seed": a.seed}


def _training(settings: Settings, model: str) -> Model:
    """The settings of a model that concern its training."""
    m = settings.models[model]
    training: Any = tunable(m)
    for key in ("view", "seeds", "features", "backbone"):
        del training[key]
    if m.backbone is not None:
        del training["normalise"]
    read: Model = training
    return read


def train_model(settings: Settings, dataset: str, fold: str, model: str, seed: int) -> TrainModel:
    """The training settings of the model, its backbone, and the balance of classes."""
    return {
        "dataset": dataset,
        "fold": fold,
        "name": model,
        "model": _training(settings, model),
        "backbone": _backbone(settings, model),
        "seed": seed,
        "backend": settings.backend,
        **_balance(settings, dataset),
    }


def _backbone(settings: Settings, user: str) -> Backbone | None:
    """Of a model on a backbone or of the backbone itself: what it computes; else None."""
    name = settings.backbone_of(user)
    if name is None:
        return None
    f = settings.features[name]
    return {
        "name": name,
        "application": str(f.application),
        "settings": f.settings,
        "pool": f.pool,
    }


def extract_features(
    settings: Settings, dataset: str, fold: str, model: str, seed: int
) -> ExtractFeatures:
    """The layer to read, the batch, and the balance of classes."""
    m = settings.models[model]
    return {
        "dataset": dataset,
        "fold": fold,
        "model": model,
        "seed": seed,
        "layer": m.features,
        "batch": m.batch,
        "backend": settings.backend,
        **_balance(settings, dataset),
    }


def try_model(settings: Settings, dataset: str, fold: str, model: str) -> TryModel:
    """What `train_model` reads with the first seed, and the search."""
    m = settings.models[model]
    assert m.tune is not None
    search: ModelSearch = {
        "space": searched(m, m.tune),
        "seed": m.tune.seed,
        "objective": m.tune.objective or m.monitor,
        "prune": m.tune.prune,
        "epochs": m.tune.epochs,
    }
    return {**train_model(settings, dataset, fold, model, m.seeds[0]), "tune": search}


def try_classifier(
    settings: Settings, dataset: str, fold: str, features: str, classifier: str
) -> TryClassifier:
    """What `fit_classifier` reads, and the search."""
    c = settings.classifiers[classifier]
    assert c.tune is not None
    return {
        **fit_classifier(settings, dataset, fold, features, classifier),
        "tune": {
            "space": searched(c, c.tune),
            "seed": c.tune.seed,
            "objective": c.tune.objective,
        },
    }


def choose_setting(settings: Settings, dataset: str, fold: str, model: str) -> ChooseSetting:
    """The names of the search."""
    return {"dataset": dataset, "fold": fold, "model": model}


def choose_classifier_setting(
    settings: Settings, dataset: str, fold: str, features: str, classifier: str
) -> ChooseClassifierSetting:
    """The names of the search."""
    return {"dataset": dataset, "fold": fold, "features": features, "classifier": classifier}


def describe_images(settings: Settings, features: str) -> DescribeImages:
    """The name and the kind of the feature set."""
    kind = settings.features[features].kind
    assert kind != "backbone"
    return {"name": features, "kind": kind}


def embed_images(settings: Settings, features: str) -> EmbedImages:
    """The backbone, and how many images it takes at a time."""
    f = settings.features[features]
    assert f.application is not None
    return {
        "name": features,
        "application": f.application,
        "settings": f.settings,
        "pool": f.pool,
        "batch": f.batch,
        "backend": settings.backend,
    }


def fit_classifier(
    settings: Settings, dataset: str, fold: str, features: str, classifier: str
) -> FitClassifier:
    """The classifier without its search, and the balance of classes."""
    spec: Any = settings.classifiers[classifier].model_dump(mode="json", exclude={"tune"})
    return {
        "dataset": dataset,
        "fold": fold,
        "features": features,
        "name": classifier,
        "classifier": spec,
        **_balance(settings, dataset),
    }


def evaluate_dataset(settings: Settings, dataset: str) -> EvaluateDataset:
    """The threshold, and the operating point."""
    point = settings.datasets[dataset].operating_point
    return {
        "dataset": dataset,
        "threshold": settings.datasets[dataset].threshold,
        "operating_point": None if point is None else point.model_dump(exclude_none=True),
        "notice": settings.datasets[dataset].notice,
    }


def audit_dataset(_settings: Settings, dataset: str) -> AuditDataset:
    """Its name: every check runs with what it knows itself."""
    return {"dataset": dataset}


def check_labels(_settings: Settings, dataset: str) -> CheckLabels:
    """Its name: which feature set is read stands in the rule."""
    return {"dataset": dataset}


def measure_robustness(settings: Settings, dataset: str) -> MeasureRobustness:
    """Its name: which model, images and rows follow from the files."""
    return {"dataset": dataset}


def write_paper(settings: Settings, dataset: str) -> WriteReport:
    """Those of the report."""
    return write_report(settings, dataset)


def predict_images(settings: Settings, dataset: str, name: str) -> PredictImages:
    """The pictures, the model that is named, and its threshold."""
    p = settings.predict[name]
    return {
        "dataset": dataset,
        "name": name,
        "source": p.source,
        "model": p.model,
        "fold": p.fold,
        "threshold": None if p.model is None else settings.datasets[dataset].threshold,
    }


def export_model(_settings: Settings, dataset: str) -> ExportModel:
    """Its name: the best model is found in the tables."""
    return {"dataset": dataset}


def write_report(settings: Settings, dataset: str) -> WriteReport:
    """The report's settings, those to be shown, and what compared models differ in."""
    pick = {
        "models": settings.models_of(dataset),
        "features": list(
            dict.fromkeys(settings.features_of(dataset) + settings.backbones_of(dataset))
        ),
        "classifiers": settings.classifiers_of(dataset),
    }
    used = {
        kind: {name: _plain(getattr(settings, kind)[name]) for name in names}
        for kind, names in pick.items()
    }
    for features in used["features"].values():
        if "weights" in features:
            features["weights"] = shown(features["weights"])
    own_settings = _plain(settings.datasets[dataset])
    own_settings["source"] = shown(own_settings["source"])
    compared = {}
    for name, members in settings.comparisons.items():
        own = [member for member in members if member in used["models"]]
        if len(own) > 1:
            whole = {
                m: _training(settings, m)
                | {"backbone": settings.models[m].backbone, "view": _plain(settings.models[m].view)}
                for m in own
            }
            compared[name] = compare.differences(whole)
    return {
        "dataset": dataset,
        "samples": settings.report.samples,
        "misclassified": settings.report.misclassified,
        "networks": {
            name: {"seeds": m.seeds, "keep": m.keep, "early_stopping": m.early_stopping}
            for name, m in ((name, settings.models[name]) for name in used["models"])
        },
        "settings": {"dataset": own_settings} | used,
        "compared": compared,
        "recipe": _recipe(settings),
    }


def _recipe(settings: Settings) -> dict[str, str] | None:
    """The recipe of a run of `data` in words, and the command for more."""
    chosen = settings.chosen
    if chosen is None:
        return None
    more = f"snakemake --cores all --config data={shlex.quote(str(settings.data))} {chosen.more}"
    return {"sentence": chosen.sentence, "more": more if chosen.more else ""}


def _json(value: BaseModel, *, exclude_none: bool = False) -> Any:
    return value.model_dump(mode="json", exclude_none=exclude_none)


def _plain(value: BaseModel) -> dict[str, Any]:
    """Only what differs from the defaults: what a person would write."""
    return value.model_dump(mode="json", exclude_defaults=True)


def _pick(value: BaseModel, *keys: str) -> dict[str, Any]:
    return value.model_dump(mode="json", include=set(keys))
