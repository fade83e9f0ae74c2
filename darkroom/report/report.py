"""The report of one data set: its figures, and one page that needs nothing else.

The page is written from the files of the earlier stages alone. Every score in it is
read from the tables of the evaluation; what is derived here are choices of what to
show, and the caveats of `darkroom.report.findings`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom import ROOT
from darkroom.evaluate.ranking import Key
from darkroom.machine import disk, hardware
from darkroom.report import curves, findings, side_by_side, tuning_figures
from darkroom.report import figures as draw
from darkroom.report.figure_names import FIGURES
from darkroom.report.findings import number
from darkroom.report.outcome import Told
from darkroom.report.page import page
from darkroom.report.pictures import Pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

TEMPLATE = ROOT / "report" / "template.html"
SHEET_SIDE = 80  # pixels of a thumbnail on a sheet


def write_report(
    *,
    source: str,
    manifest: str,
    unusable: str,
    splits: str,
    metrics: str,
    summary: str,
    class_metrics: str,
    thresholds: str,
    predictions: str,
    images: str,
    output: str,
    figures: Sequence[str],
    benchmarks: str,
    stages: Sequence[str],
    cfg: Mapping[str, Any],
    histories: Sequence[str] = (),
    tuning: str | Sequence[str] = (),
    augmented: str | Sequence[str] | None = None,
    template: str = str(TEMPLATE),
) -> None:
    """Draw the figures and write the page.

    Parameters
    ----------
    source, manifest, unusable, splits, metrics, summary, class_metrics, thresholds, predictions, images :
        paths as in docs/formats.md; `images` in the view that the report shows.
    histories : every `history.csv`, at `{fold}/{model}-seed{seed}/history.csv`.
    tuning : every `best.json` of a search for settings; `trials.csv` stands beside each.
    augmented : the variants in the same view; None or empty where none are stored.
    output : the page. figures : paths whose file names are those of `figure_names.FIGURES`.
    benchmarks : folder of Snakemake's benchmark files; whichever exist are read.
    stages : rules in the order that their times are listed in.
    cfg : `dataset` (its name), `report` (`samples`, `mistakes`), `settings` (shown as they are;
        of `settings["models"]` the keys `keep` and `monitor` tell the epoch kept).

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
    told = Told.read(
        source=source,
        manifest=manifest,
        unusable=unusable,
        split=splits,
        metrics=metrics,
        summary=summary,
        class_metrics=class_metrics,
        thresholds=thresholds,
        predictions=predictions,
        histories=[histories] if isinstance(histories, str) else list(histories),
        images=images,
        augmented=str(augmented) if augmented and isinstance(augmented, str) else None,
        cfg=cfg,
    )
    pictures = Pictures(told)
    searches = tuning_figures.read([tuning] if isinstance(tuning, str) else list(tuning))
    _draw(told, pictures, searches, places)
    tuned = tuning_figures.table(searches)
    html = page(told, pictures, tuned, places, hardware.costs(benchmarks, stages), template)
    with disk.whole(output) as part:
        part.write_bytes(html.encode("utf-8", "replace"))
    log.info("report: %s (%.1f MB)", output, len(html) / 1e6)


def _draw(
    told: Told,
    pictures: Pictures,
    searches: Sequence[tuning_figures.Search],
    places: Mapping[str, str],
) -> None:
    for name in FIGURES:
        with draw.drawing(name):
            if name == "tuning.svg":
                draw.save(tuning_figures.tuning(searches), places[name])
            else:
                draw.save(_figure(name, told, pictures), places[name])


def _figure(name: str, told: Told, pictures: Pictures) -> Figure:
    if name == "learning_curves.svg":
        return curves.learning_curves(told.curves)
    if name == "comparison.svg":
        return curves.comparison(side_by_side.courses(told))
    if name == "class_counts.svg":
        table = findings.counts(told.split.table, told.split.classes, told.split.folds)
        return draw.class_counts(table)
    if name == "scores.svg":
        return _scores(told)
    keys = told.panel_keys()
    if name == "confusion.svg":
        panels = {told.name(k): told.confusion(k) for k in keys}
        return draw.confusions(panels, told.split.classes)
    if name == "calibration.svg":
        bins = {}
        for key in keys:
            said = told.said(key)
            hit = (said["class"] == said["predicted"]).to_numpy()
            bins[told.name(key)] = draw.reliability(said["confidence"].to_numpy(), hit)
        return draw.calibration(bins)
    if name == "samples.png":
        return _samples(pictures)
    if name == "augmented.png":
        heads, lines = pictures.variants()
        if not lines:
            return draw.in_words("No variants are stored for this data set.")
        rows = [(c, [draw.fit(i, SHEET_SIDE) for i in line]) for c, line in lines]
        return draw.sheet(draw.Sheet(rows, heads=heads), side=SHEET_SIDE)
    return _mistakes(told, pictures)


def _scores(told: Told) -> Figure:
    import pandas as pd

    keys = [
        k
        for k in (told.choice.ranking if told.choice else [])
        if told.score(k, told.part) is not None
    ]
    # Several classifiers on several feature sets: those of one set together, the best set first.
    sets = list(dict.fromkeys(model for model, _ in keys))
    grouped = side_by_side.matrix(told) is not None
    if grouped:
        keys = sorted(keys[: draw.MOST_SCORES], key=lambda key: sets.index(key[0]))
    lines = []
    runs: dict[Key, list[float]] = {}
    for key in keys:
        score = told.score(key, told.part)
        assert score is not None
        m = told.metrics
        own = m[(m["model"] == key[0]) & (m["classifier"] == key[1]) & (m["part"] == told.part)]
        runs[key] = own["accuracy"].dropna().tolist()
        lines.append(
            {
                "key": key,
                "name": told.name(key) if not grouped else told.classifier_name(key[1]),
                "group": key[0] if grouped else "",
                "part": told.part,
                "chosen": told.choice is not None
                and key == told.choice.key
                and told.choice.by != "first",
                **{k: score[k] for k in ("accuracy", "accuracy_low", "accuracy_high")},
            }
        )
    if not lines:
        return draw.in_words("Nothing was evaluated, so there are no scores.")
    base = findings.baseline(told.split.table, told.split.folds, told.part)
    return draw.scores(pd.DataFrame(lines), runs, base)


def _samples(pictures: Pictures) -> Figure:
    shown, _ = pictures.samples()
    rows = []
    for name, chosen in shown:
        found = [pictures.image(row) for row in chosen]
        fitted = [draw.fit(i, SHEET_SIDE) for i in found if i is not None]
        if fitted:
            rows.append((name, fitted))
    if not rows:
        return draw.in_words("No image of the chosen classes can be shown.")
    return draw.sheet(draw.Sheet(rows), side=SHEET_SIDE)


def _mistakes(told: Told, pictures: Pictures) -> Figure:
    found, _ = pictures.mistakes()
    images, words = [], []
    for m in found:
        image = pictures.image(m.row)
        if image is not None:
            images.append(draw.fit(image, SHEET_SIDE))
            words.append(
                f"is {draw.plain(m.truth, 15)}\nsaid {draw.plain(m.predicted, 13)}\n"
                f"at {number(m.confidence, 2)}"
            )
    if not images:
        if not told.mistakes:
            return draw.in_words("The settings ask for no mistakes to be shown.")
        return draw.in_words(
            "Nothing was predicted." if told.choice is None else "No image was mistaken."
        )
    at = range(0, len(images), 8)
    content = draw.Sheet(
        [("", images[i : i + 8]) for i in at], captions=[words[i : i + 8] for i in at]
    )
    return draw.sheet(content, side=SHEET_SIDE)
