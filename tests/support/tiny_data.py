"""A tiny data set as training reads it: images, variants and a split, written to a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.images import store

CLASSES = ["low", "middle", "high"]
SHAPE = (8, 8, 3)
STILL: dict[str, Any] = {
    "flip": "none",
    "flip_probability": 0.5,
    "rotation": 0,
    "zoom": 0,
    "shear": 0,
    "shift": 0,
    "contrast": 0,
    "brightness": 0,
    "crop": 0,
    "cutout": 0,
    "mixup": 0,
}
LAYERS: list[dict[str, Any]] = [
    {
        "conv": {
            "filters": 4,
            "size": 3,
            "stride": 1,
            "padding": "same",
            "activation": "relu",
            "bias": True,
            "init": "glorot",
        }
    },
    {"batch_norm": {"momentum": 0.9, "scale": True, "epsilon": 0.001}},
    {"pool": {"size": 2, "stride": None, "kind": "max"}},
    {"flatten": {}},
    {"dense": {"units": 8, "activation": "relu"}, "name": "code"},
    {"dropout": {"rate": 0.3}},
]
MODEL: dict[str, Any] = {
    "normalise": "standard",
    "layers": LAYERS,
    "optimizer": {
        "name": "adam",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0,
        "clip_norm": None,
    },
    "schedule": {"name": "cosine", "warmup": 0.1, "final": 0.0},
    "epochs": 3,
    "batch": 18,  # divides the rows: a smaller last batch costs another compilation
    "label_smoothing": 0.0,
    "class_weights": "none",
    "early_stopping": None,
    "monitor": "loss",
    "keep": "best",
    "augment": STILL,
    "memory_mb": 100,
    "head": "softmax",
    "precision": "float32",
    "compile": "auto",
    "steps_per_call": "auto",
    "on_device": "auto",
    "test_time": "none",
    "fine_tune": None,
}


def settings(**model: Any) -> Any:
    """What `train_model` reads, some keys of the model changed."""
    return {
        "backend": "tensorflow",
        "backbone": None,
        "dataset": "tiny",
        "fold": "holdout",
        "name": "cnn",
        "seed": 0,
        "balance": None,
        "balance_seed": 0,
        "model": MODEL | model,
    }


def write(
    folder: Path,
    n: int = 90,
    validation: bool = True,
    variants: bool = True,
    names: list[str] = CLASSES,
    shape: tuple[int, int, int] = SHAPE,
) -> list[str]:
    """Two or three classes of grey levels with noise; every fifth row test, every fifth validation.

    Returns
    -------
    Paths of images, splits, variants.
    """
    random = np.random.default_rng(0)
    label = np.sort(np.arange(n) % len(names))  # as from class folders
    level = np.array([40, 120, 200])[label][:, None, None, None]
    pixels = np.clip(level + random.normal(0, 30, (n, *shape)), 0, 255).astype(np.uint8)
    paths = [str(folder / name) for name in ("images.h5", "splits.parquet", "augmented.h5")]
    _images(paths[0], pixels, np.arange(n), np.zeros(n), label)
    if variants:
        _images(paths[2], 255 - pixels, np.arange(n), np.ones(n), label)
    part = np.array(["train", "train", "train", "validation", "test"], object)[np.arange(n) % 5]
    if not validation:
        part[part == "validation"] = "unused"
    table = pa.table(
        {
            "row": np.arange(n),
            "label": [names[c] for c in label],
            "class": pa.array(label, pa.int16()),
            "group": [str(i) for i in range(n)],
            "given": pa.nulls(n, pa.string()),
            "holdout": pa.array(part, pa.string()),
        }
    )
    meta = json.dumps({"classes": names, "folds": ["holdout"], "notes": []})
    pq.write_table(table.replace_schema_metadata({"darkroom": meta}), paths[1])
    return paths


def _images(path: str, pixels: np.ndarray, row: Any, variant: Any, label: np.ndarray) -> None:
    with store.images_writer(
        path,
        pixels.shape[1:],
        row,
        variant,
        label,
        labels=CLASSES,
        view={"size": 8},
        dataset="tiny",
        variants=["original", "negative"],
    ) as draft:
        draft.map("images")[:] = pixels
        exact = pixels.astype(np.float64)
        draft.map("mean")[:] = exact.mean(axis=(1, 2))
        draft.map("mean_square")[:] = (exact**2).mean(axis=(1, 2))
