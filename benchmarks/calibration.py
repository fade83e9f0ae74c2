"""How far probabilities are from the share that is right, by the stage that fits classifiers.

First on the hidden features of a small convolutional network that knows its training images by
heart: two classes that overlap, 700 images to train on, 500 validation and 500 test images. Then the log loss of an SVM of
several classes beside scikit-learn's own probabilities (libsvm: Platt's sigmoids of five folds,
coupled as by Wu, Lin and Weng 2004) and beside the best that is possible.

    python -m benchmarks.calibration
"""

from __future__ import annotations

import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import log_loss
from sklearn.svm import SVC

from darkroom import temperature
from darkroom.metrics import calibration_error

DRAWS = 5
Case: Any = import_module("tests.support.feature_case").Case


def judged(p: Any, truth: Any) -> tuple[float, float, float]:
    """Accuracy, calibration error and log loss."""
    right = p.argmax(axis=1) == truth
    return float(right.mean()), calibration_error(p.max(axis=1), right), float(log_loss(truth, p))


def by_heart(seed: int) -> dict[str, tuple[float, float, float]]:
    """Of each classifier on the features of a network that learned its training rows by heart."""
    import keras

    random = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    part = np.repeat(["train", "validation", "test"], [700, 500, 500])
    label = random.integers(0, 2, len(part))
    x = random.normal(size=(len(part), 8, 8, 1)).astype(np.float32)
    x[:, 2:4, 2:4, 0] += (0.75 * label)[:, None, None]
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.Flatten(),
            hidden := layers.Dense(64, activation="relu"),
            layers.Dense(2),
        ]
    )
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train, validation, test = (part == name for name in ("train", "validation", "test"))
    network.fit(x[train], label[train], epochs=60, verbose=0)
    logits = np.asarray(network(x))
    assert (logits.argmax(axis=1) == label)[train].mean() > 0.99
    features = np.asarray(keras.Model(network.inputs[0], hidden.output)(x))
    made = {"kind": "network", "model": "small", "seed": seed}
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        case = Case(Path(folder), features, np.array(["a", "b"])[label], part, made=made)
        for kind in ("svm", "random_forest", "logistic_regression"):
            result = case.fit(kind, tag=kind, settings={})
            out[kind] = judged(result.p[result.table["part"] == "test"], label[test])
    heat = temperature.learned(logits[validation], label[validation])
    for name, at in (("its head", heat), ("its head, uncalibrated", 1.0)):
        out[name] = judged(temperature.applied(logits[test], at), label[test])
    return out


def several(classes: int, seed: int) -> tuple[float, float, float]:
    """Log loss of our SVM, of libsvm's and the best."""
    random = np.random.default_rng(seed)
    part = np.repeat(["train", "validation", "test"], [700, 200, 800])
    label = random.integers(0, classes, len(part))
    x = random.normal(size=(len(part), 12))
    x[np.arange(len(part)), label] += 2
    train, test = part == "train", part == "test"
    names = np.array([f"{k:02}" for k in range(classes)])
    with tempfile.TemporaryDirectory() as folder:
        result = Case(Path(folder), x, names[label], part).fit("svm", scale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        libsvm = SVC(probability=True, random_state=0).fit(x[train], label[train])
    best = np.exp(2 * x[test, :classes])
    each = (
        result.p[result.table["part"] == "test"],
        libsvm.predict_proba(x[test]),
        best / best.sum(axis=1, keepdims=True),
    )
    ours, theirs, least = (float(log_loss(label[test], p)) for p in each)
    return ours, theirs, least


def main() -> None:
    """Print the tables."""
    found = [by_heart(seed) for seed in range(DRAWS)]
    print(f"| mean of {DRAWS} draws | accuracy | calibration error | log loss |\n|---|--:|--:|--:|")
    for kind in found[0]:
        cells = [f"{v:.3f}" for v in np.mean([one[kind] for one in found], axis=0)]
        print("| " + " | ".join([kind, *cells]) + " |")
    print("\n| log loss | SVM of the stage | libsvm's | the best |\n|---|--:|--:|--:|")
    for classes in (3, 10):
        means = np.mean([several(classes, seed) for seed in range(DRAWS)], axis=0)
        print(f"| {classes} classes | " + " | ".join(f"{v:.3f}" for v in means) + " |")


if __name__ == "__main__":
    main()
