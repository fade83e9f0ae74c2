"""The page: the values of each section go into its template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from darkroom import ROOT
from darkroom.machine import hardware
from darkroom.machine.units import duration
from darkroom.report import (
    abstention,
    answer,
    caveats,
    classes,
    comparison,
    drawing,
    feature_map,
    files,
    images,
    labels,
    looked,
    misclassified,
    origin,
    robustness,
    scores,
    shortcuts,
    slices,
    summary,
    training,
    tuning,
    words,
)
from darkroom.report.results import Results

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = ROOT / "report" / "page"
SVG = {
    "learning_curves": "Loss and accuracy by epoch",
    "comparison": "Loss and accuracy of several networks",
    "tuning": "Trials of the searches for settings",
    "class_counts": "Images by class and part",
    "scores": "Accuracy with intervals",
    "confusion": "Confusion matrices",
    "calibration": "Reliability diagrams",
    "curves": "ROC and precision-recall curves",
    "feature_map": "Map of the images by their features; the text below describes it",
    "robustness": "Accuracy on images that were made worse, by strength",
    "risk": "Accuracy of the most confident images",
}


def page(
    results: Results,
    figures: Mapping[str, str],
    costs: list[hardware.Cost],
    earlier: list[dict[str, Any]],
) -> str:
    """The whole page.

    Parameters
    ----------
    figures : the path of each figure by its file's name.
    costs : time and memory of each stage.
    earlier : runs with other settings, as `earlier.section` gives them.
    """
    from markupsafe import Markup

    environment, common = environment_of_pages()
    sections: dict[str, Any] = {
        "summary": summary.section(results),
        "caveats": caveats.section(results),
        "scores": scores.section(results),
        "classes": classes.section(results),
        "abstention": abstention.section(results),
        "shortcuts": shortcuts.section(results),
        "slices": slices.section(results),
        "robustness": robustness.section(results),
        "comparison": comparison.section(results),
        "training": training.section(results),
        "tuning": tuning.section(results),
        "images": images.section(results),
        "misclassified": misclassified.section(results),
        "looked": looked.section(results),
        "feature_map": feature_map.section(results),
        "labels": labels.section(results),
        "files": files.section(results),
        "earlier": earlier,
        "settings": origin.settings(results),
        "origin": origin.section(results, costs),
    }
    return environment.get_template("page.html").render(
        sections,
        title=f"{results.cfg['dataset']}: Darkroom report",
        dataset=results.cfg["dataset"],
        answer=answer.sentence(results),
        part=results.part,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        svg={n: Markup(drawing.inline(figures[f"{n}.svg"], title)) for n, title in SVG.items()},
        **common,
    )


def environment_of_pages() -> tuple[Environment, dict[str, Any]]:
    """What renders a page of Darkroom's: the templates, and the values that every page needs."""
    from markupsafe import Markup

    script = f"\n{(TEMPLATES / 'page.js').read_text(encoding='utf-8')}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    common = {
        "numbers": {"Figure": 0, "Table": 0},
        "script": Markup(script),
        "script_digest": f"sha256-{digest}",
    }
    return _templates(), common


@cache
def _templates() -> Environment:
    """The templates; to read them takes as long as to fill them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "num": words.number,
        "count": lambda n: f"{n:,}",
        "plain": drawing.plain,
        "breaks": lambda t: Markup(escape(t).replace("_", Markup("_<wbr>"))),
        "duration": duration,
        "signed": words.signed,
        "megabytes": words.megabytes,
    }
    return environment
