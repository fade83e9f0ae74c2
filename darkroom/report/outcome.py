"""What the result files of one data set say: all that its report is made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError
from darkroom.evaluate.comparisons import Difference, difference
from darkroom.evaluate.ranking import Choice, Key, choose
from darkroom.evaluate.tables import KEYS, read_table
from darkroom.features.predictions import PREFIX
from darkroom.images import store
from darkroom.report.curves import Curve
from darkroom.split.splits import Splits, read_splits

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Told:
    """Everything that is read, and what follows from it."""

    dataset: str
    samples: int
    mistakes: int
    settings: dict[str, Any]
    compared: dict[str, dict[str, dict[str, Any]]]
    source: dict[str, Any]
    manifest: pd.DataFrame
    unusable: pd.DataFrame
    split: Splits
    metrics: pd.DataFrame
    summary: pd.DataFrame
    by_class: pd.DataFrame
    thresholds: pd.DataFrame
    predictions: pd.DataFrame
    notes: list[str]
    curves: list[Curve]
    images: store.Images
    augmented: store.Images | None
    choice: Choice | None
    part: str

    @classmethod
    def read(
        cls,
        *,
        source: str,
        manifest: str,
        unusable: str,
        split: str,
        metrics: str,
        summary: str,
        class_metrics: str,
        thresholds: str,
        predictions: str,
        histories: Sequence[str],
        images: str,
        augmented: str | None,
        cfg: Mapping[str, Any],
    ) -> Told:
        import pyarrow.parquet as pq

        whole = read_table(summary, ("model", "classifier", "part"))
        said, notes = _predictions(predictions)
        settings = dict(cfg.get("settings") or {})
        read = read_splits(split)
        choice = choose(whole)
        return cls(
            dataset=str(cfg["dataset"]),
            samples=int(cfg["report"]["samples"]),
            mistakes=int(cfg["report"]["mistakes"]),
            settings=settings,
            compared=dict(cfg.get("compared") or {}),
            source=json.loads(Path(source).read_text(encoding="utf-8")),
            manifest=pq.read_table(manifest).to_pandas(),
            unusable=_text(unusable, ("path", "reason")),
            split=read,
            metrics=read_table(metrics),
            summary=whole,
            by_class=read_table(class_metrics),
            thresholds=read_table(thresholds),
            predictions=said,
            notes=list(dict.fromkeys([*read.notes, *notes])),
            curves=[_curve(path, settings) for path in histories],
            images=store.open_images(images),
            augmented=None if augmented is None else store.open_images(augmented),
            choice=choice,
            part="test" if (whole["part"] == "test").any() else "validation",
        )

    @staticmethod
    def name(key: Key) -> str:
        model, classifier = key
        return f"{model} (network)" if classifier == "head" else f"{classifier} on {model}"

    @staticmethod
    def classifier_name(classifier: str) -> str:
        return "its own head" if classifier == "head" else classifier

    def score(self, key: Key, part: str) -> pd.Series | None:
        """The row of the summary, or None."""
        s = self.summary
        rows = s[(s["model"] == key[0]) & (s["classifier"] == key[1]) & (s["part"] == part)]
        return rows.iloc[0] if len(rows) else None

    def said(self, key: Key) -> pd.DataFrame:
        """Predictions of a model and classifier on the reported part: all seeds and folds."""
        p = self.predictions
        return p[(p["model"] == key[0]) & (p["classifier"] == key[1]) & (p["part"] == self.part)]

    def right(self, key: Key) -> pd.Series:
        """Share of runs that were right, by row."""
        said = self.said(key)
        hits: pd.Series = (said["class"] == said["predicted"]).groupby(said["row"]).mean()
        return hits

    def by_seed(self, key: Key) -> list[float]:
        """Accuracy of each random start, over all folds."""
        said = self.said(key)
        hits: pd.Series = (said["class"] == said["predicted"]).groupby(said["feature_set"]).mean()
        return hits.tolist()

    def difference(self, first: Key, second: Key) -> Difference | None:
        """Accuracy of one less that of another on the same images."""
        group = self.split.table.set_index("row")["group"]
        runs: tuple[list[float], list[float]] = self.by_seed(first), self.by_seed(second)
        if first[0] == second[0]:  # on features of the same networks: their luck is common to both
            runs = [a - b for a, b in zip(*runs, strict=True)], []
        return difference(self.right(first), self.right(second), group, runs)

    def confusion(self, key: Key) -> NDArray[np.float64]:
        """(K, K) counts of [truth, predicted], summed over folds, the mean over seeds."""
        said = self.said(key)
        k = len(self.split.classes)
        at = said["class"].to_numpy(np.int64) * k + said["predicted"].to_numpy(np.int64)
        seeds = max(said["feature_set"].nunique(), 1)
        return np.bincount(at, minlength=k * k).reshape(k, k) / seeds

    def panel_keys(self) -> list[Key]:
        """The chosen one, then the best of each other classifier: at most four."""
        if self.choice is None:
            return []
        seen: dict[str, Key] = {}
        for key in self.choice.ranking:
            seen.setdefault(key[1], key)
        return list(seen.values())[:4]


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
    """The data set's predictions without a column per class, and the notes told with them.

    `confidence` is the probability of the predicted class, `of_truth` that of the true one.
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
    frames = []
    for batch in file.iter_batches(max(1024, 4_000_000 // max(len(wide), 1))):
        table = pa.Table.from_batches([batch])
        frame = table.select(narrow).to_pandas()
        p = np.stack([table[n].to_numpy() for n in wide], axis=1)
        at = np.arange(len(frame))
        frame["confidence"] = p[at, frame["predicted"].to_numpy(np.int64)]
        frame["of_truth"] = p[at, frame["class"].to_numpy(np.int64)]
        frames.append(frame)
    if frames:
        return pd.concat(frames, ignore_index=True), list(meta.get("notes", []))
    empty = file.schema_arrow.empty_table().select(narrow).to_pandas()
    return empty.assign(confidence=0.0, of_truth=0.0), list(meta.get("notes", []))


def _curve(path: str, settings: Mapping[str, Any]) -> Curve:
    """A history with its run's name, and the epoch kept as the settings say."""
    import pandas as pd

    place = Path(path)
    model, _, seed = place.parent.name.rpartition("-seed")
    history = pd.read_csv(path)
    models = settings.get("models")
    spec = models.get(model, {}) if isinstance(models, Mapping) else {}
    kept: int | None = None
    monitor = f"val_{spec.get('monitor', 'loss')}"
    if len(history) and spec.get("keep", "best") == "last":
        kept = int(history["epoch"].iloc[-1])
    elif monitor in history and history[monitor].notna().any():
        values = history[monitor].to_numpy(float)
        at = np.nanargmax(values) if monitor == "val_accuracy" else np.nanargmin(values)
        kept = int(history["epoch"].to_numpy()[at])
    return Curve(model, seed, place.parent.parent.name, history, kept)
