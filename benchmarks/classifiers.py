"""SVM and random forest on many features: Darkroom's stage beside bare scikit-learn.

    python -m benchmarks.classifiers                        # 50,000 synthetic rows of 250 features
    python -m benchmarks.classifiers --features results/…/features.h5 --splits results/…/splits.parquet

The stage scales, fits, calibrates on held-out rows, predicts and writes its files; bare
scikit-learn fits and predicts once, an SVM without probabilities. Each is a process of its
own; CPU seconds include its workers.

The synthetic data are clusters in 20 dimensions, mixed into 250 non-negative features like those
of a ReLU layer. Their overlap determines the time of an SVM.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.features.predictions import read_predictions
from darkroom.images import features_file

ROOT = Path(__file__).resolve().parent.parent
OVERLAPS = {"apart": 2.0, "overlapping": 1.0, "mixed": 0.5}  # distance of the clusters' centres

STAGE = """
import json, sys
from darkroom.classify.fitting import fit_classifier

features, splits, folder, cfg, threads = sys.argv[1:]
fit_classifier(
    features, splits, model_path=f"{folder}/model.skops",
    predictions_path=f"{folder}/predictions.parquet", cfg=json.loads(cfg), threads=int(threads),
)
"""
BARE = """
import sys
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from darkroom.images import features_file
from darkroom.split import splits

features, table, folder, estimator, threads = sys.argv[1:]
read, opened = splits.read_splits(table), features_file.open_features(features)
part, label = read.lookup(opened.row, "holdout")
x = np.asarray(opened.features)
train, held = part == "train", np.isin(part, ["validation", "test"]) & (opened.variant == 0)
fitted = eval(estimator, globals(), {"threads": int(threads)}).fit(x[train], label[train])
np.save(f"{folder}/predicted.npy", fitted.predict(x[held]))
"""
BARE_ESTIMATORS = {
    "svm": "make_pipeline(StandardScaler(), SVC(break_ties=True))",
    "random_forest": "RandomForestClassifier(300, random_state=0, n_jobs=threads)",
}


class Run(NamedTuple):
    """Cost and predictions of one process."""

    cpu: float
    wall: float
    predicted: np.ndarray
    truth: np.ndarray

    @property
    def accuracy(self) -> float:
        return float((self.predicted == self.truth).mean())


def write(folder: Path, rows: int, values: int, classes: int, apart: float) -> tuple[str, str]:
    """Features and a split of `rows` training rows and a fifth as many test rows."""
    random = np.random.default_rng(0)
    n = rows + rows // 5
    centre = apart * random.normal(size=(5 * classes, 20))
    label = random.integers(0, classes, n)
    place = centre[5 * label + random.integers(0, 5, n)] + random.normal(size=(n, 20))
    mixed = place @ (random.normal(size=(20, values)) / np.sqrt(20))
    x = np.maximum(0, mixed + 0.3 * random.normal(size=(n, values))).astype(np.float32)
    names = [f"class {k}" for k in range(classes)]
    table = pa.table(
        {
            "row": np.arange(n),
            "label": [names[k] for k in label],
            "class": label.astype(np.int16),
            "group": [f"row {i}" for i in range(n)],
            "args": pa.nulls(n, pa.string()),
            "holdout": np.where(np.arange(n) < rows, "train", "test"),
        }
    )
    about = json.dumps({"classes": names, "folds": ["holdout"], "notes": []})
    features, splits = str(folder / "features.h5"), str(folder / "splits.parquet")
    pq.write_table(table.replace_schema_metadata({"darkroom": about}), splits)
    features_file.write_features(
        features, x, np.arange(n), np.zeros(n, np.int16), name="made", layer="none"
    )
    return features, splits


def settings(kind: str) -> dict[str, Any]:
    """Settings of the stage."""
    return {
        "dataset": "benchmark",
        "fold": "holdout",
        "features": "made",
        "name": kind,
        "classifier": {
            "kind": kind,
            "scale": None,
            "pca": None,
            "settings": {},
            "max_rows": None,
            "memory_mb": 100_000,
            "seed": 0,
        },
        "balance": None,
        "balance_seed": 0,
    }


def measured(code: str, arguments: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of a Python process and its children."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    after = os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    return cpu, time.perf_counter() - start


def measure(title: str, data: tuple[str, str], kinds: list[str], threads: int) -> None:
    """Print the table's rows of one data set."""
    for kind in kinds:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            cfg = json.dumps(settings(kind))
            cost = measured(STAGE, [*data, made, cfg, str(threads)])
            table, _ = read_predictions(str(folder / "predictions.parquet"))
            truth = table["class"].to_numpy()
            ours = Run(*cost, table["most_probable"].to_numpy(), truth)
            cost = measured(BARE, [*data, made, BARE_ESTIMATORS[kind], str(threads)])
            bare = Run(*cost, np.load(folder / "predicted.npy"), truth)
        for name, run in (("Darkroom", ours), ("bare scikit-learn", bare)):
            equal = (run.predicted == ours.predicted).mean()
            print(
                f"| {title} | {kind} | {name} | {run.cpu:.1f} | {run.wall:.1f} |"
                f" {run.accuracy:.4f} | {equal:.4f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", help="ignored: the data are synthetic")
    parser.add_argument("--rows", type=int, default=50_000, help="synthetic training rows")
    parser.add_argument("--values", type=int, default=250)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--overlap", nargs="+", choices=list(OVERLAPS), default=["apart"])
    kinds = list(BARE_ESTIMATORS)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--features", help="features.h5 to use instead")
    parser.add_argument("--splits", help="its splits.parquet")
    args = parser.parse_args()
    print(
        "| data | classifier | by | CPU s | wall s | accuracy | equal to Darkroom |\n"
        "|---|---|---|--:|--:|--:|--:|"
    )
    if args.features:
        data = (args.features, args.splits)
        measure("args", data, args.kinds, args.threads)
        return
    for name in args.overlap:
        with tempfile.TemporaryDirectory() as made:
            data = write(Path(made), args.rows, args.values, args.classes, OVERLAPS[name])
            measure(f"{name}, {args.rows:,}", data, args.kinds, args.threads)


if __name__ == "__main__":
    main()
