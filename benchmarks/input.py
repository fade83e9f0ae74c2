"""One epoch's input, the model left out: Darkroom against `image_dataset_from_directory`.

Both deliver the same files as shuffled batches of 128 at 32×32. Darkroom reads the file written
once by its stage prepare_images (here before the clock starts; the last column includes its
seconds, spread over ten epochs). The peer decodes the files in each epoch; with `cache()`, in a
second row, it keeps float32 batches in memory from the first epoch on, so their content and order
never change. Prints a Markdown table.

    python -m benchmarks.input --data FOLDER        # with cifar10.zip
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import archives
from darkroom.config.model import Augmentation
from darkroom.images import store
from darkroom.train import batches, keras_backend
from darkroom.train.feed import Feed

SETTINGS: dict[str, Any] = {"class_weights": "none", "batch": 128, "memory_mb": 2000}


def prepare(folder: Path, path: str) -> list[str]:
    """Write the images file, as prepare_images does; return the class names."""
    files = sorted(folder.glob("*/*.jpg"))
    names = sorted({f.parent.name for f in files})
    label = np.array([names.index(f.parent.name) for f in files])
    number = np.arange(len(files))
    with store.images_writer(
        path,
        (32, 32, 3),
        number,
        np.zeros(len(files)),
        label,
        labels=names,
        view={"size": 32},
        dataset="benchmark",
    ) as draft:
        images = draft.map("images")
        for i, file in enumerate(files):
            images[i] = cv2.resize(np.asarray(cv2.imread(str(file))), (32, 32))[:, :, ::-1]
        draft.map("mean")[:] = 127  # not used here
        draft.map("mean_square")[:] = 127**2
    return names


def ours(path: str, names: list[str], memory_mb: int, **changes: Any) -> Callable[[], int]:
    """An epoch of input as for `train_model`: pixels and one-hot targets, read in a thread."""
    file = store.open_images(path)
    rows = batches.Rows([file.images], [np.arange(len(file))], file.label.astype(np.int64))
    settings: Any = SETTINGS | {
        "augment": Augmentation(**changes).model_dump(),
        "memory_mb": memory_mb,
    }
    feed = Feed(rows, names, settings, seed=0, fill=np.zeros(3, np.uint8))
    number = iter(range(1, 1000))

    def epoch() -> int:
        with batches.ahead(feed.epoch(next(number))) as ready:
            return sum(len(images) for images, _, _ in ready)

    return epoch


def peer(folder: Path, cache: bool) -> Callable[[], int]:
    import keras

    data = keras.utils.image_dataset_from_directory(
        str(folder),
        label_mode="categorical",
        image_size=(32, 32),
        batch_size=128,
        shuffle=True,
        seed=0,
        verbose=False,
    )
    data = data.cache() if cache else data
    return lambda: sum(len(images) for images, _ in data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with cifar10.zip, or of class folders"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    keras_backend.start(args.threads)
    cv2.setNumThreads(1)
    with archives.cifar10_train(args.data) as data, tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "images.h5")
        start = time.perf_counter()
        names = prepare(data, path)
        made = time.perf_counter() - start
        runs: dict[str, Callable[[], int]] = {
            "`image_dataset_from_directory`": peer(data, cache=False),
            "the same with `cache()`": peer(data, cache=True),
            "Darkroom, pixels held": ours(path, names, 2000),
            "Darkroom, held, flip and crop": ours(path, names, 2000, flip="horizontal", crop=4),
            "Darkroom, streamed in 40 MB": ours(path, names, 40),
        }
        rate: dict[str, list[float]] = {name: [] for name in runs}
        n = 0
        for turn in range(args.rounds + 1):  # the first turn fills caches and is not counted
            for name, run in runs.items():
                start = time.perf_counter()
                n = run()
                if turn:
                    rate[name].append(n / (time.perf_counter() - start))
    base = statistics.median(rate[next(iter(runs))])
    print(f"{n} images at 32×32, batches of 128, {args.threads} threads, {args.rounds} rounds.\n")
    print("| input of one epoch | images/s | ratio | with the one preparation, over 10 epochs |")
    print("|---|---:|---:|---:|")
    for name in runs:
        speed = statistics.median(rate[name])
        whole = 10 * n / (10 * n / speed + (made if "Darkroom" in name else 0))
        print(f"| {name} | {speed:,.0f} | {speed / base:.1f} | {whole / base:.1f} |")


if __name__ == "__main__":
    main()
