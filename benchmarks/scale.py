"""Memory, time and disk of each stage by the number of images.

    python -m benchmarks.scale --sizes 1000 10000 100000 --predict 14000000

Makes distinct small JPEG files of ten classes and runs each stage on them as its rule does, in a
process of its own. CPU seconds include all workers; memory is the maximum, sampled every 20 ms, of
the resident pages of the process (mapped files included) and the private pages of its workers. The
model of a stage is a line, fixed + each · images, through the two largest sizes; beside it is the
prediction for the largest size by the two sizes before. `--from FILE …` prints the tables from the
output of earlier runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from benchmarks.prepare import environment, family
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings

CLASSES = 10
STAGES = {
    "index_files": "index_files(source, manifest, thumbnails, cfg=cfg('index_files'), threads=cores)",
    "find_copies": "find_copies(manifest, thumbnails, copies, table='copies.csv', cfg=cfg('find_copies'), threads=cores)",
    "split_rows": "split_rows(manifest, copies, splits, indices='indices.json', cfg=cfg('split_rows'))",
    "prepare_images": "prepare_images(source, manifest, pixels, cfg=cfg('prepare_images', view=view), threads=cores)",
    "augment_images": "augment_images(pixels, manifest, variants, cfg=cfg('augment_images'), threads=cores)",
    "describe_images": "describe_images(pixels, 'hog.h5', augmented=variants, cfg=cfg('describe_images', features='hog'))",
    "embed_images": "embed_images(pixels, 'weights.onnx', 'net.h5', augmented=variants, cfg=cfg('embed_images', features='net'), threads=cores)",
    "train_model": "train_model(pixels, splits, variants, model_path='model.keras', history_path='history.csv', resume='resume', cfg=cfg('train_model', fold='holdout', model='cnn', seed='0'), code='', threads=cores)",
    "extract_features": "extract_features('model.onnx', pixels, splits, variants, features_path='cnn.h5', predictions_path='p/head.parquet', cfg=cfg('extract_features', fold='holdout', model='cnn', seed='0'), threads=cores)",
    "fit linear_svm": "fit('linear_svm')",
    "fit logistic_regression": "fit('logistic_regression')",
    "fit svm": "fit('svm')",
    "fit random_forest": "fit('random_forest')",
    "fit knn": "fit('knn')",
    "evaluate_dataset": "evaluate_dataset(sorted(str(p) for p in Path('p').glob('*')), manifest, splits, metrics='metrics.parquet', summary='summary.parquet', class_metrics='class_metrics.parquet', thresholds='thresholds.parquet', collected='predictions.parquet', cfg=cfg('evaluate_dataset'))",
    "audit_dataset": "audit_dataset(source, manifest, splits, pixels, audit='audit.parquet', cfg=cfg('audit_dataset'))",
    "check_labels": "check_labels('hog.h5', splits, labels='labels.parquet', cfg=cfg('check_labels'))",
    "write_report": "report_()",
}
FIT = "classify.fitting.fit_classifier"
FUNCTIONS = {
    "index_files": "index.manifest.index_files",
    "find_copies": "index.copies.find_copies",
    "split_rows": "split.plan.split_rows",
    "prepare_images": "images.prepare.prepare_images",
    "augment_images": "images.variants.augment_images",
    "describe_images": "features.describe.describe_images",
    "embed_images": "features.backbone.embed_images",
    "train_model": "train.training.train_model",
    "extract_features": "features.network.extract_features",
    "evaluate_dataset": "evaluate.evaluate.evaluate_dataset",
    "audit_dataset": "audit.audit.audit_dataset",
    "check_labels": "audit.labels.check_labels",
    "write_report": "report.report.write_report",
}
# A process imports the modules of its stage and no settings.
PROGRAM = """
import json, sys
from pathlib import Path

stages = json.loads(Path('cfg.json').read_text())
cores, view = int(sys.argv[1]), stages['view']
source, manifest, splits = 'source.json', 'manifest.parquet', 'splits.parquet'
pixels, variants, thumbnails, copies = 'images.h5', 'augmented.h5', 'thumbnails.npy', 'copies.parquet'


def cfg(name, **_):
    return stages[name]


def fit(name):
    cfg = stages['fit_classifier'][name]
    fit_classifier('cnn.h5', splits, model_path=f'{name}.skops', predictions_path=f'p/{name}.parquet',
                    cfg=cfg, threads=cores)


def report_():
    from darkroom.report.figure_names import FIGURES
    Path('holdout/cnn-seed0').mkdir(parents=True, exist_ok=True)
    history = Path('holdout/cnn-seed0/history.csv')
    history.write_bytes(Path('history.csv').read_bytes())
    write_report(
        source=source, manifest=manifest, unusable='unusable.csv', copies=copies, splits=splits,
        metrics='metrics.parquet', summary='summary.parquet', class_metrics='class_metrics.parquet',
        thresholds='thresholds.parquet', predictions='predictions.parquet', audit='audit.parquet', labels='labels.parquet', images=pixels,
        output='report.html', figures=[f'figures/{name}' for name in FIGURES],
        benchmarks='benchmarks', stages=[], cfg=cfg('write_report'), histories=[str(history)], augmented=variants)


"""

CONFIG: dict[str, Any] = {
    "run": {"datasets": ["many"], "models": ["cnn"], "features": ["hog"],
            "classifiers": ["linear_svm", "logistic_regression", "svm", "random_forest", "knn"]},
    "datasets": {"many": {"source": "files", "view": {"size": 32},
                          "augment": {"variants": ["flip"]}}},
    "models": {"cnn": {"layers": [{"conv": 16}, {"pool": 2}, {"conv": 32}, {"pool": 2},
                                  {"global_pool": "average"}, {"dense": 64}],
                       "epochs": 1, "batch": 256, "memory_mb": 3}},
    "features": {"hog": {"kind": "hog"},
                 "net": {"kind": "backbone", "application": "MobileNet",
                         "settings": {"alpha": 0.25}, "view": {"size": 32}}},
}  # fmt: skip


class Cost(NamedTuple):
    """Cost of a stage."""

    seconds: float  # CPU
    memory: float  # MB
    disk: float  # MB


def make(folder: Path, n: int) -> None:
    """Write n distinct JPEG files in class folders: a wave by class, with noise."""
    y, x = np.mgrid[:32, :32]
    for c in range(CLASSES):
        (folder / f"class{c}").mkdir(parents=True)
        wave = 60 * np.sin(2 * math.pi * ((c % 5 + 1) * x + (c // 5 + 1) * y) / 32)
        for i in range(c, n, CLASSES):
            random = np.random.default_rng(i)
            base = 128 + wave[..., None] * random.uniform(0.2, 1, 3)
            pixels = np.clip(base + random.normal(0, 40, (32, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"class{c}/{i:08d}.jpg"), pixels)


def settings(memory_mb: int | None) -> dict[str, Any]:
    """Settings of each stage, as its rule passes them."""
    config = json.loads(json.dumps(CONFIG))
    config["classifiers"] = {
        name: {"kind": name} | ({} if memory_mb is None else {"memory_mb": memory_mb})
        for name in config["run"]["classifiers"]
    }
    config["classifiers"]["svm"] |= {"max_rows": 2000}
    made = Settings.load(config)
    every = {"dataset": "many", "fold": "holdout", "model": "cnn", "seed": "0"}
    view = next(iter(made.views_of("many")))
    wildcards = {
        "prepare_images": {"view": view},
        "describe_images": {"features": "hog"},
        "embed_images": {"features": "net"},
    }
    stages: dict[str, Any] = {
        name: stage_settings(made, name, every | wildcards.get(name, {})) for name in FUNCTIONS
    }
    stages["fit_classifier"] = {
        name: stage_settings(
            made, "fit_classifier", every | {"features": "cnn-seed0", "classifier": name}
        )
        for name in config["classifiers"]
    }
    return {"view": view} | stages


def measure(folder: Path, stage: str, cores: int) -> Cost:
    """Run a stage in a process of its own."""
    module, _, function = FUNCTIONS.get(stage, FIT).rpartition(".")
    program = f"from darkroom.{module} import {function}\n" + PROGRAM + STAGES[stage]
    before = size(folder)
    command = [sys.executable, "-c", program, str(cores)]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
    peak, done = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, used = os.wait4(process.pid, 0)
    done.set()
    watcher.join()
    cpu = used.ru_utime + used.ru_stime  # workers included
    if status:
        raise SystemExit(f"{stage} ended with status {status}: {folder}/log.txt")
    return Cost(cpu, peak, max(0.0, size(folder) - before))


def memory(pid: int) -> float:
    """Resident MB of a process, and the private MB of its children."""
    first, *workers = (_pages(member) for member in family(pid))
    own = sum(w.get("Private_Clean", 0) + w.get("Private_Dirty", 0) for w in workers)
    return (first.get("Rss", 0) + own) / 1000


def _pages(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name.rstrip(":"): int(kb) for name, kb, *_ in map(str.split, lines)}


def size(folder: Path) -> float:
    """MB written by the stages."""
    files = [p for p in folder.rglob("*") if "files" not in p.relative_to(folder).parts]
    return sum(p.stat().st_size for p in files if p.is_file()) / 1e6


def run(
    folder: Path, n: int, stages: list[str], cores: int, memory_mb: int | None
) -> dict[str, Cost]:
    """Run the stages on n images; files of earlier stages in the folder are used."""
    if not (folder / "files").exists():
        make(folder / "files", n)
    bytes_ = sum(p.stat().st_size for p in (folder / "files").rglob("*.jpg"))
    source = {"source": "files", "kind": "folder", "root": "files", "files": n, "bytes": bytes_,
            "version": None, "sha256": None, "license": None, "retrieved": "", "archive": None,
            "skipped": {}}  # fmt: skip
    (folder / "source.json").write_text(json.dumps(source))
    (folder / "cfg.json").write_text(json.dumps(settings(memory_mb)))
    (folder / "unusable.csv").write_text("path,label,reason\n")
    (folder / "p").mkdir(exist_ok=True)
    if "embed_images" in stages:
        random_backbone(folder / "weights.onnx")
    costs = {}
    for stage in stages:
        costs[stage] = cost = measure(folder, stage, cores)
        print(f"| {n:,} | {stage} | {cost.seconds:.1f} | {cost.memory:,.0f} | {cost.disk:,.1f} |",
              flush=True)  # fmt: skip
    return costs


def random_backbone(path: Path) -> None:
    """Write a backbone with random weights: the cost is the same."""
    program = (
        "import sys, keras, numpy\n"
        "from darkroom.infer import export\n"
        "from darkroom.train import backbones\n"
        "shape, made = (32, 32, 3), {'application': 'MobileNet', 'settings': {'alpha': 0.25}}\n"
        "net = keras.applications.MobileNet(\n"
        "    alpha=0.25, include_top=False, weights=None, input_shape=shape)\n"
        "net.save_weights('random.weights.h5')\n"
        "net = backbones.build(**made, pool='average', shape=shape, weights='random.weights.h5')\n"
        "export.write(net, sys.argv[1], {}, numpy.zeros((1, *shape), 'uint8'))\n"
    )
    command = [sys.executable, "-c", program, path.name]
    subprocess.run(command, check=True, env=environment(), cwd=path.parent)


def read(files: list[str]) -> dict[int, dict[str, Cost]]:
    """Read the output of earlier runs; the last line of a stage and size counts."""
    found: dict[int, dict[str, Cost]] = {}
    for text in "".join(Path(file).read_text() for file in files).splitlines():
        cells = [cell.strip().replace(",", "") for cell in text.strip("|").split("|")]
        if text.startswith("|") and len(cells) == 5 and cells[0].isdigit():
            found.setdefault(int(cells[0]), {})[cells[1]] = Cost(*map(float, cells[2:]))
    return found


def line(found: dict[int, Cost], what: str, few: int, many: int) -> tuple[float, float]:
    """Intercept and slope of the line through two sizes, neither negative."""
    low, high = getattr(found[few], what), getattr(found[many], what)
    each = max(0.0, (high - low) / (many - few))
    return max(0.0, low - each * few), each


def table(found: dict[int, dict[str, Cost]], predicted: list[int]) -> None:
    """Print the model of each stage, and how well the smaller sizes predict the largest."""
    *rest, few, many = sorted(found)
    heads = [f"{many:,} measured"]
    if rest:
        heads.append(f"by {rest[-1]:,} and {few:,}")
    heads += [f"{n:,} by the model" for n in predicted]
    for what, unit in (("memory", "MB"), ("seconds", "CPU s"), ("disk", "MB")):
        small = "kB" if unit == "MB" else "ms"
        print(f"\n| {what} | fixed, {unit} | an image, {small} | {' | '.join(heads)} |")
        print("|---|" + "--:|" * (2 + len(heads)))
        for stage in [stage for stage in STAGES if all(stage in costs for costs in found.values())]:
            costs = {n: found[n][stage] for n in found}
            fixed, each = line(costs, what, few, many)
            cells = [f"{fixed:,.1f}", f"{1000 * each:.3f}", f"{getattr(costs[many], what):,.0f}"]
            if rest:
                first, slope = line(costs, what, rest[-1], few)
                cells.append(f"{first + slope * many:,.0f}")
            cells += [f"{fixed + each * n:,.0f}" for n in predicted]
            print(f"| {stage} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--predict", nargs="*", type=int, default=[14_000_000])
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--memory-mb", type=int, help="memory_mb of the classifiers; default: theirs"
    )
    parser.add_argument("--work", help="folder for the files; default: a temporary one")
    parser.add_argument("--from", nargs="+", dest="earlier", help="output of earlier runs")
    args = parser.parse_args()
    if args.earlier:
        table(read(args.earlier), args.predict)
        return
    scratch = Path(args.work or tempfile.mkdtemp(prefix="darkroom-scale-"))
    print("| images | stage | CPU seconds | MB of memory | MB written |\n|--:|---|--:|--:|--:|")
    try:
        found = {}
        for n in sorted(args.sizes):
            found[n] = run(scratch / str(n), n, args.stages, args.cores, args.memory_mb)
        if len(found) > 1:
            table(found, args.predict)
    finally:
        if not args.work:
            shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
