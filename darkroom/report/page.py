"""The parts of a report's page: each turns what is told into what the template shows."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.machine import hardware
from darkroom.machine.units import duration, plural
from darkroom.report import figures as draw
from darkroom.report import findings, inventory, side_by_side
from darkroom.report.curves import MOST_MODELS, Curve
from darkroom.report.findings import number
from darkroom.report.inventory import Near
from darkroom.report.outcome import Told
from darkroom.report.pictures import Pictures

if TYPE_CHECKING:
    pass

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
}


def page(
    told: Told,
    pictures: Pictures,
    tuned: Sequence[Mapping[str, Any]],
    places: Mapping[str, str],
    costs: list[hardware.Cost],
    template: str,
) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["num"] = number
    environment.filters["count"] = lambda n: f"{n:,}"
    environment.filters["plain"] = draw.plain
    environment.filters["breaks"] = lambda t: Markup(escape(t).replace("_", Markup("_<wbr>")))
    environment.filters["duration"] = duration
    environment.filters["signed"] = findings.signed
    environment.filters["megabytes"] = megabytes

    text = Path(template).read_text(encoding="utf-8")
    script = text.split("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    titles = {
        "learning_curves": "Loss and accuracy by epoch",
        "comparison": "Loss and accuracy of several networks",
        "tuning": "Trials of the searches for settings",
        "class_counts": "Images by class and part",
        "scores": "Accuracy with intervals",
        "confusion": "Confusion matrices",
        "calibration": "Reliability diagrams",
    }
    svg = {n: Markup(draw.inline(places[f"{n}.svg"], t)) for n, t in titles.items()}
    near = inventory.near(told)
    context = {
        "script_digest": f"sha256-{digest}",
        "dataset": told.dataset,
        "part": told.part,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "svg": svg,
        "summary": _summary(told),
        "caveats": _caveats(told, near),
        "results": _results(told),
        "metrics": METRICS,
        "detail": _detail(told),
        "thresholds": _thresholds(told),
        "matrix": side_by_side.matrix(told),
        "comparisons": side_by_side.comparisons(told),
        "judged": any("val_loss" in c.history for c in told.curves),
        "most_scores": draw.MOST_SCORES,
        "most_networks": MOST_MODELS,
        "networks": _networks(told),
        "tuned": tuned,
        "counts": inventory.counts(told),
        "samples": inventory.sample_sheet(pictures),
        "augmented": inventory.augmented_sheet(pictures),
        "mistakes": inventory.mistake_sheet(told, pictures),
        "files": inventory.files(told, pictures, near),
        "notes": told.notes,
        "settings": _yaml(side_by_side.condensed(told.settings, told.compared)),
        "source": told.source,
        "commit": hardware.commit(),
        "versions": hardware.versions(),
        "hardware": hardware.hardware(),
        "costs": costs,
    }
    return environment.from_string(text).render(context)


def megabytes(size: float | None) -> str:
    """Bytes in decimal units."""
    if size is None or not math.isfinite(size):
        return "–"
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size:.0f} bytes"


def _part_sizes(told: Told) -> dict[str, int]:
    fold = told.split.folds[0]
    sizes = told.split.table[fold].value_counts()
    return {p: int(sizes.get(p, 0)) for p in ("train", "validation", "test", "unused")}


def _summary(told: Told) -> dict[str, Any]:
    """What the first paragraph says."""
    sizes = _part_sizes(told)
    models = list(dict.fromkeys(c.model for c in told.curves))
    seeds = {m: len({c.seed for c in told.curves if c.model == m}) for m in models}
    out: dict[str, Any] = {
        "files": len(told.manifest),
        "usable": len(told.split.table),
        "classes": len(told.split.classes),
        "folds": len(told.split.folds),
        "sizes": sizes,
        "models": [
            {"name": m, "seeds": seeds[m], "times": plural(seeds[m], "seed", "seeds")}
            for m in models
        ],
        "classifiers": [c for c in dict.fromkeys(told.summary["classifier"]) if c != "head"],
        "best": None,
        "baseline": findings.baseline(told.split.table, told.split.folds, told.part),
    }
    if told.choice is not None:
        score = told.score(told.choice.key, told.part)
        if score is not None:
            out["best"] = {
                "name": told.name(told.choice.key),
                "by": told.choice.by,
                "score": score,
                "runs": int(score["runs"]),
                "n": int(told.said(told.choice.key)["row"].nunique()),
            }
    return out


def _caveats(told: Told, near: Near) -> list[tuple[str, str]]:
    if told.choice is None:
        return [("Nothing was evaluated", "There are no predictions, so there are no scores.")]
    score = told.score(told.choice.key, told.part)
    if score is None:
        return []
    choice = told.choice
    names = {key: told.name(key) for key in choice.ranking}
    versus = None
    if len(choice.ranking) > 1 and choice.by != "first":
        versus = told.difference(*choice.ranking[:2])
    accuracy = float(score["accuracy"])
    others = {
        key: float(row["accuracy"])
        for key in choice.ranking[1:]
        if (row := told.score(key, told.part)) is not None
    }
    top = max(others, key=lambda k: others[k], default=None)
    better = None
    if told.part == "test" and top is not None and others[top] > accuracy + 5e-4:
        better = (names[top], others[top])
    alike = set(near.table["row"].tolist())
    right = told.right(choice.key)
    rest = right[~right.index.isin(alike)]
    seeds = max(
        (
            len({c.seed for c in told.curves if c.model == m})
            for m in {c.model for c in told.curves}
        ),
        default=0,
    )
    return findings.caveats(
        findings.Facts(
            part=told.part,
            n=len(right),
            low=float(score["accuracy_low"]),
            high=float(score["accuracy_high"]),
            baseline=findings.baseline(told.split.table, told.split.folds, told.part),
            counts=findings.counts(told.split.table, told.split.classes, told.split.folds),
            choice=choice,
            names=names,
            versus=versus,
            better=better,
            seeds=seeds,
            networks=bool(told.curves),
            picked_epoch=any(_picked(c, told.settings) for c in told.curves),
            files=len(told.manifest),
            unusable=int((told.manifest["status"] == "unusable").sum()),
            copies=findings.copies(told.manifest, told.split.table, told.split.folds),
            near=len(alike),
            near_rest=float(rest.mean()) if alike and len(rest) else None,
            grouped=bool(told.manifest["group"].notna().any()),
            folds=len(told.split.folds),
        )
    )


def _picked(curve: Curve, settings: Mapping[str, Any]) -> bool:
    """Did the validation rows choose this network's epoch?"""
    models = settings.get("models")
    spec = models.get(curve.model, {}) if isinstance(models, Mapping) else {}
    seen = "val_loss" in curve.history and bool(curve.history["val_loss"].notna().any())
    return seen and (spec.get("keep", "best") == "best" or bool(spec.get("early_stopping")))


def _results(told: Told) -> list[dict[str, Any]]:
    """A row for each model and classifier, the chosen one first."""
    out = []
    for key in told.choice.ranking if told.choice else []:
        score = told.score(key, told.part)
        if score is None:
            continue
        cells = []
        for metric in METRICS:
            spread = float(score.get(f"{metric}_sd", math.nan))
            cells.append(
                {
                    "value": float(score[metric]),
                    "sd": None if not math.isfinite(spread) or score["runs"] < 2 else spread,
                    "low": float(score[f"{metric}_low"]),
                    "high": float(score[f"{metric}_high"]),
                }
            )
        judged = told.score(key, "validation")
        out.append(
            {
                "model": key[0],
                "classifier": key[1],
                "runs": int(score["runs"]),
                "cells": cells,
                "validation": math.nan if judged is None else float(judged["balanced_accuracy"]),
                "chosen": told.choice is not None
                and key == told.choice.key
                and told.choice.by != "first",
            }
        )
    return out


def _detail(told: Told) -> dict[str, Any] | None:
    """The chosen one, class by class."""
    if told.choice is None or told.score(told.choice.key, told.part) is None:
        return None
    model, classifier = told.choice.key
    names = told.split.classes
    t = told.by_class
    t = t[(t["model"] == model) & (t["classifier"] == classifier) & (t["part"] == told.part)]
    confusion = told.confusion(told.choice.key)
    rows = []
    for k, name in enumerate(names):
        mine = t[t["class"] == name]
        off = confusion[k].copy()
        off[k] = 0
        taken = int(off.argmax()) if off.sum() > 0 else None
        folds = max(mine["fold"].nunique(), 1)
        line: dict[str, Any] = {
            "name": name,
            "n": float(mine["n"].mean() * folds) if len(mine) else 0.0,
            "taken": None if taken is None else names[taken],
            "taken_share": None if taken is None else float(off[taken] / confusion[k].sum()),
        }
        line["cells"] = [
            {s or "value": float(mine[f"{m}{s}"].mean()) for s in ("", "_low", "_high")}
            for m in ("precision", "recall", "f1", "roc_auc")
        ]
        rows.append(line)
    return {
        "name": told.name(told.choice.key),
        "rows": rows,
        "runs": int(t[["feature_set", "fold"]].drop_duplicates().shape[0]),
        "matrix": len(names) <= draw.MOST_CELLS,
        "panels": [told.name(k) for k in told.panel_keys()] if len(names) <= 12 else [],
    }


def _thresholds(told: Told) -> dict[str, Any] | None:
    """From which probability on each run of the chosen one calls the second of two classes."""
    if told.choice is None:
        return None
    model, classifier = told.choice.key
    t = told.thresholds
    t = t[(t["model"] == model) & (t["classifier"] == classifier)]
    if not len(t):
        return None
    rates = ("sensitivity", "specificity", "precision")
    return {
        "positive": str(t["positive"].iloc[0]),
        "negative": told.split.classes[0],
        "how": str(t["how"].iloc[0]).replace("_", " "),
        "rows": [
            {
                "run": str(row["feature_set"]),
                "fold": str(row["fold"]),
                "threshold": f"{float(row['threshold']):.4g}",
                "rates": [float(row[f"{told.part}_{rate}"]) for rate in rates],
            }
            for _, row in t.iterrows()
        ],
    }


def _networks(told: Told) -> list[dict[str, Any]]:
    """Each network's runs: epochs, the epoch kept, seconds."""
    out = []
    for model in dict.fromkeys(c.model for c in told.curves):
        runs = [c for c in told.curves if c.model == model and len(c.history)]
        if not runs:
            continue
        seconds = [float(c.history["seconds"].sum()) for c in runs if "seconds" in c.history]
        kept = [c.kept for c in runs if c.kept is not None]
        out.append(
            {
                "name": model,
                "runs": len(runs),
                "epochs": _range([len(c.history) for c in runs]),
                "kept": _range(kept) if kept else "–",
                "seconds": float(np.mean(seconds)) if seconds else math.nan,
            }
        )
    return out


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low}" if low == high else f"{low} to {high}"


def _yaml(settings: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(
        json.loads(json.dumps(settings)),
        sort_keys=False,
        allow_unicode=True,
        width=88,
        default_flow_style=None,
    ).strip()
