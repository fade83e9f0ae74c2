"""A feature set with its split in a folder of its own, and classifiers fitted to it."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.classify.fitting import fit_classifier
from darkroom.config.classifier import Classifier
from darkroom.features.predictions import probabilities, read_predictions
from darkroom.images import features_file

KINDS = ["svm", "linear_svm", "random_forest", "logistic_regression", "knn"]
FEW_TREES = {"random_forest": {"n_estimators": 60}}


class Case:
    """A feature set and a split of its own folder, and fits on them."""

    def __init__(self, folder, x, label, part, *, group=None, row=None, variant=None, made=None):
        n = len(x)
        self.folder = folder
        self.x = np.asarray(x, np.float32)
        self.row = np.arange(n) if row is None else np.asarray(row)
        self.variant = np.zeros(n, np.int16) if variant is None else np.asarray(variant)
        self.features = str(folder / "features.h5")
        self.splits = str(folder / "splits.parquet")
        features_file.write_features(
            self.features, self.x, self.row, self.variant, name="pixels", layer="pixels", made=made
        )
        first = self.variant == 0
        names = sorted(set(label))
        self.label = np.array([names.index(c) for c in label])
        row_ = self.row[first]
        table = pd.DataFrame(
            {
                "row": row_.astype(np.int64),
                "label": np.asarray(label, dtype=object)[first],
                "class": self.label[first].astype(np.int16),
                "group": [f"row {r}" for r in row_] if group is None else list(group),
                "given": None,
                "holdout": np.asarray(part, dtype=object)[first],
            }
        )
        self.table, self.classes = table, names
        meta = {"classes": names, "folds": ["holdout"], "notes": []}
        pq.write_table(
            pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(
                {"darkroom": json.dumps(meta)}
            ),
            self.splits,
        )

    def fit(self, kind, *, threads=1, balance=None, tag="model", **given):
        given = {"settings": FEW_TREES.get(kind, {})} | given
        cfg = {
            "dataset": "digits",
            "fold": "holdout",
            "features": "pixels",
            "name": "mine",
            "classifier": Classifier(kind=kind, **given).model_dump(exclude={"tune"}),
            "balance": balance,
            "balance_seed": 0,
        }
        model = self.folder / tag / "model.skops"
        told = self.folder / tag / "predictions.parquet"
        fit_classifier(
            self.features,
            self.splits,
            model_path=str(model),
            predictions_path=str(told),
            cfg=cfg,
            threads=threads,
        )
        table, meta = read_predictions(str(told))
        return Result(str(model), table, meta)


class Result:
    def __init__(self, model, table, meta):
        self.model, self.table, self.meta = model, table, meta
        self.p = probabilities(table, meta["classes"])
        self.accuracy = (table["class"] == table["most_probable"])[table["part"] == "test"].mean()
        self.notes = " | ".join(meta["notes"])


def digits():
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16, np.array([str(k) for k in y])


def parts(n, seed=0):
    return np.random.default_rng(seed).choice(
        ["train", "validation", "test"], n, p=[0.5, 0.15, 0.35]
    )
