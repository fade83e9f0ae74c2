"""The report of one data set: its figures, and one page that needs nothing else.

`results` loads everything into one object; a module a section turns it into what its template
shows and into its figures; `page` puts the sections together. Every score is read from the
tables of the evaluation; what is derived here are choices of what to show, and the caveats.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.machine import disk, hardware
from darkroom.report import (
    abstention,
    classes,
    comparison,
    curves,
    drawing,
    earlier,
    feature_map,
    images,
    looked,
    misclassified,
    robustness,
    scores,
    training,
    tuning,
)
from darkroom.report.answer import lines
from darkroom.report.card import card
from darkroom.report.figure_names import FIGURES
from darkroom.report.page import page
from darkroom.report.results import Results, WriteReport, load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

# What draws each figure of `FIGURES`: one with nothing to show says why in words.
DRAW: dict[str, Callable[[Results], Figure]] = {
    "learning_curves.svg": training.figure,
    "comparison.svg": comparison.figure,
    "tuning.svg": tuning.figure,
    "class_counts.svg": images.class_counts_figure,
    "scores.svg": scores.figure,
    "confusion.svg": classes.confusion_figure,
    "calibration.svg": classes.calibration_figure,
    "curves.svg": curves.figure,
    "robustness.svg": robustness.figure,
    "risk.svg": abstention.figure,
    "samples.png": images.samples_figure,
    "augmented.png": images.variants_figure,
    "misclassified.png": misclassified.figure,
    "looked.png": looked.figure,
    "feature_map.svg": feature_map.figure,
}


def write_report(
    *,
    source: str,
    manifest: str,
    unusable: str,
    copies: str,
    splits: str,
    metrics: str,
    summary: str,
    class_metrics: str,
    thresholds: str,
    abstention: str,
    predictions: str,
    audit: str,
    labels: str,
    images: str,
    output: str,
    figures: Sequence[str],
    benchmarks: str,
    stages: Sequence[str],
    cfg: WriteReport,
    robustness: str | Sequence[str] | None = None,
    histories: Sequence[str] = (),
    tuning: Sequence[str] = (),
    augmented: str | Sequence[str] | None = None,
    models: str | Sequence[str] = (),
    views: str | Sequence[str] = (),
    features: str | None = None,
    answer: str | None = None,
    model_card: str | None = None,
) -> None:
    """Draw the figures and write the page.

    Parameters
    ----------
    source, manifest, unusable, copies, splits, metrics, summary, class_metrics, thresholds, abstention,
    predictions, audit, labels :
        paths as in docs/formats.md.
    images : in the view that the report shows.
    output : the page.
    figures : paths whose file names are those of `figure_names.FIGURES`.
    benchmarks : folder of Snakemake's benchmark files; whichever exist are read.
    stages : rules in the order that their times are listed in.
    cfg : settings.
    robustness : `robustness.parquet`; None or empty where it was not measured.
    histories : every `history.csv`.
    tuning : every `best.json` of a search for settings; `trials.csv` stands beside each.
    augmented : the variants in the same view; None or empty where none are stored.
    models : the files of all models, and of what makes their features; none: no heat maps.
    views : image files in every view that a model reads.
    features : a feature set, for the map of its images; None: no map.
    answer : text file to write, the lines that end a run; None: none.
    model_card : Markdown file to write; None: none.

    Raises
    ------
    UserError
        A file is missing or not what it should be.
    ValueError
        `figures` lacks one of `FIGURES`.
    """
    places = {Path(path).name: str(path) for path in figures}
    if missing := [name for name in FIGURES if name not in places]:
        raise ValueError(f"no place is given for {', '.join(missing)}")
    results = load(
        source=source,
        manifest=manifest,
        unusable=unusable,
        copies=copies,
        splits=splits,
        metrics=metrics,
        summary=summary,
        class_metrics=class_metrics,
        thresholds=thresholds,
        abstention=abstention,
        predictions=predictions,
        audit=audit,
        labels=labels,
        robustness=robustness if robustness and isinstance(robustness, str) else None,
        histories=listed(histories),
        searches=listed(tuning),
        images=images,
        augmented=augmented if augmented and isinstance(augmented, str) else None,
        cfg=cfg,
    )
    results = replace(
        results,
        looked=looked.look(results, output, listed(models), listed(views)) if models else None,
        feature_map=feature_map.feature_map(results, features) if features else None,
    )
    for name in FIGURES:
        with drawing.drawing():
            drawing.save(DRAW[name](results), places[name])
    before = earlier.section(results, output)
    html = page(results, places, hardware.costs(benchmarks, stages), before)
    with disk.whole(output) as part:
        part.write_bytes(html.encode("utf-8", "replace"))
    if answer is not None:
        with disk.whole(answer) as part:
            part.write_text("\n".join(lines(results, output)) + "\n", encoding="utf-8")
    if model_card is not None:
        with disk.whole(model_card) as part:
            part.write_bytes(card(results).encode("utf-8", "replace"))
    earlier.keep(results, output)
    log.info("report: %s (%.1f MB)", output, len(html) / 1e6)


def listed(files: str | Sequence[str]) -> Sequence[str]:
    """Files as a list: Snakemake gives one file as a string."""
    return [files] if isinstance(files, str) else files
