"""The caveats: what a reader must know beside the scores.

Everything here is derived from the files; nothing is left to the reader's vigilance. `caveat` says
how to add one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.evaluate.comparisons import Difference, verdicts
from darkroom.evaluate.intervals import LEAST_GROUPS
from darkroom.evaluate.ranking import Choice
from darkroom.machine.units import plural
from darkroom.report import copies, labels, proposed, robustness, shortcuts, slices
from darkroom.report.caveat import MOST, Caveat, Weight
from darkroom.report.results import Curve, Results, heading
from darkroom.report.words import number, share, signed

if TYPE_CHECKING:
    import pandas as pd

FEW_GROUPS = 50  # below which intervals by groups hold a little less surely
FEW = 20  # test images of a class, below which its own figures say little
UNEVEN = 1.5  # largest class over smallest, from which accuracy alone misleads
MANY_UNUSABLE = 0.05  # share of the files, from which it is no longer a note
WIDE = 0.02  # half an interval, from which a reader should be warned


# What each contributes, in the order in which caveats of one weight stand.
SOURCES: list[Callable[[Results], list[Caveat]]] = [
    copies.caveats,
    shortcuts.caveats,
    labels.caveats,
    slices.caveats,
    robustness.caveats,
    proposed.caveats,
    lambda results: caveats(found) if (found := facts(results)) else [],
]


def collected(results: Results) -> list[Caveat]:
    """The caveats of all sources, the heaviest first; the page, the answer and the card have the same list."""
    if "caveats" not in results.derived:
        found = [caveat for source in SOURCES for caveat in source(results)]
        results.derived["caveats"] = sorted(found, key=lambda caveat: -caveat.weight)
    kept: list[Caveat] = results.derived["caveats"]
    return kept


def first(results: Results) -> list[Caveat]:
    """The caveats of the first screen."""
    return _first(collected(results))


def _first(found: list[Caveat]) -> list[Caveat]:
    return [caveat for caveat in found if caveat.weight > Weight.NOTE][:MOST]


def section(results: Results) -> dict[str, Any]:
    """All caveats, and the notes of the stages."""
    found = collected(results)
    return {
        "notice": str(results.summary.attrs.get("notice", "")),
        "first": _first(found),
        "list": found,
        "notes": results.notes,
    }


def facts(results: Results) -> Facts | None:
    """What the caveats are derived from; None where nothing was evaluated."""
    choice, score = results.choice, results.headline
    if choice is None or score is None or results.reported is None:
        return None
    names = {key: heading(key) for key in choice.ranking}
    versus = None
    if len(choice.ranking) > 1 and choice.by != "first":
        versus = results.difference(*choice.ranking[:2])
    others = {
        key: float(row["accuracy"])
        for key in choice.ranking[1:]
        if (row := results.score(key, results.part)) is not None
    }
    top = max(others, key=lambda k: others[k], default=None)
    better = None
    if results.part == "test" and top is not None and others[top] > score["accuracy"] + 5e-4:
        better = (names[top], others[top])
    seeds: dict[str, set[int]] = {}
    for curve in results.curves:
        seeds.setdefault(curve.model, set()).add(curve.seed)
    usable = results.manifest["status"] != "unusable"
    return Facts(
        part=results.part,
        n=len(results.right(results.reported)),
        low=float(score["accuracy_low"]),
        high=float(score["accuracy_high"]),
        baseline=results.baseline,
        counts=results.counts,
        choice=choice,
        names=names,
        versus=versus,
        better=better,
        seeds=max(map(len, seeds.values()), default=0),
        networks=bool(results.curves),
        picked_epoch=any(_picked(curve, results) for curve in results.curves),
        files=len(results.manifest),
        unusable=int((results.manifest["status"] == "unusable").sum()),
        grouped=bool(results.manifest["group"].notna().any()),
        groups=int(score["groups"]),
        groupless=int(results.manifest.loc[usable, "group"].isna().sum()),
        folds=len(results.split.folds),
        by_fold=results.by_fold,
    )


def _picked(curve: Curve, results: Results) -> bool:
    """Whether the validation rows chose this network's epoch."""
    seen = "val_loss" in curve.history and bool(curve.history["val_loss"].notna().any())
    chosen: dict[str, Any] = {**results.cfg["networks"][curve.model]}
    for search in results.searches:  # a search may have chosen other settings
        best = search.best
        if "classifier" not in best and (best["model"], best["fold"]) == (curve.model, curve.fold):
            chosen |= best["params"]
    return seen and (chosen["keep"] == "best" or bool(chosen["early_stopping"]))


@dataclass(frozen=True)
class Facts:
    """What the caveats are derived from; see `caveats`."""

    part: str
    n: int
    low: float
    high: float
    baseline: float | None
    counts: pd.DataFrame
    choice: Choice
    names: dict[tuple[str, str], str]
    versus: Difference | None
    better: tuple[str, float] | None
    seeds: int
    networks: bool
    picked_epoch: bool
    files: int
    unusable: int
    grouped: bool
    groups: int
    groupless: int
    folds: int
    by_fold: bool


def caveats(f: Facts) -> list[Caveat]:
    """What follows from the scores, the split and the files."""
    out: list[Caveat] = []
    if f.part != "test":
        out.append(
            Caveat(
                Weight.FLATTERS,
                "No test images",
                "The split has no test part, so all scores are of the validation images, on which "
                "epochs and the best classifier were chosen too: they flatter.",
                "images",
            )
        )
    half = (f.high - f.low) / 2
    if math.isfinite(half) and half > WIDE:
        out.append(
            Caveat(
                Weight.LIMIT,
                "Wide interval",
                f"{f.n:,} {f.part} images pin the accuracy down only to about ±{half:.3f}.",
                "results",
            )
        )
    out += _few_groups(f)
    out += _uneven(f)
    out += _runner_up(f)
    out += _groups(f)
    out += _use_of_parts(f)
    if f.networks and f.seeds == 1:
        out.append(
            Caveat(
                Weight.NOTE,
                "One seed",
                "Each network was trained once, so how much another random start would change is "
                "not known; the intervals cover the choice of images only.",
                "training",
            )
        )
    few = f.counts[f.part] if f.folds == 1 else f.counts[f.part] * f.folds
    scarce = few[few < FEW].sort_values(kind="stable")
    if len(scarce):
        named = ", ".join(f"{name} ({value:,.0f})" for name, value in scarce.head(8).items())
        rest = f" and {len(scarce) - 8:,} more" if len(scarce) > 8 else ""
        out.append(
            Caveat(
                Weight.LIMIT,
                "Classes with few images",
                f"Fewer than {FEW} {f.part} images: {named}{rest}.",
                "images",
                "Read the figures of these classes with their intervals.",
            )
        )
    if f.unusable:
        out.append(
            Caveat(
                Weight.LIMIT if f.unusable > MANY_UNUSABLE * f.files else Weight.NOTE,
                "Unusable files",
                f"{f.unusable:,} of {f.files:,} files ({share(f.unusable, f.files)}) could not be "
                "used and are in no figure here.",
                "unusable",
                "Each is named with its reason.",
            )
        )
    return out


def _few_groups(f: Facts) -> list[Caveat]:
    if not f.grouped or f.groups >= FEW_GROUPS:
        return []
    if not math.isfinite(f.low):
        return [
            Caveat(
                Weight.LIMIT,
                "No interval",
                f"The {f.part} images are of {plural(f.groups, 'group', 'groups')}, or nearly all of "
                "fewer, so no interval is given.",
                "results",
                f"Fewer than {LEAST_GROUPS} of one size do not tell how much groups differ.",
            )
        ]
    return [
        Caveat(
            Weight.LIMIT,
            "Few groups",
            f"The {f.part} images are of {f.groups} groups, so the interval is less sure.",
            "results",
            "Images of a group are not independent, so the intervals count groups; with fewer than "
            f"{FEW_GROUPS} of unequal size they may hold the true value a little more seldom or more "
            "often than 95 times in 100.",
        )
    ]


def _uneven(f: Facts) -> list[Caveat]:
    total = f.counts[["train", "validation", "test"]].sum(axis=1)
    total = total[total > 0]
    if not len(total) or total.max() / total.min() < UNEVEN:
        return []
    always = (
        ""
        if f.baseline is None
        else f" Always predicting the most frequent class would reach {number(f.baseline)}."
    )
    return [
        Caveat(
            Weight.LIMIT,
            "Uneven classes",
            f"{total.idxmax()} has {total.max() / total.min():.1f} times as many images as "
            f"{total.idxmin()}.",
            "images",
            f"Balanced accuracy, which counts each class alike, stands beside accuracy.{always}",
        )
    ]


def _runner_up(f: Facts) -> list[Caveat]:
    out = []
    if f.versus is not None and len(f.choice.ranking) > 1:
        second = f.names[f.choice.ranking[1]]
        d = f.versus
        if verdicts([d])[0] in ("alike", "unknown"):
            between = f" ({signed(d.low)} to {signed(d.high)})" if math.isfinite(d.low) else ""
            words = (
                "both were right on the very same images"
                if not d.discordant
                else f"on the same images their balanced accuracy differs by {signed(d.mean)}{between}"
            )
            if not d.started:
                words += "; one random start each does not tell more"
            out.append(
                Caveat(
                    Weight.NOTE,
                    "Not distinguishable",
                    f"The best and the runner-up, {second}: {words}.",
                    "results",
                )
            )
    if f.better is not None:
        name, value = f.better
        out.append(
            Caveat(
                Weight.NOTE,
                "Another scores higher on the test",
                f"{name} reaches {number(value)} there.",
                "results",
                "It is not called the best: what is chosen by the test images can no longer be "
                "judged by them.",
            )
        )
    return out


def _groups(f: Facts) -> list[Caveat]:
    out = []
    if not f.grouped:
        out.append(
            Caveat(
                Weight.NOTE,
                "No groups",
                "Nothing says which images belong together (one patient, one scene, one video); "
                "if some do, name their groups in the settings, or the scores will be too good.",
                "settings",
            )
        )
    elif f.groupless:
        out.append(
            Caveat(
                Weight.LIMIT,
                "Images without a group",
                f"{f.groupless:,} of {f.files - f.unusable:,} usable images have no group, as the "
                "expression or column names none for them: each counts as a group by itself.",
                "settings",
            )
        )
    return out


def _use_of_parts(f: Facts) -> list[Caveat]:
    if f.part != "test":
        return []
    uses = []
    if f.picked_epoch:
        uses.append("the epoch of each network whose weights were kept")
    if f.choice.by == "validation":
        uses.append("the best of the classifiers")
    chosen = (
        f"The validation images chose {' and '.join(uses)}, so validation scores flatter a little. "
        if uses
        else ""
    )
    later = "Settings changed after reading this page make them less of a test."
    if f.by_fold:
        return [
            Caveat(
                Weight.NOTE,
                "Chosen within each fold",
                "In each fold its own validation images chose, and its test images, which "
                "chose nothing there, judged what was chosen: this is the score at the top.",
                "results",
                f"{chosen}The validation images of a fold are test images of others. So the row of "
                "the table that is marked as the best over all folds, and the figures of it, owe a "
                f"part of their scores to luck: they flatter. {later}",
            )
        ]
    return [
        Caveat(
            Weight.NOTE,
            "Test images used once",
            "The test images chose nothing: they were used for the scores here.",
            "results",
            f"{chosen}{later}",
        )
    ]
