"""The recipe of a run of `data`: chosen before the graph is built, and kept with its results.

So a second run has the same graph, also after images were added, on a machine with another GPU,
or without the source. Another `recipe`, `budget` or source chooses anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.config.compare import heads_alone
from darkroom.config.dataset import Split
from darkroom.config.recipe import (
    BUDGETS,
    FEW,
    FOLDS,
    LEAST_SIDE,
    RECIPES,
    TINY,
    Chosen,
    backbone,
    in_place_of_defaults,
)
from darkroom.config.settings import Settings, data_name
from darkroom.config.stages import stage_settings
from darkroom.errors import UserError
from darkroom.machine import disk, hardware
from darkroom.workflow import pretrained
from darkroom.workflow.forecast import forecast
from darkroom.workflow.known import listed_rows
from darkroom.workflow.needs import CORE
from darkroom.workflow.plan import Job
from darkroom.workflow.resources import gpus_of_a_job

if TYPE_CHECKING:
    from darkroom.train.backbones import Official
    from darkroom.workflow.sample import Sample

LISTS = ("models", "features", "classifiers")


def place(config: Mapping[str, Any], folder: Path) -> Path:
    """Where the recipe of a run is kept."""
    return folder / "results" / data_name(config) / "recipe.json"


def choose(
    config: Mapping[str, Any], defaults: Mapping[str, Any], folder: Path, *, look: bool = True
) -> Chosen | None:
    """The recipe of a run: the one that is kept, or a new one.

    Parameters
    ----------
    config : the merged configuration, not yet checked.
    defaults : config.yaml.
    folder : of data/ and results/.
    look : whether the source may be looked at: not where jobs have other disks than this process.

    Returns
    -------
    None where nothing is to be chosen: without `data`; where `run` names its own models, features
    or classifiers, or a setting of a network is changed and no recipe named; where these settings are
    not valid, which their check says.

    Raises
    ------
    UserError
        `recipe` or `budget` beside a `run` with lists of its own; a source that is not there.
    """
    if not config.get("data") or not isinstance(config.get("run"), Mapping):
        return None
    request = _request(config)
    budget = request["budget"]
    minutes = isinstance(budget, (int, float)) and not isinstance(budget, bool) and budget > 0
    if request["recipe"] not in RECIPES or not (minutes or budget in BUDGETS):
        return None
    own = [f"run.{key}" for key in LISTS if config["run"].get(key) != defaults["run"].get(key)]
    if own:
        if request["recipe"] != "auto" or budget != defaults["budget"]:
            raise UserError(
                f"recipe and budget choose what runs, and {own[0]} names it: leave one of them out"
            )
        return None
    if request["recipe"] == "auto" and config.get("models") != defaults.get("models"):
        return None
    kept = _kept(place(config, folder), request)
    if kept is not None:
        return kept
    gpus = config.get("gpus", "auto")
    seen = _sample(request["data"]) if look else None
    if not minutes:
        return _in_folds(config, defaults, _new(request, gpus, seen), seen)
    lacks: dict[str, Official] = {}  # networks of larger budgets whose weights cannot be had
    for word in reversed(BUDGETS):
        chosen = _new({**request, "budget": word}, gpus, seen)
        chosen = _in_folds(config, defaults, chosen, seen)
        settings = Settings.load(applied(config, defaults, chosen), chosen=chosen)
        takes = _minutes(settings, folder)
        if word == BUDGETS[0]:
            break
        if takes <= budget:
            if chosen.network not in lacks:
                lacks |= pretrained.missing(settings, folder)
            if chosen.network not in lacks:
                break
    why = f"{chosen.why}; budget {word}: about {takes:.1f} of {budget:g} minutes"
    for name, file in lacks.items():
        why += f"; {file.name}, the weights of {name} for a larger one, cannot be had here"
    return replace(chosen, why=why)


def applied(
    config: Mapping[str, Any], defaults: Mapping[str, Any], chosen: Chosen | None
) -> dict[str, Any]:
    """The configuration with the settings of a recipe, where it has defaults.

    A network on a backbone has the layers that were written for it, and none of config.yaml's.
    """
    if chosen is not None:
        recipe = chosen.settings(data_name(config))
        config = in_place_of_defaults(config, defaults, recipe)
    return heads_alone(dict(config), dict(defaults))


def keep(config: Mapping[str, Any], folder: Path, chosen: Chosen) -> None:
    """Keep the recipe of a run with its results."""
    file = place(config, folder)
    request = _request(config)
    if _kept(file, request) == chosen:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"asked": request, "chosen": asdict(chosen)}, indent=1)
    with disk.whole(file) as part:
        part.write_text(text + "\n", encoding="utf-8")


def _minutes(settings: Settings, folder: Path) -> float:
    """Forecast of a run by a recipe, from its beginning, on this machine."""
    gpus = gpus_of_a_job(settings.gpus)
    (dataset,) = settings.run.datasets
    stages: list[tuple[str, dict[str, str]]] = [("index_files", {})]
    stages += [("prepare_images", {"view": view}) for view in settings.views_of(dataset)]
    stages += [("embed_images", {"features": name}) for name in settings.backbones_of(dataset)]
    for fold in settings.folds_of(dataset):
        for model in settings.models_of(dataset):
            for seed in settings.models[model].seeds:
                run = {"fold": fold, "model": model, "seed": str(seed)}
                stages += [("train_model", run), ("extract_features", run)]
        for features, classifier in settings.fits_of(dataset):
            fit = {"fold": fold, "features": features, "classifier": classifier}
            stages.append(("fit_classifier", fit))
    stages += [("evaluate_dataset", {}), ("write_report", {})]
    cores = os.cpu_count() or 1
    threads = min(settings.threads, cores)
    jobs = [
        Job(stage, {"dataset": dataset, **wildcards}, 1 if stage == "fit_classifier" else threads)
        for stage, wildcards in stages
    ]
    expected = forecast(settings, jobs, cores, gpus, folder, ask=False)
    # The rates of `needs` are those of one processor; another's are as its products of matrices.
    slower = 1.0 if gpus else max(1.0, CORE / hardware.multiplications())
    factors = dict.fromkeys(("embed_images", "train_model", "extract_features"), slower)
    return sum(took * factors.get(stage, 1.0) for stage, took in expected.seconds.items()) / 60


def _request(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "data": str(config["data"]),
        "recipe": config.get("recipe", "auto"),
        "budget": config.get("budget", "quick"),
    }


def _kept(file: Path, request: Mapping[str, Any]) -> Chosen | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Chosen(**found["chosen"]) if found["asked"] == dict(request) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sample(source: str) -> Sample | None:
    from darkroom.workflow.sample import sample

    return sample(source)


def _in_folds(
    config: Mapping[str, Any], defaults: Mapping[str, Any], chosen: Chosen, seen: Sample | None
) -> Chosen:
    """The recipe in folds, where a set is small and has no split; as it is, where it cannot be divided so."""
    if chosen.recipe != "transfer" or seen is None or not 0 < (seen.images or 0) < FEW:
        return chosen
    from darkroom.split import plan

    why = f"{chosen.why}; there are only {seen.images}, so each is tested in one of {FOLDS} folds"
    found, dataset = replace(chosen, why=why, folds=FOLDS), data_name(config)
    try:
        settings = Settings.load(applied(config, defaults, found), chosen=found)
        if settings.datasets[dataset].split != Split(folds=FOLDS):
            return chosen
        table = listed_rows(settings, dataset)
        if table is None or table["split"].notna().any():
            return chosen
        cfg: Any = stage_settings(settings, "split_rows", {"dataset": dataset})
        plan.check(table, cfg=cfg)
    except UserError:  # too few images, or groups, of a class; other mistakes are reported later
        return chosen
    return found


def _new(request: Mapping[str, Any], gpus: Any, seen: Sample | None) -> Chosen:
    recipe: Any = request["recipe"]
    budget: Any = request["budget"]
    view = None
    if seen is None:
        why = "the images are not here yet to be looked at"
    else:
        why = f"the images have about {seen.width}×{seen.height} pixels"
        if max(seen.width, seen.height) <= TINY:
            side = max(seen.width, seen.height, LEAST_SIDE)
            view = {"size": side, "color": "gray" if seen.gray else "rgb"}
    if recipe == "auto":
        recipe = "scratch" if view else "transfer"
    else:
        why = "as asked"
    network = None
    if recipe != "scratch":
        count = gpus_of_a_job(gpus) if gpus == "auto" or isinstance(gpus, int) else 0
        network = backbone(budget, count).name
    return Chosen(recipe, budget, why, network, None if recipe == "transfer" else view)
