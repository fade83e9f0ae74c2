"""The first paragraph of the page: the data, what was trained, the best result."""

from __future__ import annotations

from typing import Any

from darkroom.evaluate.ranking import CHOSEN
from darkroom.machine.units import plural
from darkroom.names import HEAD
from darkroom.report.results import Results, heading


def section(results: Results) -> dict[str, Any]:
    """What the first paragraph says."""
    split = results.split
    sizes = split.table[split.folds[0]].value_counts()
    seeds: dict[str, set[int]] = {}
    for curve in results.curves:
        seeds.setdefault(curve.model, set()).add(curve.seed)
    out: dict[str, Any] = {
        "usable": len(split.table),
        "classes": len(split.classes),
        "folds": len(split.folds),
        "sizes": {part: int(sizes.get(part, 0)) for part in ("train", "validation", "test")},
        "models": [
            {"name": model, "times": plural(len(own), "seed", "seeds")}
            for model, own in seeds.items()
        ],
        "classifiers": [
            c for c in dict.fromkeys(results.summary["classifier"]) if c not in (HEAD, CHOSEN[1])
        ],
        "layout": results.layout,
        "warnings": results.warnings,
        "given": _given(results),
        "best": None,
        "baseline": results.baseline,
        "recipe": results.cfg["recipe"],
    }
    score = results.headline
    if results.choice is not None and score is not None:
        key, by = results.choice.key, results.choice.by
        by = "fold" if results.by_fold else by
        grouped = bool(results.manifest["group"].notna().any())
        groups = int(score["groups"]) if grouped else None
        out["best"] = {"name": heading(key), "by": by, "score": score, "groups": groups}
    return out


def _given(results: Results) -> list[tuple[str, int, list[str]]]:
    """Each given part, its images, and what they became where that is another part."""
    split = results.split
    if len(split.folds) > 1 or not split.table["given"].notna().any():
        return []
    out = []
    for part in ("train", "validation", "test"):
        place = split.table.loc[split.table["given"] == part, split.folds[0]]
        others = place[place != part].value_counts()
        if len(place):
            out.append((part, len(place), [f"{n:,} {to}" for to, n in others.items()]))
    return out
