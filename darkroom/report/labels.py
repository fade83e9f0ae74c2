"""The section of labels that are likely wrong."""

from __future__ import annotations

from typing import Any

from darkroom.machine.units import plural
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.results import Results
from darkroom.report.sheets import thumbnail
from darkroom.report.words import share

MOST = 24
MANY = 0.01
"""Share of the labels in doubt, from which it is a warning: of clean data a few are always hard."""
LEAST = 5
WEAK = 0.15
"""Share of the other labels that the classifier would call otherwise, from which it is too weak to doubt many."""


def section(results: Results) -> dict[str, Any]:
    """The most doubtful images, how many there are, and the outliers."""
    label = results.manifest.set_index("row")["label"]
    shown, far = [], []
    for one in results.checked["outliers"][:MOST]:
        image, path = results.image(one["row"]), str(results.paths.get(one["row"], ""))
        if image is not None:
            name = str(label.get(one["row"], ""))
            far.append((one, name, path, thumbnail(image, f"{path}: {name}", shown=112)))
    for line in results.doubtful.head(MOST).to_dict("records"):
        image, path = results.image(line["row"]), str(results.paths.get(line["row"], ""))
        if image is not None:
            shown.append((line, path, thumbnail(image, f"{path}: {line['label']}", shown=112)))
    return {
        "shown": shown,
        "total": len(results.doubtful),
        "outlying": far,
        "weak": weak(results),
    } | results.checked


def weak(results: Results) -> bool:
    """Whether the classifier is wrong too often for many doubts to mean wrong labels."""
    n, of = len(results.doubtful), int(results.checked["rows"])
    return bool(results.checked["disagree"] * of - n > WEAK * (of - n))


def caveats(results: Results) -> list[Caveat]:
    """A warning where more labels are in doubt than clean data has hard images."""
    n, of = len(results.doubtful), int(results.checked["rows"])
    if n < max(LEAST, MANY * of) or weak(results):
        return []
    return [
        Caveat(
            Weight.LIMIT,
            "Likely wrong labels",
            f"{plural(n, 'label', 'labels')} of {of:,} ({share(n, of)}) "
            f"{'is' if n == 1 else 'are'} likely wrong: another class is far more probable.",
            "labels",
            "Wrong labels among the test images make the scores wrong too; among the training images "
            "they make the model worse.",
        )
    ]
