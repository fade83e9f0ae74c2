"""Choose the best setting of a search, and rate the importance of each setting."""

from __future__ import annotations

import csv
import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from darkroom.errors import UserError
from darkroom.features.predictions import Run
from darkroom.machine import disk
from darkroom.overrides import cell, in_words
from darkroom.tune.trials import SMALLER_IS_BETTER, coded, distributions, write

log = logging.getLogger(__name__)

# Least number of finished trials for importances. In simulated searches over four settings, 6
# trials identified the most important one in two of three searches, 12 in nearly all.
ENOUGH = 6


class ChooseSetting(TypedDict):
    """Names of a network's search, for messages."""

    dataset: str
    fold: str
    model: str


class ChooseClassifierSetting(TypedDict):
    """Names of a classifier's search, for messages."""

    dataset: str
    fold: str
    features: str
    classifier: str


def choose_setting(trials: Sequence[str], *, best: str, table: str, cfg: ChooseSetting) -> None:
    """Choose the setting of a network with the best value; the earliest trial of equals.

    Parameters
    ----------
    trials : every `trial-{n}.json` of a search.
    best : `best.json` to write.
    table : `trials.csv` to write, one row per trial.
    cfg : settings of the stage.

    Raises
    ------
    UserError
        No trial finished, or the trials have different settings, inputs or code.
    """
    _choose(trials, best, table, "{model} on {dataset}, {fold}".format(**cfg))


def choose_classifier_setting(
    trials: Sequence[str], *, best: str, table: str, cfg: ChooseClassifierSetting
) -> None:
    """Choose the setting of a classifier; parameters and errors as those of `choose_setting`."""
    _choose(trials, best, table, "{classifier} on {features} of {dataset}, {fold}".format(**cfg))


def _choose(trials: Sequence[str], best: str, table: str, name: str) -> None:
    records = sorted(
        (json.loads(Path(path).read_text(encoding="utf-8")) for path in trials),
        key=lambda r: r["trial"],
    )
    folder = Path(best).parent
    if len({r["digest"] for r in records}) > 1:
        raise UserError(
            f"{folder} has trials of different settings, inputs or code: delete it and run again"
        )
    states = Counter(r["state"] for r in records)
    finished = [r for r in records if r["state"] == "complete"]
    if not finished:
        reasons = Counter(r["reason"] for r in records)
        why = "; ".join(f"{reason} ({n} of {len(records)})" for reason, n in reasons.most_common())
        raise UserError(f"{name}: no trial finished: {why}; change `tune.space`")
    sign = 1 if records[0]["objective"] in SMALLER_IS_BETTER else -1
    top = min(finished, key=lambda r: (sign * r["value"], r["trial"]))
    weights, note = importances(records)
    keep = ("dataset", *Run._fields)
    chosen = {k: top[k] for k in keep if k in top} | {
        "params": top["params"],
        "value": top["value"],
        "objective": top["objective"],
        "trial": top["trial"],
        "trials": len(records),
        "complete": states["complete"],
        "pruned": states["pruned"],
        "failed": states["failed"],
        "importances": weights,
        "note": note,
        "space": top["space"],
        "search_seed": top["search_seed"],
        "digest": top["digest"],
    }
    _write_table(Path(table), records)
    write(Path(best), chosen)
    others = [f"{states[s]} {s}" for s in ("pruned", "failed") if states[s]]
    log.info(
        "best of %d trials%s: trial %d, %s %.4g: %s",
        len(records),
        f" ({', '.join(others)})" if others else "",
        top["trial"],
        top["objective"],
        top["value"],
        in_words(top["params"]),
    )


def importances(records: Sequence[dict[str, Any]]) -> tuple[dict[str, float] | None, str]:
    """Importance of each setting, with sum 1, or None and the reason.

    PED-ANOVA (Watanabe et al. 2023, IJCAI, arXiv:2304.10255) compares the settings of the
    better half of the finished trials with those of all. The default, the better tenth, is one
    trial in a small search. With the half, PED-ANOVA identified the most important setting of
    simulated searches more often than fANOVA.

    Parameters
    ----------
    records : contents of the `trial-{n}.json` of a search.
    """
    finished = [r for r in records if r["state"] == "complete"]
    if len(finished) < ENOUGH:
        return None, f"{len(finished)} trials came to their end; {ENOUGH} are needed"
    if len({r["value"] for r in finished}) == 1:
        return None, "all trials have the same value"
    import warnings

    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = distributions(finished[0]["space"])
    smaller = finished[0]["objective"] in SMALLER_IS_BETTER
    study = optuna.create_study(direction="minimize" if smaller else "maximize")
    for record in finished:
        study.add_trial(
            optuna.trial.create_trial(
                value=record["value"],
                params={k: coded(k, v, space) for k, v in record["params"].items()},
                distributions=space,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.5)
        )
    return {path: round(float(found.get(path, 0.0)), 4) for path in space}, ""


def _write_table(place: Path, records: Sequence[dict[str, Any]]) -> None:
    paths = list(records[0]["space"])
    with disk.whole(place) as part, part.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "state", "value", *paths, "epochs", "seconds", "reason"])
        for r in records:
            params = [cell(r["params"][path]) for path in paths]
            value = "" if r["value"] is None else f"{r['value']:.6g}"
            rows.writerow(
                [
                    r["trial"],
                    r["state"],
                    value,
                    *params,
                    r["epochs"],
                    r["seconds"],
                    cell(r["reason"]),
                ]
            )
