"""The section of shortcuts: how well what should not tell the classes does, beside the model."""

from __future__ import annotations

import math
from typing import Any

from darkroom.audit.audit import CHECKS
from darkroom.report.caveat import Caveat, Weight
from darkroom.report.results import Results

TITLES = {
    "header": "Shortcut in the file header",
    "names": "Shortcut in the file names",
    "border": "Shortcut in the border",
    "thumbnail": "A thumbnail suffices",
    "color": "The mean colour suffices",
}
# A network does not see header and names: what they tell, it may have learned from other traces of
# the source. Colours and thumbnails may tell rightly.
WEIGHTS = {"header": Weight.WRONG, "border": Weight.WRONG}


def section(results: Results) -> dict[str, Any]:
    """A line of each check, beside the model's."""
    known = {check.name: check for check in CHECKS}
    score = results.headline
    return {
        "model": score,
        "chance": 1 / max(len(results.split.classes), 1),
        "rows": [
            {"check": check, "found": found, "warns": bool(check.summary(found, _model(results)))}
            for found in results.audit
            if (check := known.get(found.check))
        ],
        "looked": results.audited["rows"],
        "of": results.audited["of"],
    }


def caveats(results: Results) -> list[Caveat]:
    """A warning of each check that tells the classes nearly as well as the model, or gives one away."""
    found = {line.check: line for line in results.audit}
    return [
        Caveat(
            WEIGHTS.get(check.name, Weight.FLATTERS),
            TITLES[check.name],
            sentence,
            "shortcuts",
            "Where the classes come from different sources, the model may have learned the sources.",
        )
        for check in CHECKS
        if check.name in found and (sentence := check.summary(found[check.name], _model(results)))
    ]


def _model(results: Results) -> float:
    """Balanced accuracy of the model, 1 where nothing is known of it."""
    score = results.headline
    value = math.nan if score is None else float(score["balanced_accuracy"])
    return 1.0 if math.isnan(value) else value
