"""A race on CIFAR-10: seconds of the published network and of our recipe to the same accuracy.

Trains the networks of `presets/cifar10_cnn.yaml` and `presets/cifar10_fast.yaml` one after
the other in this process, on the same prepared images and the same split, through
`darkroom.train`. The clock of a network starts before it is built and pauses after each epoch while
its test accuracy is measured. Nothing is chosen by the test images: each network is that of its
last epoch. Prints a Markdown table.

    python -m benchmarks.race --data FOLDER            # with cifar10.zip; 40 minutes on two cores
    python -m benchmarks.race --data FOLDER --images 2000 --epochs 2    # a quick trial
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from darkroom.config import stages
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.images.prepare import prepare_images
from darkroom.index.copies import find_copies
from darkroom.index.manifest import index_files
from darkroom.sources.download import download_source
from darkroom.split import plan
from darkroom.train import batches, keras_backend, loop
from darkroom.train.prepare import prepare
from darkroom.train.training import TrainModel

ROOT = Path(__file__).resolve().parent.parent
DATASET, PUBLISHED, OURS = "cifar10", "cifar10_cnn", "cifar10_fast"


@dataclass
class Curve:
    """Seconds and accuracy of a network after each epoch.

    Attributes
    ----------
    seconds : since its start, without the measurement of its accuracy.
    accuracy : accuracy on the test images.
    """

    seconds: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def reached(self, accuracy: float) -> float | None:
        """Seconds to the first epoch with at least this accuracy; None if there is none."""
        pairs = zip(self.seconds, self.accuracy, strict=True)
        return next((s for s, a in pairs if a >= accuracy), None)

    def within(self, seconds: float) -> tuple[int, float] | None:
        """The last epoch (from 1) that ended within a number of seconds, and its accuracy."""
        ended = sum(s <= seconds for s in self.seconds)
        return (ended, self.accuracy[ended - 1]) if ended else None


def thinned(archive: Path, folder: Path, most: int) -> Path:
    """An archive of about `most` evenly spaced training images, and a fifth as many test images."""
    out = folder / "cifar10.zip"
    with zipfile.ZipFile(archive) as all_, zipfile.ZipFile(out, "w") as few:
        names = sorted(n for n in all_.namelist() if not n.endswith("/"))
        for part, n in (("train/", most), ("test/", most // 5)):
            found = [name for name in names if part in name]
            for i in np.linspace(0, len(found) - 1, min(n, len(found))).astype(int):
                few.writestr(found[i], all_.read(found[i]))
    return out


def prepared(archive: Path, folder: Path, threads: int) -> tuple[Settings, dict[str, str]]:
    """Run the stages before training; settings of both presets, and the files for training."""
    presets = [yaml.safe_load((ROOT / f"presets/{n}.yaml").read_text()) for n in (PUBLISHED, OURS)]
    both = {key: {**presets[0].get(key, {}), **presets[1][key]} for key in ("models", "datasets")}
    both["datasets"][DATASET] = presets[0]["datasets"][DATASET] | {"source": str(archive)}
    run = {"datasets": [DATASET], "models": [PUBLISHED, OURS]}
    settings = Settings.load(both | {"run": run})
    (view,) = settings.views_of(DATASET)
    names = {"source": "files/source.json", "manifest": "manifest.parquet", "images": "images.h5"}
    path = {k: str(folder / v) for k, v in names.items()} | {"splits": str(folder / "s.parquet")}
    Path(path["source"]).parent.mkdir()
    wildcards = {"dataset": DATASET, "view": view}

    def cfg(stage: str) -> Any:
        return stage_settings(settings, stage, wildcards)

    download_source(path["source"], cfg=cfg("download_source"), mirror=None)
    manifest, thumbnails = path["manifest"], str(folder / "thumbnails.npy")
    copies, table = str(folder / "copies.parquet"), str(folder / "copies.csv")
    index_files(path["source"], manifest, thumbnails, cfg=cfg("index_files"), threads=threads)
    found = cfg("find_copies")
    find_copies(manifest, thumbnails, copies, table=table, cfg=found, threads=threads)
    indices = str(folder / "i.json")
    plan.split_rows(manifest, copies, path["splits"], indices=indices, cfg=cfg("split_rows"))
    prepare_images(
        path["source"], path["manifest"], path["images"], cfg=cfg("prepare_images"), threads=threads
    )
    return settings, path


def trained(name: str, cfg: TrainModel, path: dict[str, str], threads: int) -> Curve:
    """Train a network to its last epoch; its curve."""
    start = time.perf_counter()
    with prepare(
        path["images"], path["splits"], None, cfg=cfg, code="race", threads=threads
    ) as task:
        return raced(name, task, path, time.perf_counter() - start)


def raced(name: str, task: loop.Task, path: dict[str, str], clock: float) -> Curve:
    """The curve of a prepared training; `clock` is the seconds of its preparation."""
    curve = Curve()
    fold = batches.open_fold(
        path["images"], path["splits"], None, fold="holdout", balance=None, balance_seed=0
    )
    test = fold.rows([fold.originals("test")])
    exported = task.whole(task.network)

    def after(row: dict[str, float | None]) -> None:
        nonlocal clock
        clock += row["seconds"] or 0.0
        right = 0
        for pixels, label in batches.in_order(test, 500):
            predicted = np.asarray(exported.predict_on_batch(pixels))
            right += int((predicted.argmax(axis=1) == label).sum())
        curve.seconds.append(clock)
        curve.accuracy.append(right / len(test))
        print(
            f"{name} epoch {len(curve.seconds)}: {clock:.0f} s, {right / len(test):.4f}", flush=True
        )

    with tempfile.TemporaryDirectory(prefix="darkroom-race-") as resume:
        loop.learn(task, resume=resume, after_epoch=after)
    return curve


def summary(published: Curve, ours: Curve) -> str:
    """The race as a Markdown table, and its outcome in a few lines."""
    lines = [f"| epoch | {PUBLISHED}: s | test accuracy | {OURS}: s | test accuracy |"]
    lines.append("|---:|---:|---:|---:|---:|")
    for i in range(max(len(published.seconds), len(ours.seconds))):
        cells = [
            f"{c.seconds[i]:.0f} | {c.accuracy[i]:.4f}" if i < len(c.seconds) else " | "
            for c in (published, ours)
        ]
        lines.append(f"| {i + 1} | {' | '.join(cells)} |")
    end, goal = published.seconds[-1], published.accuracy[-1]
    lines += ["", f"The published network ends at {goal:.4f} after {end:.0f} s."]
    reached = ours.reached(goal)
    if reached is None:
        lines.append(f"Ours does not reach this accuracy; it ends at {ours.accuracy[-1]:.4f}.")
    else:
        lines.append(f"Ours reaches it after {reached:.0f} s: {reached / end:.3f} of the time.")
    within = ours.within(end)
    if within is None:
        lines.append("Ours completes no epoch in that time.")
    else:
        lines.append(
            f"Within the published {end:.0f} s ours completes epoch {within[0]} at {within[1]:.4f}."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10.zip")
    parser.add_argument("--images", type=int, help="number of training images (default: all)")
    parser.add_argument("--epochs", type=int, help="epochs of each network (default: its preset's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=[PUBLISHED, OURS], help="train only this network")
    parser.add_argument("--csv", type=Path, help="also write the curves to this file")
    args = parser.parse_args()
    keras_backend.start(args.threads)
    curves: dict[str, Curve] = {}
    with tempfile.TemporaryDirectory(prefix="darkroom-race-") as name:
        archive = args.data / "cifar10.zip"
        if args.images:
            archive = thinned(archive, Path(name), args.images)
        settings, path = prepared(archive, Path(name), args.threads)
        for model in [args.only] if args.only else [PUBLISHED, OURS]:
            cfg = stages.train_model(settings, DATASET, "holdout", model, args.seed)
            cfg["model"]["epochs"] = args.epochs or cfg["model"]["epochs"]
            curves[model] = trained(model, cfg, path, args.threads)
    if args.csv:
        with args.csv.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["model", "epoch", "seconds", "test_accuracy"])
            for model, curve in curves.items():
                for i, pair in enumerate(zip(curve.seconds, curve.accuracy, strict=True), start=1):
                    table.writerow([model, i, *pair])
    if not args.only:
        print(summary(curves[PUBLISHED], curves[OURS]))


if __name__ == "__main__":
    main()
