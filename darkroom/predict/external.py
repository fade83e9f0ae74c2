"""New pictures with labels as an external test: all figures of the internal one, beside it.

The pictures are also looked through for what makes a test less than external: copies of images of
the model's data set, groups of the same name, copies among themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.evaluate import intervals
from darkroom.evaluate.judged import Groups, Judged, judge
from darkroom.evaluate.run_rows import RunRows
from darkroom.evaluate.scores import pooled
from darkroom.evaluate.slices import Slice
from darkroom.evaluate.slices import slices as find_slices
from darkroom.evaluate.tables import TWO_CLASSES
from darkroom.evaluate.thresholds import two_class_rates
from darkroom.features import predictions as stored
from darkroom.machine import parquet_file
from darkroom.models.beside import results_of, set_from
from darkroom.models.trained import Trained
from darkroom.names import HEAD
from darkroom.predict.labelled import Labels, unlabelled
from darkroom.predict.picture import Prediction
from darkroom.predict.unseen import Pictures
from darkroom.report import slices
from darkroom.split.splits import Splits, read_splits

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.index.examine import Findings

Codes = NDArray[np.int64]
Part = tuple[Codes, NDArray[np.float32], Codes]  # truth, probabilities and group of some rows
Value = tuple[float, float, float]  # with its interval; NaN where it has none

NOTHING: Value = (math.nan, math.nan, math.nan)
OVERALL = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "set_coverage": "true class in the set",
    "set_size": "classes in a set",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "PPV (precision)",
    "npv": "NPV",
}
OF_CLASS = ("precision", "recall", "f1", "roc_auc")
EXPECTED_UNLIKE = 0.05  # share of unlike pictures from which it is told; the limit is set at 0.01


@dataclass(frozen=True)
class Figures:
    """What is known of the predictions of some pictures.

    Attributes
    ----------
    judged : their scores. confidence : (N,) of the predicted class.
    overall : values of `OVERALL` as far as they apply.
    by_class : of each of `OF_CLASS` a value for each class.
    """

    judged: Judged
    confidence: NDArray[np.float32]
    overall: dict[str, Value]
    by_class: dict[str, list[Value]]

    @property
    def n(self) -> int:
        """Pictures."""
        return len(self.judged.rows.truth)

    @property
    def confusion(self) -> NDArray[np.float64]:
        """(K, K) counts of truth and prediction."""
        rows = self.judged.rows
        pair = rows.truth * rows.classes + rows.predicted
        counts = np.bincount(pair, minlength=rows.classes**2).astype(np.float64)
        return counts.reshape(rows.classes, rows.classes)


@dataclass(frozen=True)
class External:
    """An external test.

    Attributes
    ----------
    model : that was tested. root : folder of the pictures.
    how : where the labels come from, in words.
    files : (N,) pictures that were scored.
    figures : of these.
    part : of the data set, that the internal figures are of.
    internal : figures of the model's own test images; None where they are not beside the model.
    slices : scores of large and small, dark and bright pictures, and of large groups.
    warnings : what makes this less of an external test, each a sentence; `notes` what else to know.
    """

    model: Trained
    root: str
    how: str
    files: list[str]
    figures: Figures
    part: str
    internal: Figures | None
    slices: list[Slice]
    warnings: list[str]
    notes: list[str]

    def table(self) -> pd.DataFrame:
        """`external.csv`; see docs/formats.md."""
        import pandas as pd

        lines = []
        every: list[tuple[str, str, Value, Value, int, Any]] = []
        inside = self.internal
        for metric, value in self.figures.overall.items():
            other = inside.overall[metric] if inside else NOTHING
            every.append(("", metric, value, other, self.figures.n, inside.n if inside else None))
        for k, name in enumerate(self.model.classes):
            for metric, values in self.figures.by_class.items():
                other = inside.by_class[metric][k] if inside else NOTHING
                own = int(self.figures.judged.scores.support[k])
                theirs = int(inside.judged.scores.support[k]) if inside else None
                every.append((name, metric, values[k], other, own, theirs))
        for name, metric, value, other, n, m in every:
            line: dict[str, Any] = {"class": name, "metric": metric, "images": n}
            line |= dict(zip(("external", "external_low", "external_high"), value, strict=True))
            line["internal_images"] = m
            line |= dict(zip(("internal", "internal_low", "internal_high"), other, strict=True))
            apart = intervals.apart(value, other)
            line |= dict(
                zip(("difference", "difference_low", "difference_high"), apart, strict=True)
            )
            lines.append(line)
        return pd.DataFrame(lines).astype({"internal_images": "Int64"})


def external(
    model: Trained,
    found: Pictures,
    labels: Labels,
    predicted: Iterable[Prediction],
    *,
    threshold: float,
    threads: int,
) -> External | None:
    """Score the predictions of labelled pictures.

    Parameters
    ----------
    found, labels, predicted : the pictures of a folder, their labels and predictions, in one order.
    threshold : of two classes, see `predictions.decide`.
    threads : for the comparison with the images of the data set.

    Returns
    -------
    None where no picture has both a label and a prediction.
    """
    usable: list[tuple[int, Prediction]] = [
        (i, one) for i, one in enumerate(predicted) if one.predicted and labels.code[i] is not None
    ]
    if not usable:
        return None
    at = [i for i, _ in usable]
    truth = np.array([labels.code[i] for i in at], np.int64)
    p = np.stack([one.probabilities for _, one in usable])
    names = [labels.group[i] or f"\0{i}" for i in at]
    _, group = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    least = set_from(model)
    figures = _figures([(truth, p, group.astype(np.int64))], threshold, least)
    part, internal, split = _internal(model, threshold, least)
    files = [found.paths[i] for i in at]
    warnings, notes = _unlike([one for _, one in usable])
    looked = _looked(model, found.root, files, threads)
    by_slice = _slices(looked, figures, names)
    if by_slice and by_slice[0].worse:
        warnings.append(slices.sentence(by_slice[0], "pictures"))
    if split is not None:
        groups = {name for i in at if (name := labels.group[i])}
        more, some = _common(model, split, files, looked, groups, figures, threads)
        warnings, notes = more + warnings, notes + some
    if missing := [c for k, c in enumerate(model.classes) if k not in set(truth.tolist())]:
        notes.append(f"no picture is of {', '.join(missing[:8])}: means over classes leave it out")
    if sentence := unlabelled(labels, found.paths):
        notes.append(sentence)
    if model.members and internal is not None:
        notes.append(
            f"the internal figures are of each fold's model on its own {part} images; all of them "
            "together, which predict here, may be a little better"
        )
    if internal is None:
        notes.append(
            "the model does not stand among the results that it was trained in, so its own test and "
            "its images cannot be compared"
        )
    return External(
        model, found.root, labels.how, files, figures, part, internal, by_slice, warnings, notes
    )


def _figures(parts: Sequence[Part], threshold: float, least: float | None) -> Figures:
    """All figures of some predictions, of each fold a part."""
    truth, p, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    called = stored.decide(p, threshold).astype(np.int64)
    found = judge(truth, called, p, group, math.inf if least is None else least)
    if len(parts) > 1:
        runs = [
            RunRows.of(t, stored.decide(q, threshold).astype(np.int64), q, g) for t, q, g in parts
        ]
        found = replace(found, scores=pooled(runs, folds=range(len(runs))))
    scores, decisions = found.scores, found.decisions
    overall: dict[str, Value] = {
        m: (scores.value[m], *scores.ends[m]) for m in OVERALL if m in scores.value
    }
    for name in ("calibration_error", "set_coverage", "set_size"):
        if least is not None or name == "calibration_error":
            low, high = (decisions.get(f"{name}{end}", math.nan) for end in ("_low", "_high"))
            overall[name] = (decisions[name], low, high)
    if p.shape[1] == 2:
        rates = two_class_rates(truth, called)
        for name, (metric, c) in TWO_CLASSES.items():
            _, lows, highs = scores.by_class[metric]
            overall[name] = (rates[name], float(lows[c]), float(highs[c]))
    by_class = {
        m: [(float(a), float(b), float(c)) for a, b, c in zip(*scores.by_class[m], strict=True)]
        for m in OF_CLASS
    }
    confidence = p[np.arange(len(p)), called]
    return Figures(found, confidence, overall, by_class)


def _internal(
    model: Trained, threshold: float, least: float | None
) -> tuple[str, Figures | None, Splits | None]:
    """What the model predicted of its own test images; of validation images where there are none.

    In a cross-validation each image is predicted by the model of the fold whose test image it is.
    """
    split_file = results_of(model) / "splits.parquet"
    split = read_splits(str(split_file)) if split_file.is_file() else None
    if split is None or split.classes != model.classes:
        return "test", None, None
    tables = []
    for one in model.each:
        place = Path(one.files[0]).parent
        file = (place / "head" if one.run.classifier == HEAD else place) / "predictions.parquet"
        if not file.is_file():
            return "test", None, split
        tables.append((stored.read_predictions(str(file))[0], one.run.fold))
    part = "test" if any((table["part"] == "test").any() for table, _ in tables) else "validation"
    groups, parts = Groups.of(split), []
    for table, fold in tables:
        own = table[table["part"] == part]
        if len(own):
            group = groups.of_rows(own["row"].to_numpy(np.int64), part, fold)
            p = stored.probabilities(own, model.classes)
            parts.append((own["class"].to_numpy(np.int64), p, group))
    return part, _figures(parts, threshold, least) if parts else None, split


# ---------------------------------------------------------------- audits


def _unlike(usable: Sequence[Prediction]) -> tuple[list[str], list[str]]:
    """How many pictures are unlike all that the model learned from."""
    known = [one.unlike for one in usable if one.unlikeness is not None]
    if not known:
        return [], []
    share = sum(known) / len(known)
    words = (
        f"{sum(known):,} of {len(known):,} pictures ({100 * share:.1f} %) are unlike all that the model "
        "learned from; of images like its own about 1 % are"
    )
    return ([words], []) if share > EXPECTED_UNLIKE else ([], [words])


def _common(
    model: Trained,
    split: Splits,
    files: list[str],
    looked: Findings,
    groups: set[str],
    figures: Figures,
    threads: int,
) -> tuple[list[str], list[str]]:
    """What the pictures have in common with the data set: images and groups; warnings and notes."""
    results = results_of(model)
    manifest, thumbnails = results / "manifest.parquet", results / "thumbnails.npy"
    if not manifest.is_file() or not thumbnails.is_file():
        gone = manifest if thumbnails.is_file() else thumbnails
        return [], [
            f"whether pictures are copies of the model's images is not known without {gone}"
        ]
    own = split.table.sort_values("row")
    rows = own["row"].to_numpy(np.int64)
    columns = ["row", "width", "height", "sha256", "group"]
    table = parquet_file.read(manifest, columns=columns).to_pandas().set_index("row").loc[rows]
    pixels = np.load(thumbnails, mmap_mode="r")[rows]
    picture = _pictures(looked, table, pixels, threads)
    n = len(files)
    known, left = {}, np.ones(len(own), bool)
    folds = own[[one.run.fold for one in model.each]].to_numpy(dtype=object)
    for name in ("train", "validation", "test", "unused"):
        inside = left & (folds == name).any(axis=1)  # learned from in one fold: learned from
        known[name], left = np.isin(picture[:n], picture[n:][inside]), left & ~inside
    anyhow = np.logical_or.reduce(list(known.values()))
    warnings, notes = [], []
    if anyhow.any():
        where = ", ".join(f"{int(hit.sum()):,} {name}" for name, hit in known.items() if hit.any())
        some = ", ".join(files[i] for i in np.flatnonzero(anyhow)[:3])
        right = (figures.judged.rows.truth == figures.judged.rows.predicted)[~anyhow]
        rest = f"; without them the accuracy is {right.mean():.3f}" if len(right) else ""
        warnings.append(
            f"{_of(anyhow.sum(), n)} the same as an image of the model's own data set ({where}; {some}"
            f"{', …' if anyhow.sum() > 3 else ''}): of these this is no external test{rest}"
        )
    if shared := sorted(groups & set(table["group"].dropna().astype(str))):
        warnings.append(
            f"{len(shared):,} of {len(groups):,} groups have the name of a group of the data set "
            f"({', '.join(shared[:3])}{', …' if len(shared) > 3 else ''}): where they are the same, this "
            "is no external test"
        )
    if among := n - len(np.unique(picture[:n])):
        notes.append(f"{_of(among, n)} the same as another of them")
    return warnings, notes


def _of(some: Any, n: int) -> str:
    return f"{int(some):,} of {n:,} pictures {'shows' if some == 1 else 'show'}"


def _looked(model: Trained, root: str, files: list[str], threads: int) -> Findings:
    """The files as the index of a data set examines them."""
    from darkroom.decode.policy import FULL, Policy
    from darkroom.index.examine import examine_all

    policy: Policy = {"white_level": FULL} | model.policy
    return examine_all(root, files, [""] * len(files), policy, threads)


def _slices(looked: Findings, figures: Figures, names: Sequence[str]) -> list[Slice]:
    """Scores of large and small, dark and bright pictures, and of large groups.

    Parameters
    ----------
    names : of each picture's group.
    """
    rows, side = figures.judged.rows, looked.numbers[:, :2].astype(np.float64)
    known, group = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    return find_slices(
        (rows.truth == rows.predicted).astype(np.float64),
        rows.truth,
        group.astype(np.int64),
        known.tolist(),
        {
            "size": np.sqrt(side[:, 0] * side[:, 1]),
            "brightness": looked.thumbnails.mean(axis=(1, 2)),
        },
    )


def _pictures(
    looked: Findings, table: pd.DataFrame, thumbnails: NDArray[np.uint8], threads: int
) -> Codes:
    """Which of the files, then of the data set's images, show the same: equal numbers."""
    from darkroom.index.copies import copies

    theirs = table[["width", "height"]].to_numpy(np.int64, na_value=-1)
    digests = [one.tobytes().hex() for one in looked.sha256] + table["sha256"].tolist()
    first: dict[str, int] = {}
    same = np.array([first.setdefault(one, i) for i, one in enumerate(digests)], np.int64)
    same[same == np.arange(len(same))] = -1
    found, of, *_ = copies(
        np.concatenate([looked.thumbnails, thumbnails]),
        np.concatenate([looked.numbers[:, :2].astype(np.int64), theirs]),
        same,
        np.array([not trouble for trouble in looked.trouble] + [True] * len(table), bool),
        threads,
        len(looked.trouble),
    )
    picture = np.arange(len(digests))
    picture[found] = of
    return picture
