"""Networks side by side, and classifiers by feature set: what the page lays next to each other.

The order, and the one that others are compared with, come from the validation images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darkroom.evaluate.comparisons import Difference
from darkroom.evaluate.ranking import Key
from darkroom.report.curves import MOST_MODELS, MOST_TRAINING, WIDE_SPAN, Course, Curve
from darkroom.report.outcome import Told

HEAD = "head"
MOST_VALUE = 60  # letters of a setting's value


@dataclass(frozen=True)
class Group:
    """Networks to compare: of one `compare`, or all of the data set.

    Attributes
    ----------
    name : of the `compare`, or empty for all networks.
    models : the best by validation first. labels : the names to show, in that order.
    by : `validation`, or `first` where there are no validation images to order them by.
    """

    name: str
    models: list[str]
    labels: list[str]
    by: str


def groups(told: Told) -> list[Group]:
    """Each comparison that was asked for; all networks, where no one of these has them all."""
    trained = list(dict.fromkeys(c.model for c in told.curves if len(c.history)))
    sets = {
        name: [m for m in members if m in trained]
        for name, members in told.compared.items()
        if sum(m in trained for m in members) > 1
    }
    if len(trained) > 1 and not any(len(own) == len(trained) for own in sets.values()):
        sets[""] = trained
    ranking = told.choice.ranking if told.choice else []
    at = {key[0]: i for i, key in enumerate(ranking) if key[1] == HEAD}
    by = "first" if told.choice is None or told.choice.by == "first" else "validation"
    out = []
    for name, own in sets.items():
        ordered = sorted(own, key=lambda m: at.get(m, len(at)))
        labels = [m.removeprefix(f"{name}-") if name else m for m in ordered]
        out.append(Group(name, ordered, labels, by))
    return out


def courses(told: Told) -> list[tuple[str, list[tuple[str, Course]]]]:
    """For each group the mean curves of its first networks: what the figure shows."""
    out = []
    for group in groups(told):
        shown = list(zip(group.labels, group.models, strict=True))[:MOST_MODELS]
        out.append(
            (group.name or "all networks", [(n, Course.of(_runs(told, m))) for n, m in shown])
        )
    return out


def _runs(told: Told, model: str) -> list[Curve]:
    return [c for c in told.curves if c.model == model and len(c.history)]


def comparisons(told: Told) -> list[dict[str, Any]]:
    """For each group its table, and in words how the others differ from the best."""
    return [_comparison(told, group) for group in groups(told)]


def _comparison(told: Told, group: Group) -> dict[str, Any]:
    best: Key = (group.models[0], HEAD)
    differ = told.compared.get(group.name, {})
    rows: list[dict[str, Any]] = []
    verdicts: dict[str, list[str]] = {"better": [], "alike": [], "worse": []}
    for label, model in zip(group.labels, group.models, strict=True):
        runs = _runs(told, model)
        score = told.score((model, HEAD), told.part)
        against = None
        if model != best[0] and score is not None:
            against = told.difference((model, HEAD), best)
        if against is not None:
            verdicts[verdict(against)].append(label)
        times = [float(r.history["seconds"].sum()) for r in runs if "seconds" in r.history]
        rows.append(
            {
                "label": label,
                "differs": in_words(differ.get(model, {})),
                "runs": len(runs),
                "loss": _course(runs, "val_loss"),
                "accuracy": _course(runs, "val_accuracy"),
                "seconds": float(np.mean(times)) if times else math.nan,
                "score": score,
                "against": against,
                "verdict": None if against is None else verdict(against),
                "best": model == best[0],
            }
        )
    spans = [r["seconds"] for r in rows[:MOST_MODELS] if r["seconds"] > 0]
    return {
        "name": group.name,
        "by": group.by,
        "rows": rows,
        "best": group.labels[0],
        **verdicts,
        "drawn": min(len(rows), MOST_MODELS),
        "training": len(rows) <= MOST_TRAINING,
        "several": max((r["runs"] for r in rows), default=0) > 1,
        "logarithmic": bool(spans) and min(spans) * WIDE_SPAN < max(spans),
    }


def verdict(against: Difference) -> str:
    """`better` or `worse` than the best by validation; `alike` where chance may explain it."""
    if not against.distinct:
        return "alike"
    return "better" if against.mean > 0 else "worse"


def in_words(differences: Mapping[str, Any]) -> str:
    """Settings in a few words: `optimizer adam, batch 1`."""
    told = []
    for path, value in differences.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        told.append(
            f"{path.removesuffix('.name')} {text if len(text) <= MOST_VALUE else 'its own'}"
        )
    return ", ".join(told)


def _course(runs: Sequence[Curve], column: str) -> dict[str, Any] | None:
    """The last value and the best one, means over runs; the epochs of the best."""
    values = [r.history[column].to_numpy(float) for r in runs if column in r.history]
    values = [v for v in values if np.isfinite(v).any()]
    if not values:
        return None
    pick = np.nanargmax if column.endswith("accuracy") else np.nanargmin
    at = [int(pick(v)) for v in values]
    epochs = [i + 1 for i in at]
    return {
        "last": float(np.mean([v[-1] for v in values])),
        "best": float(np.mean([v[i] for v, i in zip(values, at, strict=True)])),
        "epoch": f"{min(epochs)}"
        if min(epochs) == max(epochs)
        else f"{min(epochs)} to {max(epochs)}",
    }


def matrix(told: Told) -> dict[str, Any] | None:
    """Accuracy of each classifier on each feature set; None where one of the two is only one.

    Both stand in the order of their best member by validation.
    """
    keys = told.choice.ranking if told.choice else []
    keys = [key for key in keys if told.score(key, told.part) is not None]
    sets = list(dict.fromkeys(model for model, _ in keys))
    columns = list(dict.fromkeys(classifier for _, classifier in keys))
    if len(sets) < 2 or len([c for c in columns if c != HEAD]) < 2:
        return None
    known = set(keys)
    rows = [
        (s, [told.score((s, c), told.part) if (s, c) in known else None for c in columns])
        for s in sets
    ]
    chosen = told.choice.key if told.choice and told.choice.by != "first" else None
    return {
        "columns": [told.classifier_name(c) for c in columns],
        "rows": rows,
        "chosen": None if chosen is None else (chosen[0], columns.index(chosen[1])),
    }


def condensed(settings: Mapping[str, Any], compared: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Settings to show: what a comparison's networks share once, then what each has of its own."""
    models = dict(settings.get("models") or {})
    for name, members in compared.items():
        own = {m: models.pop(m) for m in members if m in models}
        if own:
            shared = _shared(list(own.values()))
            parts = {m.removeprefix(f"{name}-"): _rest(s, shared) for m, s in own.items()}
            models[name] = shared | {"compare": parts}
    return {**settings, "models": models} if models else dict(settings)


def _shared(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = settings
    out: dict[str, Any] = {}
    for key, value in first.items():
        if not all(key in o for o in others):
            continue
        same = [o[key] for o in others]
        if all(value == v for v in same):
            out[key] = value
        elif isinstance(value, dict) and all(isinstance(v, dict) for v in same):
            inner = _shared([value, *same])
            if inner:
                out[key] = inner
    return out


def _rest(settings: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in shared:
            out[key] = value
        elif value != shared[key]:
            out[key] = _rest(value, shared[key])
    return out
