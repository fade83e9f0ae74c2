"""The end of a run in a few lines: the best result in words, where the report lies, what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path

from darkroom.report import caveats
from darkroom.report.results import Results, heading


def lines(results: Results, page: str) -> list[str]:
    """What a person wants to know when a run has ended.

    Parameters
    ----------
    results : of the data set.
    page : path of its report.
    """
    recipe = results.cfg["recipe"]
    folder = shlex.quote(str(Path(page).parent))
    best = sentence(results)
    found = [f"{results.cfg['dataset']}: {best}", recipe["sentence"] if recipe else ""]
    found += [f"{caveat.title}: {caveat.sentence}" for caveat in caveats.first(results)]
    found += [f"Report: {page}", f"New pictures: python -m darkroom predict {folder} FOLDER"]
    if recipe and recipe["more"]:
        found.append(f"For more: {recipe['more']}")
    return [line for line in found if line]


def sentence(results: Results) -> str:
    """The best result, and what it means."""
    choice, score = results.choice, results.headline
    if choice is None or score is None:
        return "Nothing was evaluated."
    name = heading(choice.key)
    if results.by_fold:
        name = f"what each fold's validation images choose (over all folds {name})"
    by = {"validation": ", the best by the validation images,", "only": "", "first": ", the first,"}
    right, low, high = (
        _percent(float(score[key])) for key in ("accuracy", "accuracy_low", "accuracy_high")
    )
    between = f", between {low} and {high}" if "nan" not in (low, high) else ""
    new = "new pictures" if results.part == "test" else "the pictures that it was chosen by"
    return (
        f"{name}{'' if results.by_fold else by[choice.by]} is right on about {right} of "
        f"100 {new}{between}."
    )


def _percent(share: float) -> str:
    """A share of 100, with a digit behind the point where it is nearly all."""
    return f"{100 * share:.1f}" if 0.98 < share < 1 else f"{100 * share:.0f}"
