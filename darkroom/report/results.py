"""The results of a data set in one object: all that its report is made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from darkroom.audit.audit import read_audit
from darkroom.audit.check import Found
from darkroom.audit.labels import read_labels
from darkroom.errors import UserError
from darkroom.evaluate.comparisons import Difference, difference
from darkroom.evaluate.ranking import CHOSEN, Choice, Key, choose
from darkroom.evaluate.tables import KEYS, chosen_by_fold, read_table
from darkroom.features.predictions import PREFIX
from darkroom.images import store
from darkroom.machine import parquet_file
from darkroom.names import HEAD, run_name
from darkroom.report import searches as tuned
from darkroom.report.copies import Copies
from darkroom.report.copies import copies as copies_of
from darkroom.split.splits import Splits, read_splits

if TYPE_CHECKING:
    import pandas as pd

    from darkroom.report.feature_map import FeatureMap
    from darkroom.report.looked import Looked

MOST_PROBABILITIES = 10  # classes of which all probabilities are kept, for their curves


class Network(TypedDict):
    """What chose a network's epochs, and its seeds."""

    seeds: list[int]
    keep: str
    early_stopping: int | None


class WriteReport(TypedDict):
    """Settings of the stage.

    Attributes
    ----------
    dataset : its name.
    samples : images of each class to show.
    misclassified : images to show.
    networks : by name.
    settings : to be shown, only what differs from the defaults.
    compared : of each `compare` the settings that its models differ in, by model and path.
    recipe : `sentence` and `more` (a command, or empty) of the recipe that ran; None: there is none.
    """

    dataset: str
    samples: int
    misclassified: int
    networks: dict[str, Network]
    settings: dict[str, Any]
    compared: dict[str, dict[str, dict[str, Any]]]
    recipe: dict[str, str] | None


@dataclass(frozen=True)
class Curve:
    """The training of one network.

    Attributes
    ----------
    model, seed, fold : of this run.
    history : `history.csv`.
    """

    model: str
    seed: int
    fold: str
    history: pd.DataFrame

    @property
    def kept(self) -> int | None:
        """The epoch whose weights were kept; None where there is no epoch."""
        epochs = self.history.loc[self.history["kept"] == 1, "epoch"]
        return int(epochs.iloc[0]) if len(epochs) else None


@dataclass(frozen=True)
class Results:
    """What the stages wrote of a data set, and what several sections derive from it.

    Attributes
    ----------
    cfg : settings of the stage.
    source : `source.json`.
    manifest, unusable, split, metrics, summary, class_metrics, thresholds, abstention : as in docs/formats.md.
    predictions : of the data set, with `confidence`, the probability of the predicted class,
        and `of_truth`, that of the true one; all probabilities only of few classes.
    notes : of the split and of the classifiers.
    layout, warnings : where the labels come from, with examples, and what looks like a mistake.
    curves : of all networks.
    searches : for settings.
    images, augmented : pixels in the view that is shown; None where no variants are stored.
    choice : the best by validation; None where nothing was evaluated.
    part : that is reported on: `test`, or `validation` where there is no test part.
    baseline : accuracy of always predicting the most frequent training class.
    counts : images by class and part.
    copies : images that show the same picture as another.
    audit : what the checks for shortcuts found.
    audited : how many rows they looked at (`rows`) of how many (`of`).
    doubtful : rows whose labels are in doubt.
    robustness : scores on images that were made worse; None where it was not measured.
    checked : how many labels were checked (`rows`), of how many (`of`), by which `features`.
    derived : what is reckoned once for the page, the answer and the card, by name.
    looked : where the model looked; None where no model was given.
    feature_map : where the images lie by their features; None where there is no map.
    """

    cfg: WriteReport
    source: dict[str, Any]
    manifest: pd.DataFrame
    unusable: pd.DataFrame
    split: Splits
    metrics: pd.DataFrame
    summary: pd.DataFrame
    class_metrics: pd.DataFrame
    thresholds: pd.DataFrame
    abstention: pd.DataFrame
    predictions: pd.DataFrame
    notes: list[str]
    layout: str
    warnings: list[str]
    curves: list[Curve]
    searches: list[tuned.Search]
    images: store.Images
    augmented: store.Images | None
    choice: Choice | None
    part: str
    baseline: float | None
    counts: pd.DataFrame
    copies: Copies
    audit: list[Found]
    audited: dict[str, int]
    doubtful: pd.DataFrame
    checked: dict[str, Any]
    looked: Looked | None = None
    feature_map: FeatureMap | None = None
    robustness: pd.DataFrame | None = None
    derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def ranking(self) -> list[Key]:
        """Models and classifiers that have scores on the reported part, the best first."""
        keys = self.choice.ranking if self.choice else []
        return [key for key in keys if self.score(key, self.part) is not None]

    @property
    def best(self) -> Key | None:
        """The model and classifier that the validation images chose, or the only one."""
        return None if self.choice is None or self.choice.by == "first" else self.choice.key

    def score(self, key: Key, part: str) -> pd.Series | None:
        """The row of the summary, or None."""
        s = self.summary
        rows = s[(s["model"] == key[0]) & (s["classifier"] == key[1]) & (s["part"] == part)]
        return rows.iloc[0] if len(rows) else None

    def predicted(self, key: Key) -> pd.DataFrame:
        """Predictions of a model and classifier on the reported part: all seeds and folds."""
        p = self.predictions
        return p[self.of(p, key) & (p["part"] == self.part)]

    def of(self, table: pd.DataFrame, key: Key) -> pd.Series:
        """Which rows of a table of runs are of a model and classifier, or of each fold's choice."""
        if key != CHOSEN:
            return (table["model"] == key[0]) & (table["classifier"] == key[1])
        own = [
            (table["fold"] == fold) & self.of(table, chosen)
            for fold, chosen in chosen_by_fold(self.metrics).items()
        ]
        found: pd.Series = np.logical_or.reduce(own)
        return found

    def right(self, key: Key) -> pd.Series:
        """Share of runs that were right, by row."""
        p = self.predicted(key)
        hits: pd.Series = (p["class"] == p["predicted"]).groupby(p["row"]).mean()
        return hits

    @property
    def by_fold(self) -> bool:
        """Whether the validation images of each fold chose for it, see `ranking.CHOSEN`."""
        return self.score(CHOSEN, self.part) is not None

    @property
    def reported(self) -> Key | None:
        """What was chosen, with folds in each by its own validation images; None where it has no score."""
        if self.choice is None or self.score(self.choice.key, self.part) is None:
            return None
        return CHOSEN if self.by_fold else self.choice.key

    @property
    def headline(self) -> pd.Series | None:
        """Scores of what is reported."""
        return None if self.reported is None else self.score(self.reported, self.part)

    def difference(self, first: Key, second: Key) -> Difference | None:
        """Balanced accuracy of one less that of another on the same images."""
        rows = self.split.table.set_index("row")[["class", "group"]]
        fold = self.predicted(first).drop_duplicates("row").set_index("row")["fold"]
        alike = first[0] == second[0]  # on features of the same networks
        seeds = None if alike else (self._by_seed(first), self._by_seed(second))
        rows = rows.join(fold, how="inner")
        return difference(self.right(first), self.right(second), rows, seeds)

    def _by_seed(self, key: Key) -> list[float]:
        """Balanced accuracy of each seed, over all folds; nothing where no network has one."""
        p = self.predicted(key)
        hits = (p["class"] == p["predicted"]).groupby([p["seed"], p["class"]]).mean()
        by_seed: pd.Series = hits.groupby(level=0).mean()
        return by_seed.tolist()

    def confusion(self, key: Key) -> NDArray[np.float64]:
        """(K, K) counts of [truth, predicted], summed over folds, the mean over seeds."""
        p = self.predicted(key)
        k = len(self.split.classes)
        at = p["class"].to_numpy(np.int64) * k + p["predicted"].to_numpy(np.int64)
        seeds = p.groupby("fold")["feature_set"].transform("nunique")
        counts = np.bincount(at, (1 / seeds).to_numpy(np.float64), minlength=k * k)
        return counts.astype(np.float64).reshape(k, k)

    # -- pictures

    @cached_property
    def paths(self) -> pd.Series:
        """The path of each row."""
        return self.manifest.set_index("row")["path"]

    @cached_property
    def originals(self) -> NDArray[np.int64]:
        """Places of the images in their file that are no variants, ascending by row."""
        return np.flatnonzero(self.images.variant == 0)

    def image(self, row: int) -> NDArray[np.uint8] | None:
        """The pixels of a row; None where it has none."""
        rows = self.images.row[self.originals]
        at = int(np.searchsorted(rows, row))
        if at == len(rows) or rows[at] != row:
            return None
        return np.asarray(self.images.images[self.originals[at]])


def heading(key: Key) -> str:
    """A model and classifier in words."""
    if key == CHOSEN:
        return "the best of each fold"
    model, classifier = key
    return f"{model} (network)" if classifier == HEAD else f"{classifier} on {model}"


def classifier_name(classifier: str) -> str:
    """A classifier in words, beside the name of its features."""
    return "its own head" if classifier == HEAD else classifier


def load(
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
    robustness: str | None,
    histories: Sequence[str],
    searches: Sequence[str],
    images: str,
    augmented: str | None,
    cfg: WriteReport,
) -> Results:
    """Read all files; see `report.write_report`.

    Raises
    ------
    UserError
        A file is missing or not what it should be.
    """
    split = read_splits(splits)
    index = parquet_file.read(manifest)
    files = index.to_pandas()
    about = json.loads((index.schema.metadata or {}).get(b"darkroom", "{}"))
    means = read_table(summary, ("model", "classifier", "part"))
    part = "test" if (means["part"] == "test").any() else "validation"
    collected, notes = _predictions(predictions)
    checks, audited = read_audit(audit)
    doubtful, checked = read_labels(labels)
    return Results(
        cfg=cfg,
        source=json.loads(Path(source).read_text(encoding="utf-8")),
        manifest=files,
        unusable=_text(unusable, ("path", "reason")),
        split=split,
        metrics=read_table(metrics),
        summary=means,
        class_metrics=read_table(class_metrics, ("model", "classifier", "part", "class")),
        thresholds=read_table(thresholds),
        abstention=read_table(abstention, ("model", "classifier", "part")),
        predictions=collected,
        notes=list(dict.fromkeys([*split.notes, *notes])),
        layout=str(about.get("layout", "")),
        warnings=list(about.get("warnings", [])),
        curves=_curves(histories, cfg["networks"]),
        searches=tuned.read(searches),
        images=store.open_images(images),
        augmented=None if augmented is None else store.open_images(augmented),
        choice=choose(means),
        part=part,
        baseline=baseline(split.table, split.folds, part),
        counts=counts(split.table, split.classes, split.folds),
        copies=copies_of(read_table(copies, ()), files, split.table, split.folds, part),
        audit=checks,
        audited=audited,
        doubtful=doubtful,
        checked=checked,
        robustness=None if robustness is None else read_table(robustness, ("kind", "strength")),
    )


def baseline(table: pd.DataFrame, folds: Sequence[str], part: str) -> float | None:
    """Accuracy of always predicting the most frequent training class, the mean over folds."""
    out = []
    for fold in folds:
        train = table.loc[table[fold] == "train", "class"]
        rest = table.loc[table[fold] == part, "class"]
        if len(train) and len(rest):
            often = int(np.bincount(train.to_numpy(np.int64)).argmax())
            out.append(float((rest == often).mean()))
    return float(np.mean(out)) if out else None


def counts(table: pd.DataFrame, classes: Sequence[str], folds: Sequence[str]) -> pd.DataFrame:
    """Images by class (index) and part (columns), the mean over folds."""
    import pandas as pd

    parts = ("train", "validation", "test", "unused")
    k = len(classes)
    out = np.zeros((k, len(parts)))
    label = table["class"].to_numpy(np.int64)
    for fold in folds:
        place = table[fold].to_numpy(dtype=object)
        for j, part in enumerate(parts):
            out[:, j] += np.bincount(label[place == part], minlength=k)
    return pd.DataFrame(out / max(len(folds), 1), index=list(classes), columns=list(parts))


def _text(path: str, names: Sequence[str]) -> pd.DataFrame:
    """A CSV whose values are text (a file may be called NA or 01)."""
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        table = pd.DataFrame(columns=list(names))
    if missing := [name for name in names if name not in table]:
        raise UserError(f"{path} has no column {missing[0]!r}: delete it and run again")
    return table


def _predictions(path: str) -> tuple[pd.DataFrame, list[str]]:
    """The data set's predictions, and the notes beside them; of many classes no column per class.

    Read in pieces: a thousand classes of many rows would not fit in memory at once.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    metadata = file.metadata.metadata or {}
    meta = json.loads(metadata.get(b"darkroom", b"{}"))
    wide = [n for n in file.schema_arrow.names if n.startswith(PREFIX)]
    narrow = [*KEYS, "row", "part", "class", "predicted"]
    narrow += wide if len(wide) <= MOST_PROBABILITIES else []
    frames = [file.schema_arrow.empty_table().select(narrow).to_pandas()]
    for batch in file.iter_batches(max(1024, 4_000_000 // max(len(wide), 1))):
        table = pa.Table.from_batches([batch])
        frame = table.select(narrow).to_pandas()
        p = np.stack([table[n].to_numpy() for n in wide], axis=1)
        at = np.arange(len(frame))
        frame["confidence"] = p[at, frame["predicted"].to_numpy(np.int64)]
        frame["of_truth"] = p[at, frame["class"].to_numpy(np.int64)]
        frames.append(frame)
    return pd.concat(frames[1:] or frames, ignore_index=True), list(meta.get("notes", []))


def _curves(paths: Sequence[str], networks: Mapping[str, Network]) -> list[Curve]:
    """The histories; each stands in a folder of its run's name, in one of its fold's."""
    import pandas as pd

    runs = {run_name(m, seed): (m, seed) for m, n in networks.items() for seed in n["seeds"]}
    found = []
    for path in map(Path, paths):
        model, seed = runs[path.parent.name]
        history = pd.read_csv(path)
        if "kept" not in history:
            raise UserError(f"{path} has no column 'kept': delete it and run again")
        found.append(Curve(model, seed, path.parent.parent.name, history))
    return found
