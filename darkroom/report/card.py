"""The model card: the report in a page of plain text, with the checklist that reviewers ask for.

The items are those of CLAIM 2024 (Tejani et al., Radiology: Artificial Intelligence 6:e240300), TRIPOD+AI
(Collins et al. 2024, BMJ 385:e078378) and Roberts et al. 2021 (Nature Machine Intelligence 3:199) that a
run can answer, and those that it cannot, which are answered "not known" for the author to fill in.
"""

from __future__ import annotations

from collections.abc import Sequence

from darkroom import __version__
from darkroom.machine.units import plural
from darkroom.names import HEAD
from darkroom.report import answer, caveats
from darkroom.report.results import Results, heading
from darkroom.report.words import number

UNKNOWN = "not known"


def card(results: Results) -> str:
    """The card as Markdown."""
    dataset = results.cfg["dataset"]
    notice = str(results.summary.attrs.get("notice", ""))
    found = caveats.collected(results)
    parts = [
        f"# Model card: {_safe(dataset)}",
        _safe(answer.sentence(results)),
        "## Intended use",
        _safe(notice)
        or "Not stated: `notice` of the data set in the settings says what the model is for. Without a study "
        "of its own it is not for medical use.",
        "The model knows pictures like those that it learned from; it gives one of its classes to any other too.",
        "## Data",
        _table(["", ""], _data(results)),
        _counts(results),
        "## Scores",
        _scores(results),
        "## Warnings",
        "\n".join(f"- **{c.title}**: {_safe(c.sentence)} {_safe(c.more)}".rstrip() for c in found)
        or "None.",
        "## Methods",
        _safe(methods(results)),
        "## Checklist",
        "By CLAIM 2024, TRIPOD+AI and Roberts et al. 2021. What no run can know is left to the author.",
        _table(["item", "answer"], checklist(results)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def methods(results: Results) -> str:
    """A paragraph for the methods section of a paper."""
    split, score = results.split, results.headline
    sizes = split.table[split.folds[0]].value_counts()
    cut = (
        f"{len(split.folds)}-fold cross-validation"
        if len(split.folds) > 1
        else "one split into training, validation and test images"
    )
    grouped = "kept groups together" if _grouped(results) else "took each image as independent"
    names = ", ".join(heading(key) for key in results.ranking)
    out = (
        f"{len(split.table):,} images of {plural(len(split.classes), 'class', 'classes')} were used in {cut} "
        f"({', '.join(f'{int(sizes.get(p, 0)):,} {p}' for p in ('train', 'validation', 'test'))}), which {grouped}. "
        f"Darkroom {__version__} trained and compared {names or 'nothing'}. "
    )
    if score is not None and results.choice is not None and results.choice.by == "validation":
        out += "The best was chosen by balanced accuracy on validation images alone. "
    return (
        out
        + "Intervals are 95 % and count groups of images; they cover the choice of test images, with "
        "several seeds the random start, with folds the choice of training images."
    )


def checklist(results: Results) -> list[tuple[str, str]]:
    """Items and their answers."""
    source, files = results.source, results.manifest
    unusable = int((files["status"] == "unusable").sum())
    licence = results.cfg["settings"]["dataset"].get("license") or source.get("license")
    networks = sorted({curve.model for curve in results.curves})
    groups = "groups are on one side of the split" if _grouped(results) else "no groups are known"
    warned = [check.check for check in results.audit]
    folds = len(results.split.folds)
    return [
        ("source of the data", f"{source.get('source', UNKNOWN)} (version {source.get('version') or UNKNOWN})"),
        ("licence", str(licence or UNKNOWN)),
        ("where, when and of whom the images were taken", UNKNOWN),
        ("inclusion and exclusion criteria", UNKNOWN),
        ("de-identification and ethics", UNKNOWN),
        ("who labelled the images, and how well they agree", UNKNOWN),
        ("labels as read", results.layout or UNKNOWN),
        ("labels in doubt", f"{len(results.doubtful):,} of {results.checked['rows']:,} checked"),
        ("images that could not be used", f"{unusable:,} of {len(files):,}"),
        ("sample size", f"{len(results.split.table):,} images; its choice: {UNKNOWN}"),
        ("division of the data", f"{folds} folds" if folds > 1 else "one split"),
        ("independence of the parts", groups),
        ("copies across the split", f"{len(results.copies.across):,} test images"),
        ("shortcuts looked for", ", ".join(warned) or "nothing that differs"),
        ("architectures", ", ".join(networks) or "no network"),
        ("training, software and versions", "in the report, under Settings and Origin"),
        ("how the final model was chosen", "by validation images" if results.best else "not chosen"),
        ("metrics with uncertainty", "95 % intervals"),
        ("calibration", "in the report, under Results"),
        ("misclassified images", "in the report"),
        ("test on data of another source", UNKNOWN),
        ("comparison with people or the present practice", UNKNOWN),
        ("availability of code", f"Darkroom {__version__}, settings in the report"),
    ]  # fmt: skip


def _grouped(results: Results) -> bool:
    return bool(results.manifest["group"].notna().any())


def _data(results: Results) -> list[tuple[str, str]]:
    source = results.source
    return [
        ("data set", results.cfg["dataset"]),
        ("source", str(source.get("source", UNKNOWN))),
        ("version", str(source.get("version") or UNKNOWN)),
        ("SHA-256", str(source.get("sha256") or UNKNOWN)),
        ("groups", f"{results.split.table['group'].nunique():,}" if _grouped(results) else "none"),
    ]


def _counts(results: Results) -> str:
    """Images by class and part, the mean over folds."""
    parts = ("train", "validation", "test")
    rows = [
        (str(name), *(f"{line[part]:,.0f}" for part in parts))
        for name, line in results.counts.iterrows()
    ]
    return _table(["class", *parts], rows)


def _scores(results: Results) -> str:
    """Every model and classifier on the reported part."""
    rows = []
    for key in results.ranking:
        score = results.score(key, results.part)
        if score is not None:
            cells = [
                f"{number(score[m])} ({number(score[f'{m}_low'])} to {number(score[f'{m}_high'])})"
                for m in ("accuracy", "balanced_accuracy", "roc_auc")
            ]
            kind = "network" if key[1] == HEAD else "classifier on features"
            rows.append((heading(key), kind, *cells))
    if not rows:
        return "Nothing was evaluated."
    heads = ["model", "kind", "accuracy", "balanced accuracy", "ROC AUC"]
    return f"On the {results.part} images, with 95 % intervals.\n\n" + _table(heads, rows)


def _table(heads: list[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_safe, line))} |" for line in lines)


def _safe(text: str) -> str:
    """Text in which nothing is markup, on one line."""
    out = " ".join(str(text).split()).replace("\\", "\\\\")
    for mark in "|<>`[]*":
        out = out.replace(mark, f"\\{mark}")
    return out
