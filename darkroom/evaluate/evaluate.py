"""All predictions of a data set in one table, and how good they are.

A run is one classifier on one feature set in one fold. All runs are scored on the same
bootstrap resamples of the data set's validation or test groups (those of all folds
together), each by the rows it has. So the interval of a mean over seeds knows that all
seeds were tested on the same images, and that over folds that each tested other ones: it
is the interval of the mean of the runs, resample by resample. It says how far the mean
could be off through the choice of test images; the spread through the choice of seeds
and training rows is the standard deviation (`_sd`).

With two classes a run calls the second from its threshold on: a given probability, or the
one that serves the run's own validation rows best. No test row has a say in it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import UserError
from darkroom.features import metrics as measure
from darkroom.features import predictions as stored
from darkroom.machine import disk
from darkroom.machine.progress import progress
from darkroom.split import splits as places

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

# Proportions, whose interval must not vanish where every row is right.
RATES = frozenset(measure.OVERALL) - {"roc_auc", "log_loss"}
# Columns of the table at the end, with their digits.
SHOWN = {
    "accuracy": ("accuracy", 3),
    "balanced_accuracy": ("balanced accuracy", 3),
    "roc_auc": ("ROC AUC", 4),
}

Floats = NDArray[np.float64]


def evaluate_dataset(
    predictions: Sequence[str],
    manifest: str,
    splits: str,
    *,
    metrics: str,
    summary: str,
    classes: str,
    predictions_out: str,
    thresholds: str,
    cfg: dict[str, Any],
) -> None:
    """Score every classifier's predictions and tell the accuracies, with intervals.

    Parameters
    ----------
    predictions : the classifiers' `predictions.parquet`; their order is the tables' order.
    manifest, splits : `manifest.parquet` (for paths) and `splits.parquet` (for groups).
    metrics, summary, classes, predictions_out, thresholds : the five files to write, as in
        docs/formats.md. An undefined number is left empty, as are the intervals with no
        resamples and the deviation over one run.
    cfg : `dataset` (name), `evaluate` (`bootstrap`: resamples, 0 for no intervals; `seed`),
        `threshold` (see `threshold_of`).

    Raises
    ------
    UserError
        Where there is nothing to evaluate, or no threshold can be chosen.
    """
    dataset = cfg["dataset"]
    if not predictions:
        raise UserError(
            f"{dataset}: nothing to evaluate: it has no model, and no feature set with a "
            "classifier; name some in run or in the data set"
        )
    split = places.read_splits(splits)
    resampled = {
        part: _Part.of(split, part, i, cfg["evaluate"]) for i, part in enumerate(stored.PARTS)
    }
    runs: list[_Run] = []
    lines: list[dict[str, Any]] = []
    outputs = (metrics, summary, classes, predictions_out, thresholds)
    with ExitStack() as written:
        parts = [written.enter_context(disk.whole(path)) for path in outputs]
        with (
            _Collected(parts[3], manifest) as collected,
            progress(f"{dataset}: evaluate", len(predictions), "predictions") as bar,
        ):
            for path in predictions:
                table, meta = stored.read_predictions(path)
                if meta["classes"] != split.classes:
                    raise ValueError(f"{path} is of other classes than {splits}")
                threshold = threshold_of(table, meta, cfg["threshold"])
                p = stored.probabilities(table, meta["classes"])
                table["predicted"] = stored.decide(p, threshold)
                collected.add(table, meta)
                lines.append(_threshold_line(table, meta, threshold, cfg["threshold"]))
                for name in stored.PARTS:
                    rows = table[table["part"] == name]
                    if len(rows):
                        runs.append(_score(rows, meta, resampled[name]))
                bar.update(1)
        _metrics(runs).to_csv(parts[0], index=False, float_format="%.6f")
        means = _summary(runs)
        means.to_csv(parts[1], index=False, float_format="%.6f")
        _classes(runs, split.classes).to_csv(parts[2], index=False, float_format="%.6f")
        _thresholds(lines if len(split.classes) == 2 else []).to_csv(parts[4], index=False)
    _tell(means, resampled, dataset)


def threshold_of(table: pd.DataFrame, meta: dict[str, Any], asked: float | str) -> float:
    """Probability of the second of two classes from which a run calls it.

    Parameters
    ----------
    table, meta : a run's predictions, as `predictions.read_predictions` gives them.
    asked : that probability, or what it should make largest on the run's validation rows:
        `accuracy`, `balanced_accuracy` or `f1` (`metrics.best_threshold`).

    Returns
    -------
    float; 0.5 where there are more classes.

    Raises
    ------
    UserError
        More than two classes and anything but 0.5; no validation rows of both classes.
    """
    where, classes = f"datasets.{meta['dataset']}.threshold", meta["classes"]
    if len(classes) != 2 and asked != 0.5:
        raise UserError(f"{where}: a threshold is for two classes, and there are {len(classes)}")
    if not isinstance(asked, str):
        return float(asked)
    rows = table[table["part"] == "validation"]
    truth = rows["class"].to_numpy()
    if len(set(truth.tolist())) < 2:
        raise UserError(
            f"{where}: {asked} needs validation rows of both classes, and {meta['fold']} has "
            f"{f'only {classes[truth[0]]!r}' if len(truth) else 'none'}; raise split.validation, "
            "or give a probability"
        )
    score = stored.probabilities(rows, classes)[:, 1]
    return measure.best_threshold(truth == 1, score, asked)


@dataclass(frozen=True)
class _Part:
    """The validation or test rows of a data set over all folds, and their resamples."""

    name: str
    row: NDArray[np.int64]  # ascending
    group: NDArray[np.int64]  # 0 … G-1
    resamples: measure.Resamples

    @classmethod
    def of(cls, split: places.Splits, name: str, number: int, spec: dict[str, Any]) -> _Part:
        import pandas as pd

        there = (split.table[split.folds] == name).any(axis=1)
        group, names = pd.factorize(split.table.loc[there, "group"])
        row = split.table.loc[there, "row"].to_numpy(dtype=np.int64)
        seed = [int(spec["seed"]), number]
        drawn = measure.Resamples(len(names), int(spec["bootstrap"]), seed)
        return cls(name, row, group.astype(np.int64), drawn)

    def groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.searchsorted(self.row, rows)
        if (at == len(self.row)).any() or (self.row[at] != rows).any():
            raise ValueError(f"predictions of rows that are not {self.name} rows of the split")
        return self.group[at]


@dataclass(frozen=True)
class _Run:
    """One classifier's scores on one part of one fold; `samples` of shape (B,)."""

    features: str
    model: str
    seed: int | None
    classifier: str
    fold: str
    part: str
    n: int
    groups: NDArray[np.int64]  # distinct, ascending
    value: dict[str, float]
    samples: dict[str, Floats]
    by_class: dict[str, tuple[Floats, Floats, Floats]]  # value, low, high: (K,) each
    support: NDArray[np.int64]


def _score(rows: pd.DataFrame, meta: dict[str, Any], part: _Part) -> _Run:
    truth = rows["class"].to_numpy(dtype=np.int64)
    called = rows["predicted"].to_numpy(dtype=np.int64)
    p = stored.probabilities(rows, meta["classes"])
    group = part.groups(rows["row"].to_numpy(dtype=np.int64))
    value, class_value = measure.scores(truth, called, p)
    pieces = [measure.scores(truth, called, p, weights, group) for weights in part.resamples]
    k = len(meta["classes"])
    samples = {m: np.concatenate([np.zeros(0), *(o[m] for o, _ in pieces)]) for m in value}
    pairs = {
        "recall": np.unique(truth * len(part.row) + group) // len(part.row),
        "precision": np.unique(called * len(part.row) + group) // len(part.row),
    }
    by_class = {}
    for m, v in class_value.items():
        drawn = np.concatenate([np.zeros((k, 0)), *(c[m] for _, c in pieces)], axis=1)
        low, high = measure.interval(drawn)
        if m in pairs:
            low, high = measure.widened(v[:, 0], low, high, np.bincount(pairs[m], minlength=k))
        by_class[m] = (v[:, 0], low, high)
    model, seed = _model(meta["features"])
    return _Run(
        features=meta["features"],
        model=model,
        seed=seed,
        classifier=meta["classifier"],
        fold=meta["fold"],
        part=part.name,
        n=len(rows),
        groups=np.unique(group),
        value={m: float(v[0]) for m, v in value.items()},
        samples=samples,
        by_class=by_class,
        support=np.bincount(truth, minlength=k),
    )


def _model(features: str) -> tuple[str, int | None]:
    """`cnn-seed3` gives (cnn, 3); a feature set that no network makes its name and None."""
    match = re.fullmatch(r"(.+)-seed(\d+)", features)
    return (match[1], int(match[2])) if match else (features, None)


def _bounds(name: str, value: float, samples: Floats, groups: int) -> tuple[float, float]:
    low, high = measure.interval(samples)
    if name in RATES:
        low, high = measure.widened(np.array(value), low, high, groups)
    return float(low), float(high)


# ---------------------------------------------------------------- tables


def _metrics(runs: list[_Run]) -> pd.DataFrame:
    import pandas as pd

    lines = []
    for run in runs:
        line: dict[str, Any] = {
            "features": run.features,
            "model": run.model,
            "seed": run.seed,
            "classifier": run.classifier,
            "fold": run.fold,
            "part": run.part,
            "n": run.n,
        }
        for m, value in run.value.items():
            low, high = _bounds(m, value, run.samples[m], len(run.groups))
            line |= {m: value, f"{m}_low": low, f"{m}_high": high}
        lines.append(line)
    return pd.DataFrame(lines).astype({"seed": "Int64"})


def _summary(runs: list[_Run]) -> pd.DataFrame:
    """Means over seeds and folds; models in the order first met, then their classifiers."""
    import pandas as pd

    models = {model: i for i, model in enumerate(dict.fromkeys(run.model for run in runs))}
    alike: dict[tuple[str, str, str], list[_Run]] = {}
    for run in runs:
        alike.setdefault((run.model, run.classifier, run.part), []).append(run)
    lines = []
    for model, classifier, part in sorted(alike, key=lambda key: models[key[0]]):
        same = alike[model, classifier, part]
        line: dict[str, Any] = {
            "model": model,
            "classifier": classifier,
            "part": part,
            "runs": len(same),
        }
        tested = len(np.unique(np.concatenate([run.groups for run in same])))
        for m in measure.OVERALL:
            values = np.array([run.value[m] for run in same])
            known = values[~np.isnan(values)]
            mean = float(known.mean()) if len(known) else np.nan
            together = np.stack([run.samples[m] for run in same])
            low, high = _bounds(m, mean, measure.mean(together), tested)
            line[m] = mean
            line[f"{m}_sd"] = float(known.std(ddof=1)) if len(known) > 1 else np.nan
            line |= {f"{m}_low": low, f"{m}_high": high}
        lines.append(line)
    return pd.DataFrame(lines)


def _classes(runs: list[_Run], names: list[str]) -> pd.DataFrame:
    import pandas as pd

    tables = []
    for run in runs:
        columns: dict[str, Any] = {
            "features": run.features,
            "classifier": run.classifier,
            "fold": run.fold,
            "part": run.part,
            "class": names,
            "n": run.support,
        }
        for m, (value, low, high) in run.by_class.items():
            columns |= {m: value, f"{m}_low": low, f"{m}_high": high}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _threshold_line(
    table: pd.DataFrame, meta: dict[str, Any], threshold: float, asked: float | str
) -> dict[str, Any]:
    """A row of `thresholds.csv`."""
    line: dict[str, Any] = {
        "features": meta["features"],
        "classifier": meta["classifier"],
        "fold": meta["fold"],
        "positive": meta["classes"][-1],
        "threshold": threshold,
        "how": asked if isinstance(asked, str) else "given",
    }
    if len(meta["classes"]) == 2:
        for part in stored.PARTS:
            rows = table[table["part"] == part]
            rates = measure.two_class_rates(rows["class"], rows["predicted"])
            line |= {f"{part}_{rate}": value for rate, value in rates.items()}
    return line


def _thresholds(lines: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    rates = [f"{p}_{r}" for p in stored.PARTS for r in ("sensitivity", "specificity", "precision")]
    columns = ["features", "classifier", "fold", "positive", "threshold", "how", *rates]
    return pd.DataFrame(lines, columns=columns).round(dict.fromkeys(rates, 6))


class _Collected:
    """The data set's own `predictions.parquet`, written one classifier after the other."""

    def __init__(self, output: Path, manifest: str) -> None:
        import pyarrow.parquet as pq

        table = pq.read_table(manifest, columns=["row", "path"])
        self.path = dict(zip(table["row"].to_pylist(), table["path"].to_pylist(), strict=True))
        self.output = output
        self.writer: Any = None
        self.notes: dict[str, None] = {}  # in order, each once

    def __enter__(self) -> _Collected:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        return self

    def add(self, table: pd.DataFrame, meta: dict[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.notes |= dict.fromkeys(f"{meta['classifier']}: {note}" for note in meta["notes"])
        n = len(table)
        front = {
            **{name: pa.array([meta[name]] * n) for name in ("fold", "features", "classifier")},
            "path": pa.array([self.path[row] for row in table["row"]], type=pa.string()),
        }
        whole = pa.table({**front, **{c: pa.array(table[c]) for c in table.columns}})
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.output, whole.schema)
        self.writer.write_table(whole.cast(self.writer.schema))

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            told = json.dumps({"notes": list(self.notes)})
            self.writer.add_key_value_metadata({"darkroom": told})
            self.writer.close()


# ---------------------------------------------------------------- words


def _tell(summary: pd.DataFrame, parts: dict[str, _Part], dataset: str) -> None:
    """Log the summary: what a person sees at the end of a run."""
    name = "test" if (summary["part"] == "test").any() else "validation"
    rows = summary[summary["part"] == name]
    bounded = parts[name].resamples.resamples > 0
    lines = [["model", "classifier", "runs", *(title for title, _ in SHOWN.values())]]
    for _, row in rows.iterrows():
        cells = [row["model"], row["classifier"], str(row["runs"])]
        for m, (_, digits) in SHOWN.items():
            value, low, high = (row[f"{m}{end}"] for end in ("", "_low", "_high"))
            cell = "undefined" if np.isnan(value) else f"{value:.{digits}f}"
            if not np.isnan(low):
                cell += f" [{low:.{digits}f}, {high:.{digits}f}]"
            cells.append(cell)
        lines.append(cells)
    width = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    images = f"{len(parts[name].row):,} {name} images"
    why = "" if name == "test" else ", as there is no test set"
    log.info("%s: %s%s%s", dataset, images, why, ", 95 % intervals" if bounded else "")
    for line in lines:
        log.info(
            "  %s",
            "  ".join(
                cell.rjust(w) if i == 2 else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(line, width, strict=True))
            ).rstrip(),
        )
