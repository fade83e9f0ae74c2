"""Kernel machine and forest on many features: scikit-learn against scikit-learn-intelex.

    python -m benchmarks.classifiers                        # 50,000 rows of 250 values, made up
    python -m benchmarks.classifiers --features results/…/features.h5 --splits results/…/splits.parquet

Darkroom's own stage (`classifiers.fit`: scaling, fit, calibration on held-out rows,
prediction, files) with `accelerate: never` and `accelerate: always`, and for the
kernel machine the bare `StandardScaler` and `SVC`, fitted and asked once, without
probabilities. Each is a process of its own; CPU seconds are of it and its workers.

The data are clusters in 20 dimensions, mixed into 250 non-negative values as a ReLU layer
gives them. How far they overlap decides the time of a kernel machine.
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

from darkroom import intelex, store
from darkroom.features.predictions import read_predictions

ROOT = Path(__file__).resolve().parent.parent
OVERLAPS = {"apart": 2.0, "overlapping": 1.0, "mixed": 0.5}  # distance of the clusters' centres

STAGE = """
import json, sys
from darkroom import classifiers

features, splits, folder, cfg, threads = sys.argv[1:]
classifiers.fit(
    features, splits, model_path=f"{folder}/model.skops",
    predictions_path=f"{folder}/predictions.parquet", cfg=json.loads(cfg), threads=int(threads),
)
"""
BARE = """
import sys
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from darkroom import splits, store

features, table, folder, *_ = sys.argv[1:]
read, opened = splits.read_splits(table), store.open_features(features)
part, label = read.lookup(opened.row, "holdout")
x = np.asarray(opened.features)
train, held = part == "train", (part != "train") & (part != "unused") & (opened.variant == 0)
machine = make_pipeline(StandardScaler(), SVC(break_ties=True)).fit(x[train & (opened.variant == 0)],
    label[train & (opened.variant == 0)])
np.save(f"{folder}/predicted.npy", machine.predict(x[held]))
"""


class Run(NamedTuple):
    """What one process did."""

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
            "given": pa.nulls(n, pa.string()),
            "holdout": np.where(np.arange(n) < rows, "train", "test"),
        }
    )
    about = json.dumps({"classes": names, "folds": ["holdout"], "notes": []})
    features, splits = str(folder / "features.h5"), str(folder / "splits.parquet")
    pq.write_table(table.replace_schema_metadata({"darkroom": about}), splits)
    store.write_features(
        features, x, np.arange(n), np.zeros(n, np.int16), name="made", layer="none"
    )
    return features, splits


def settings(kind: str, mode: str) -> dict[str, Any]:
    """What the stage is told."""
    classifier: dict[str, Any] = {
        "kind": kind,
        "scale": None,
        "pca": None,
        "settings": {},
        "max_rows": None,
        "seed": 0,
        "accelerate": mode,
        "memory_mb": 100_000,
        "tune": None,
    }
    return {
        "dataset": "benchmark",
        "fold": "holdout",
        "features": "made",
        "name": kind,
        "classifier": classifier,
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


def stage(folder: Path, data: tuple[str, str], kind: str, mode: str, threads: int) -> Run:
    cfg = json.dumps(settings(kind, mode))
    cpu, wall = measured(STAGE, [*data, str(folder), cfg, str(threads)])
    table, _ = read_predictions(str(folder / "predictions.parquet"))
    return Run(cpu, wall, table["predicted"].to_numpy(), table["class"].to_numpy())


def measure(title: str, data: tuple[str, str], kinds: list[str], threads: int) -> None:
    """Print the table's rows of one data set."""
    modes = ["never", "always"] if intelex.version() else ["never"]
    for kind in kinds:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            runs = {mode: stage(folder, data, kind, mode, threads) for mode in modes}
            plain = runs["never"]
            if kind == "svm":
                cpu, wall = measured(BARE, [*data, str(folder)])
                predicted = np.load(folder / "predicted.npy")
                runs["bare SVC"] = Run(cpu, wall, predicted, plain.truth)
            if kind == "random_forest":
                cfg = settings(kind, "never")
                cfg["classifier"]["seed"] = 1
                cpu, wall = measured(STAGE, [*data, str(folder), json.dumps(cfg), str(threads)])
                table, _ = read_predictions(str(folder / "predictions.parquet"))
                runs["never, seed 1"] = Run(cpu, wall, table["predicted"].to_numpy(), plain.truth)
        for mode, run in runs.items():
            equal = (run.predicted == plain.predicted).mean()
            print(
                f"| {title} | {kind} | {mode} | {run.cpu:.1f} | {run.wall:.1f} |"
                f" {plain.cpu / run.cpu:.2f} | {run.accuracy:.4f} | {equal:.4f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", help="taken and not used, as the data are made up")
    parser.add_argument("--rows", type=int, default=50_000, help="training rows made up")
    parser.add_argument("--values", type=int, default=250)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--overlap", nargs="+", choices=list(OVERLAPS), default=["apart"])
    parser.add_argument("--kinds", nargs="+", choices=intelex.KINDS, default=list(intelex.KINDS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--features", help="a features.h5, used whole")
    parser.add_argument("--splits", help="its splits.parquet")
    given = parser.parse_args()
    version = intelex.version()
    print(
        f"{intelex.PACKAGE} {version}"
        if version
        else f"{intelex.PACKAGE} is not installed (pip install {intelex.PACKAGE}): plain only"
    )
    print(
        "\n| data | classifier | accelerate | CPU s | wall s | times faster (CPU) | accuracy |"
        " equal to plain |\n|---|---|---|--:|--:|--:|--:|--:|"
    )
    if given.features:
        data = (given.features, given.splits)
        measure("given", data, given.kinds, given.threads)
        return
    for name in given.overlap:
        with tempfile.TemporaryDirectory() as made:
            data = write(Path(made), given.rows, given.values, given.classes, OVERLAPS[name])
            measure(f"{name}, {given.rows:,}", data, given.kinds, given.threads)


if __name__ == "__main__":
    main()
