"""A race on CIFAR-10: the published network against our recipe, seconds to its accuracy.

Trains the networks of `presets/cifar10_cnn.yaml` and `presets/cifar10_fast.yaml` one after
the other in this process, on the same prepared images and the same split, through
`darkroom.train`. The clock of a network starts before it is built and holds while its
test accuracy is measured, after each epoch. Nothing is chosen by the test images: each
network is the one after its last epoch. Prints a Markdown table.

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
    """How a network did after each epoch.

    Attributes
    ----------
    seconds : on its clock, since its start. accuracy : on the test images.
    """

    seconds: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    def reached(self, accuracy: float) -> float | None:
        """Seconds after the first epoch with at least this accuracy; None where none has it."""
        pairs = zip(self.seconds, self.accuracy, strict=True)
        return next((s for s, a in pairs if a >= accuracy), None)

    def within(self, seconds: float) -> tuple[int, float] | None:
        """The last epoch that ended within so many seconds, from 1, and its accuracy."""
        ended = sum(s <= seconds for s in self.seconds)
        return (ended, self.accuracy[ended - 1]) if ended else None


def thinned(archive: Path, folder: Path, most: int) -> Path:
    """An archive of about so many training images, evenly taken, and a fifth as many to test."""
    out = folder / "cifar10.zip"
    with zipfile.ZipFile(archive) as all_, zipfile.ZipFile(out, "w") as few:
        names = sorted(n for n in all_.namelist() if not n.endswith("/"))
        for part, wanted in (("train/", most), ("test/", most // 5)):
            found = [n for n in names if part in n]
            for i in np.linspace(0, len(found) - 1, min(wanted, len(found))).astype(int):
                few.writestr(found[i], all_.read(found[i]))
    return out


def prepared(archive: Path, folder: Path, threads: int) -> tuple[Settings, dict[str, str]]:
    """The pipeline's own first stages; settings of both presets, and the files for training."""
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
    index_files(path["source"], path["manifest"], cfg=cfg("index_files"), threads=threads)
    plan.split_rows(
        path["manifest"], path["splits"], indices=str(folder / "i.json"), cfg=cfg("split_rows")
    )
    prepare_images(
        path["source"], path["manifest"], path["images"], cfg=cfg("prepare_images"), threads=threads
    )
    return settings, path


def trained(name: str, cfg: TrainModel, path: dict[str, str], threads: int) -> Curve:
    """Train a network to its end; its curve."""
    start = time.perf_counter()
    with prepare(
        path["images"], path["splits"], None, cfg=cfg, code="race", threads=threads
    ) as task:
        return raced(name, task, path, time.perf_counter() - start)


def raced(name: str, task: loop.Task, path: dict[str, str], clock: float) -> Curve:
    """The curve of a prepared training, which took so many seconds to prepare."""
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
            said = np.asarray(exported.predict_on_batch(pixels))
            right += int((said.argmax(axis=1) == label).sum())
        curve.seconds.append(clock)
        curve.accuracy.append(right / len(test))
        print(
            f"{name} epoch {len(curve.seconds)}: {clock:.0f} s, {right / len(test):.4f}", flush=True
        )

    with tempfile.TemporaryDirectory(prefix="darkroom-race-") as resume:
        loop.learn(task, resume=resume, after_epoch=after)
    return curve


def told(published: Curve, ours: Curve) -> str:
    """The race as a Markdown table and its outcome in a few lines."""
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
        lines.append(f"Ours does not reach that; it ends at {ours.accuracy[-1]:.4f}.")
    else:
        lines.append(f"Ours has that after {reached:.0f} s: {reached / end:.3f} of the time.")
    within = ours.within(end)
    if within is None:
        lines.append("Ours has ended no epoch by then.")
    else:
        lines.append(
            f"Within the published {end:.0f} s ours ends epoch {within[0]} at {within[1]:.4f}."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cifar10.zip")
    parser.add_argument("--images", type=int, help="train on so many (unset: all)")
    parser.add_argument(
        "--epochs", type=int, help="of each network (unset: as the presets have it)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", choices=[PUBLISHED, OURS], help="train one of them alone")
    parser.add_argument("--csv", type=Path, help="write the curves to this file too")
    asked = parser.parse_args()
    keras_backend.start(asked.threads)
    curves: dict[str, Curve] = {}
    with tempfile.TemporaryDirectory(prefix="darkroom-race-") as name:
        archive = asked.data / "cifar10.zip"
        if asked.images:
            archive = thinned(archive, Path(name), asked.images)
        settings, path = prepared(archive, Path(name), asked.threads)
        for model in [asked.only] if asked.only else [PUBLISHED, OURS]:
            cfg = stages.train_model(settings, DATASET, "holdout", model, asked.seed)
            cfg["model"]["epochs"] = asked.epochs or cfg["model"]["epochs"]
            curves[model] = trained(model, cfg, path, asked.threads)
    if asked.csv:
        with asked.csv.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["model", "epoch", "seconds", "test_accuracy"])
            for model, curve in curves.items():
                for i, pair in enumerate(zip(curve.seconds, curve.accuracy, strict=True), start=1):
                    table.writerow([model, i, *pair])
    if not asked.only:
        print(told(curves[PUBLISHED], curves[OURS]))


if __name__ == "__main__":
    main()
