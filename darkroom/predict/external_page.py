"""An external test in words, and as a page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from darkroom.evaluate import intervals
from darkroom.machine import disk
from darkroom.machine.units import plural
from darkroom.predict import unseen
from darkroom.predict.external import NOTHING, OVERALL, External, Value
from darkroom.report import classes, drawing, slices
from darkroom.report.page import environment_of_pages
from darkroom.report.sheets import thumbnail
from darkroom.report.words import number, signed
from darkroom.sources.folders import printable

MOST_WRONG = 24  # pictures that are shown
MOST_CLASSES = 30  # classes that are listed on the terminal
MOST_CELLS = 10  # classes of which the terminal shows who was taken for whom


def lines(test: External) -> Iterator[str]:
    """The external test for a terminal."""
    yield sentence(test)
    yield from (f"! {capital(warning)}." for warning in test.warnings)
    yield ""
    rows = [*_overall(test), *_recalls(test, "recall of ")[:MOST_CLASSES]]
    inside = test.internal
    table = [["", f"external ({test.figures.n:,})"]]
    if inside:
        table[0] += [f"internal ({inside.n:,} {test.part})", "difference"]
    for row in rows:
        cells = [row["name"], _cell(row["external"], number)]
        if inside:
            cells += [_cell(row["internal"], number), _cell(row["apart"], signed)]
        table.append(cells)
    yield from _aligned(table)
    names = [drawing.plain(printable(name), 20) for name in test.model.classes]
    if (k := len(names)) <= MOST_CELLS:
        yield ""
        counts = [
            [name, *(f"{n:.0f}" for n in line)]
            for name, line in zip(names, test.figures.confusion, strict=True)
        ]
        yield from _aligned([["true class, predicted:", *names], *counts])
    if k > MOST_CLASSES:
        yield f"… and the recall of {k - MOST_CLASSES:,} more classes, in external.csv (--out)"
    yield from ("", f"labels {test.how}")
    yield from (f"{capital(note)}." for note in test.notes)


def _aligned(table: list[list[str]]) -> Iterator[str]:
    width = [max(len(cells[i]) for cells in table) for i in range(len(table[0]))]
    for cells in table:
        yield "  ".join(cell.ljust(w) for cell, w in zip(cells, width, strict=True)).rstrip()


def sentence(test: External) -> str:
    """The answer: its accuracy there, and whether it differs from the internal one beyond chance."""
    value, low, high = test.figures.overall["accuracy"]
    bounds = f" (95 % interval {number(low)} to {number(high)})" if math.isfinite(low) else ""
    said = (
        f"On {plural(test.figures.n, 'picture')} {test.model.name} of {test.model.dataset} reaches an "
        f"accuracy of {number(value)}{bounds}"
    )
    if test.internal is None:
        return f"{said}."
    inside = test.internal.overall["accuracy"]
    off, least, most = intervals.apart((value, low, high), inside)
    if not math.isfinite(least):
        return f"{said}; on its own {test.part} images it was {number(inside[0])}."
    word = "less" if off < 0 else "more"
    beyond = (
        f"{number(abs(off))} {word}" if least > 0 or most < 0 else "no more apart than by chance"
    )
    return (
        f"{said}; on its own {test.part} images it was {number(inside[0])}: {beyond} (difference "
        f"{signed(off)}, 95 % interval {signed(least)} to {signed(most)})."
    )


def write(test: External, folder: Path) -> None:
    """Write `external.csv` and `external.html`; see docs/formats.md."""
    folder.mkdir(parents=True, exist_ok=True)
    with disk.whole(folder / "external.csv") as part:
        test.table().to_csv(part, index=False, float_format="%.6f")
    with disk.whole(folder / "external.html") as part:
        part.write_bytes(page(test).encode("utf-8", "replace"))


def page(test: External) -> str:
    """The page."""
    from markupsafe import Markup

    environment, common = environment_of_pages()
    environment.filters["capital"] = capital
    panels = {"external": test.figures} | ({"internal": test.internal} if test.internal else {})
    bins = {}
    for name, figures in panels.items():
        rows = figures.judged.rows
        bins[name] = classes.reliability(figures.confidence, rows.truth == rows.predicted)
    counts = {name: figures.confusion for name, figures in panels.items()}
    svg = {}
    with TemporaryDirectory() as folder:
        for name in ("confusion", "calibration"):
            with drawing.drawing():
                figure = (
                    classes.confusions(counts, test.model.classes)
                    if name == "confusion"
                    else classes.calibration(bins)
                )
                drawing.save(figure, f"{folder}/{name}.svg")
            svg[name] = Markup(drawing.inline(f"{folder}/{name}.svg", name))
    return environment.get_template("external.html").render(
        test=test,
        title=f"{test.model.name} of {test.model.dataset}: external test",
        answer=sentence(test),
        overall=_overall(test),
        recalls=_recalls(test),
        slices=slices.shown(test.slices),
        wrong=_wrong(test),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        **svg,
        **common,
    )


def capital(text: str) -> str:
    """With a capital letter in front."""
    return text[:1].upper() + text[1:]


def _cell(value: Value, words: Any) -> str:
    middle, low, high = value
    return f"{words(middle)} [{words(low)}, {words(high)}]" if math.isfinite(low) else words(middle)


def _overall(test: External) -> list[dict[str, Any]]:
    inside = test.internal.overall if test.internal else {}
    return [
        _row(OVERALL[name], value, inside.get(name, NOTHING))
        for name, value in test.figures.overall.items()
    ]


def _recalls(test: External, front: str = "") -> list[dict[str, Any]]:
    values = test.figures.by_class["recall"]
    inside = test.internal.by_class["recall"] if test.internal else [NOTHING] * len(values)
    support = test.figures.judged.scores.support.tolist()
    own = zip(test.model.classes, support, values, inside, strict=True)
    return [_row(f"{front}{printable(c)}", value, other) | {"n": n} for c, n, value, other in own]


def _row(name: str, external: Value, internal: Value) -> dict[str, Any]:
    apart = intervals.apart(external, internal)
    return {"name": name, "external": external, "internal": internal, "apart": apart}


def _wrong(test: External) -> list[dict[str, Any]]:
    """The wrongly classified pictures that it was surest of, read again as the model sees them."""
    from darkroom.images.resize import size_of

    rows, names = test.figures.judged.rows, test.model.classes
    wrong = np.flatnonzero(rows.truth != rows.predicted)
    wrong = wrong[np.argsort(-test.figures.confidence[wrong], kind="stable")][:MOST_WRONG]
    out = []
    for i in wrong.tolist():
        pixels = np.zeros(size_of(test.model.view), np.uint8)
        place = f"{test.root}/{test.files[i]}"
        unseen.examine(place, pixels, view=test.model.view, policy=test.model.policy)
        truth = names[rows.truth[i]]
        out.append(
            {
                "image": thumbnail(pixels, f"{test.files[i]}: {truth}", shown=112),
                "truth": truth,
                "predicted": names[rows.predicted[i]],
                "confidence": float(test.figures.confidence[i]),
                "path": printable(test.files[i]),
            }
        )
    return out
