"""Images per CPU second of a network on ONNX Runtime, beside Keras on the same pixels.

    python -m benchmarks.inference --data FOLDER

First three backbones at 224 pixels, one thread, batches of 32 (ONNX Runtime takes eight at a
time of them); weights are random but for MobileNet's, where the folder has its official file. Then
whole processes, from the start to the end: `extract_features` of the digits and `predict` of one
picture, by the default network.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OFFICIAL = "mobilenet_2_5_224_tf_no_top.h5"
BACKBONES: dict[str, dict[str, Any]] = {
    "MobileNet": {"alpha": 0.25},
    "MobileNetV2": {},
    "ResNet50": {},
}
SHAPE = (224, 224, 3)
EXTRACT = """
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.features.network import extract_features
import yaml

settings = Settings.load(yaml.safe_load(open("config.yaml")))
names = {"dataset": "digits", "fold": "holdout", "model": "cnn", "seed": "0"}
results = "results/digits"
extract_features(
    f"{results}/holdout/cnn-seed0/model.onnx", f"{results}/images/12x12-gray-squash.h5",
    f"{results}/splits.parquet", None, features_path="f.h5", predictions_path="p.parquet",
    cfg=stage_settings(settings, "extract_features", names), threads=1,
)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help=f"folder that may hold {OFFICIAL}")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3, help="of each; the best counts")
    parser.add_argument("--no-processes", action="store_true", help="the networks alone")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("| backbone, 224 pixels | Keras, images/CPU s | ONNX Runtime | ratio |")
        print("|---|--:|--:|--:|")
        for application, settings in BACKBONES.items():
            theirs, ours = backbone(application, settings, folder, args)
            print(f"| {application} | {theirs:.0f} | {ours:.0f} | **{ours / theirs:.1f}** |")
        if not args.no_processes:
            print("\n| process | CPU s | wall s |\n|---|--:|--:|")
            for what, (cpu, wall) in processes(folder, args.rounds).items():
                print(f"| {what} | {cpu:.2f} | {wall:.2f} |")


def backbone(
    application: str, settings: dict[str, Any], folder: Path, args: argparse.Namespace
) -> tuple[float, float]:
    """Images a CPU second by Keras and by ONNX Runtime."""
    from darkroom.infer import export
    from darkroom.infer.run import Network
    from darkroom.train import backbones, keras_backend

    keras = keras_backend.start(1)
    weights = folder / f"{application}.weights.h5"
    official = args.data and args.data / OFFICIAL
    if application == "MobileNet" and official and official.is_file():
        weights = official
    else:
        maker = getattr(keras.applications, application)
        maker(include_top=False, weights=None, input_shape=SHAPE, **settings).save_weights(weights)
    theirs = backbones.build(
        application, settings, pool="average", shape=SHAPE, weights=str(weights)
    )
    pixels = np.random.default_rng(0).integers(0, 256, (32, *SHAPE), np.uint8)
    path = folder / f"{application}.onnx"
    export.write(theirs, str(path), {}, pixels[:8])
    ours = Network(path, threads=1)
    return rate(lambda: theirs.predict_on_batch(pixels), args), rate(lambda: ours(pixels), args)


def rate(once: Callable[[], Any], args: argparse.Namespace) -> float:
    """Images a CPU second, the best of some rounds."""
    once()
    found: list[float] = []
    for _ in range(args.rounds):
        start = time.process_time()
        for _ in range(max(1, args.images // 32)):
            once()
        found.append(max(1, args.images // 32) * 32 / (time.process_time() - start))
    return max(found)


def processes(folder: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """CPU and wall seconds of each process, the best of some rounds."""
    model = "results/digits/holdout/cnn-seed0/model.onnx"
    (folder / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all", "--directory"]
    snakefile = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "config.yaml")]
    subprocess.run(
        [*command, str(folder), *snakefile, "--", model], check=True, cwd=ROOT, capture_output=True
    )
    picture = next((folder / "data/digits").rglob("*.png"))
    asked = {
        "`extract_features` of the digits": ["-c", EXTRACT],
        "`predict` of one picture": ["-m", "darkroom", "predict", model, str(picture)],
    }
    return {what: min(timed(words, folder) for _ in range(rounds)) for what, words in asked.items()}


def timed(words: list[str], folder: Path) -> tuple[float, float]:
    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, start = cpu(), time.monotonic()
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return cpu() - before, time.monotonic() - start


if __name__ == "__main__":
    main()
