"""One epoch of training: Darkroom's loop against a plain `model.fit` on a float32 array.

Both train the CIFAR-10 network of the documentation with Adam and batches of 128 on the
same images, alternating in this process, so that both share the same conditions; each turn
is an epoch of an already compiled network. Prints a Markdown table.

    python -m benchmarks.training --data FOLDER        # with cifar10.zip
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import archives
from darkroom.machine.progress import progress
from darkroom.train import batches, keras_backend, loop, optimizer
from darkroom.train.devices import Devices
from darkroom.train.feed import Feed
from darkroom.train.network import build_network
from darkroom.train.steps_tensorflow import TensorFlowSteps

CONV: dict[str, Any] = {
    "size": 3,
    "stride": 1,
    "padding": "same",
    "activation": "relu",
    "init": "glorot",
}
LAYERS: list[Any] = [
    {"conv": {"filters": 50, "bias": True} | CONV},
    {"conv": {"filters": 75, "bias": True} | CONV},
    {"pool": {"size": 2, "stride": None, "kind": "max"}},
    {"dropout": {"rate": 0.25}},
    {"conv": {"filters": 125, "bias": True} | CONV},
    {"pool": {"size": 2, "stride": None, "kind": "max"}},
    {"dropout": {"rate": 0.25}},
    {"flatten": {}},
    {"dense": {"units": 500, "activation": "relu"}},
    {"dropout": {"rate": 0.4}},
    {"dense": {"units": 250, "activation": "relu"}},
    {"dropout": {"rate": 0.3}},
]
SETTINGS: Any = {
    "optimizer": {
        "name": "adam",
        "learning_rate": 0.001,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 0.0,
        "clip_norm": None,
    },
    "schedule": {"name": "constant", "warmup": 0.0, "final": 0.0},
    "augment": {"flip": "none"},
    "class_weights": "none",
    "batch": 128,
    "epochs": 100,
    "memory_mb": 2000,
}


def read(folder: Path, n: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """n evenly spaced files of a folder: (n, 32, 32, 3) uint8, (n,) classes, class names."""
    files = sorted(folder.glob("*/*.jpg"))
    names = sorted({f.parent.name for f in files})
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, n).astype(int)]
    images = np.stack([np.asarray(cv2.imread(str(f)))[:, :, ::-1] for f in chosen])
    return images, np.array([names.index(f.parent.name) for f in chosen]), names


def peer(images: np.ndarray, label: np.ndarray, classes: int) -> Callable[[], None]:
    """As in tutorials: a float32 array in 0..1 and `fit`."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            layers.Conv2D(50, 3, padding="same", activation="relu"),
            layers.Conv2D(75, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(125, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(500, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(250, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    network.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    x, y = images.astype("float32") / 255, keras.utils.to_categorical(label, classes)
    return lambda: network.fit(x, y, batch_size=128, epochs=1, verbose=0) and None


def ours(images: np.ndarray, label: np.ndarray, names: list[str]) -> Callable[[], None]:
    """Darkroom's epoch, as `train_model` runs it."""
    import keras

    network = build_network(
        LAYERS,
        shape=images.shape[1:],
        classes=len(names),
        normalise="unit",
        mean=[],
        std=[],
        seed=0,
    )
    network.compile(
        optimizer.make(SETTINGS["optimizer"]),
        keras.losses.CategoricalCrossentropy(),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    rows = batches.Rows([images], [np.arange(len(images))], label)
    feed = Feed(rows, names, SETTINGS, seed=0, fill=np.zeros(3, np.uint8))
    steps = TensorFlowSteps(network, Devices("cpu", 1), per_call=1, compile_=False)
    number = iter(range(1, SETTINGS["epochs"]))

    def epoch() -> None:
        with progress("training", len(images)) as bar:
            loop.train_epoch(steps, feed, next(number), SETTINGS, bar)

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with cifar10.zip, or of class folders"
    )
    parser.add_argument("--images", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    keras_backend.start(args.threads)
    with archives.cifar10_train(args.data) as data:
        images, label, names = read(data, args.images)
    runs = {"`model.fit`, float32 array": peer(images, label, len(names))}
    runs["Darkroom"] = ours(images, label, names)
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(args.rounds + 1):  # the first turn compiles and is not counted
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            start, used = time.perf_counter(), time.process_time()
            runs[name]()
            if turn:
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - used)
    first = next(iter(runs))
    print(f"One epoch of {len(images)} images, {args.threads} threads, {args.rounds} rounds.\n")
    print("| epoch | seconds (median) | best | CPU seconds | images/s | ratio | ratio of CPU |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in runs:
        middle, work = statistics.median(wall[name]), statistics.median(cpu[name])
        ratio = statistics.median(b / a for a, b in zip(wall[first], wall[name], strict=True))
        of_cpu = statistics.median(b / a for a, b in zip(cpu[first], cpu[name], strict=True))
        print(
            f"| {name} | {middle:.2f} | {min(wall[name]):.2f} | {work:.2f} "
            f"| {len(images) / middle:,.0f} | {ratio:.3f} | {of_cpu:.3f} |"
        )


if __name__ == "__main__":
    main()
