"""What goes into a paper: the main tables and the paragraph on methods as LaTeX, figures as PDF.

The tables want LaTeX's packages booktabs and, with more than `MOST` rows, longtable; each file is to
be read by its command `input`. Names in other scripts than the document's font has want XeLaTeX or
LuaLaTeX. The PDFs hold the used glyphs of their fonts as TrueType (type 42): journals refuse type 3.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.machine import disk
from darkroom.report import card, classes, drawing, feature_map, scores
from darkroom.report.report import DRAW, listed
from darkroom.report.results import Results, WriteReport, heading, load
from darkroom.report.words import number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

MOST = 40  # rows of a table that stays on a page
SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "–": "--",
        "−": r"\ensuremath{-}",
        "±": r"\ensuremath{\pm}",
        "×": r"\ensuremath{\times}",
        **{mark: f"\\{mark}" for mark in "{}$&#_%"},
    }
)


def write_paper(
    *,
    tables: str,
    methods: str,
    figures: Sequence[str],
    cfg: WriteReport,
    histories: str | Sequence[str] = (),
    tuning: str | Sequence[str] = (),
    robustness: str | Sequence[str] | None = None,
    features: str | None = None,
    **files: str,
) -> None:
    """Write tables, the paragraph on methods, and figures.

    Parameters
    ----------
    tables, methods : the `.tex` files to write.
    figures : PDF files to write; each has the name of an SVG of the report.
    cfg : settings.
    histories, tuning, robustness, features, files : as `report.write_report` has them.

    Raises
    ------
    UserError
        A file is missing or not what it should be.
    """
    results = load(
        **files,
        histories=listed(histories),
        searches=listed(tuning),
        robustness=robustness if robustness and isinstance(robustness, str) else None,
        augmented=None,
        cfg=cfg,
    )
    if features is not None:
        results = replace(results, feature_map=feature_map.feature_map(results, features))
    for path, text in ((tables, latex(results)), (methods, escaped(card.methods(results)) + "\n")):
        with disk.whole(path) as part:
            part.write_text(text, encoding="utf-8")
    for path in figures:
        name = f"{Path(path).stem}.svg"
        with drawing.drawing():
            save(DRAW[name](results), path)
    log.info("paper: %s", Path(tables).parent)


def save(figure: Figure, path: str) -> None:
    """Write a figure as PDF with its fonts inside, whole or not at all; no date in it."""
    import matplotlib

    with disk.whole(path) as part, matplotlib.rc_context({"pdf.fonttype": 42}):
        figure.savefig(part, format="pdf", metadata={"CreationDate": None, "Creator": None})


def escaped(text: object) -> str:
    """Text in which nothing is a command of LaTeX's, on one line."""
    return drawing.plain(" ".join(str(text).split()), 10_000).translate(SPECIAL)


def latex(results: Results) -> str:
    """All tables, each with its caption and label."""
    part, dataset = results.part, results.cfg["dataset"]
    tables = [_counts(results)]
    if results.ranking:
        tables.append(_scores(results))
    if found := classes.section(results):
        caption = f"Each class of the {part} images by {found['name']}, with 95 % intervals."
        heads = ["class", "images", "precision", "recall", "F1", "ROC AUC"]
        rows = [
            [row["name"], f"{row['n']:.0f}", *(_interval(c, "_") for c in row["cells"])]
            for row in found["rows"]
        ]
        tables.append(table("classes", caption, heads, rows))
    head = (
        f"% {escaped(dataset)}, by Darkroom. In the preamble: \\usepackage{{booktabs, longtable}}"
    )
    return "\n\n".join([head, *tables]) + "\n"


def _counts(results: Results) -> str:
    parts = ["train", "validation", "test"]
    rows = [
        [str(name), *(f"{line[part]:,.0f}" for part in parts)]
        for name, line in results.counts.iterrows()
    ]
    mean = ", the mean over folds" if len(results.split.folds) > 1 else ""
    return table("images", f"Images of each class by part{mean}.", ["class", *parts], rows)


def _scores(results: Results) -> str:
    found = scores.section(results)
    metrics = list(scores.METRICS)
    shown = [metrics.index(m) for m in ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc")]
    rows = [
        [
            heading((row["model"], row["classifier"])) if row["classifier"] else row["model"],
            *(_interval(row["cells"][i]) for i in shown),
        ]
        for row in found["by_fold"] + found["rows"]
    ]
    heads = ["", *(scores.METRICS[metrics[i]] for i in shown)]
    caption = f"Scores on the {results.part} images, with 95 % intervals. The order is that of the validation images."
    return table("scores", caption, heads, rows)


def _interval(cell: dict[str, Any], before: str = "") -> tuple[str, str]:
    """A score, and its interval; empty where it has none."""
    low, high = cell[f"{before}low"], cell[f"{before}high"]
    return number(cell["value"]), f"{number(low)}–{number(high)}" if low == low else ""


Cell = str | tuple[str, str]


def table(label: str, caption: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table with booktabs, or where it is long a longtable.

    Parameters
    ----------
    label : after `tab:`. caption : plain text.
    heads : of the columns. rows : of cells, plain text, or a score and what stands small below it;
        the first column stands to the left.
    """
    columns = "l" + "r" * (len(heads) - 1)
    lines = []
    for row in rows:
        pairs = [(cell, "") if isinstance(cell, str) else cell for cell in row]
        below = [f"\\scriptsize {escaped(low)}" if low else "" for _, low in pairs]
        end = r" \\*" if any(below) else r" \\"  # no page ends between the two
        lines.append(" & ".join(escaped(value) for value, _ in pairs) + end)
        lines += [" & ".join(below) + r" \\"] * any(below)
    head = " & ".join(map(escaped, heads)) + r" \\"
    body = ["\\toprule", head, "\\midrule", *lines, "\\bottomrule"]
    narrow = "\\small\\setlength{\\tabcolsep}{4pt}"
    said = f"\\caption{{{escaped(caption)}}}\\label{{tab:{label}}}"
    if len(rows) > MOST:
        return "\n".join(
            ["\\begingroup" + narrow, f"\\begin{{longtable}}{{{columns}}}", said + r" \\", *body[:3],
             "\\endfirsthead", *body[:3], "\\endhead", *body[3:], "\\end{longtable}", "\\endgroup"]
        )  # fmt: skip
    return "\n".join(
        ["\\begin{table}", "\\centering" + narrow, said, f"\\begin{{tabular}}{{{columns}}}", *body,
         "\\end{tabular}", "\\end{table}"]
    )  # fmt: skip
