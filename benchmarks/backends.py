"""Images a second of training by backend, beside a plain PyTorch loop of the same network.

The networks of presets/cifar10_cnn.yaml and presets/imagenette_cnn.yaml on random pixels, without
augmentation. Each trainer runs twice in a process of its own, the second time in reverse order,
after an uncounted epoch that compiles. The peer is the usual loop: uint8 batches copied to the
device, `zero_grad`, `backward`, `step`.

Operations are counted as three times those of the forward pass, two per multiplication; their share
is relative to the best rate of a product of two large matrices on the same device in the same
precision. Prints a Markdown table. Needs JAX and PyTorch: `make test-backends` installs them.

    .venv-backends/bin/python -m benchmarks.backends [--precision bfloat16] [--images 1280 128]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import yaml

from darkroom import ROOT
from darkroom.config.model import Layer
from darkroom.config.settings import Settings
from darkroom.config.stages import stage_settings
from darkroom.machine.progress import progress
from darkroom.train import batches, keras_backend, loop, steps
from darkroom.train.devices import devices
from darkroom.train.feed import Feed
from darkroom.train.network import build_network
from darkroom.train.precision import set_precision
from darkroom.train.prepare import compile_network
from darkroom.workflow.arithmetic import multiplications

NETWORKS = {"cifar10_cnn": (32, 32, 3), "imagenette_cnn": (224, 224, 3)}
TRAINERS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain PyTorch loop": ("peer", {}),
    "TensorFlow": ("tensorflow", {}),
    "JAX": ("jax", {}),
    "PyTorch": ("torch", {}),
}
SIDE = {"cpu": 2048, "gpu": 8192}  # of the matrices


def settings_of(name: str) -> Any:
    """Settings of the training stage for a preset's network."""
    preset = yaml.safe_load((ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8"))
    whole = Settings.load(
        {
            "run": {"datasets": ["x"], "models": [name]},
            "datasets": {"x": {"source": "x"}},
            "models": {name: preset["models"][name]},
        }
    )
    wildcards = {"dataset": "x", "fold": "holdout", "model": name, "seed": "0"}
    settings: dict[str, Any] = stage_settings(whole, "train_model", wildcards)["model"]
    return settings


def pixels(name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (n, *NETWORKS[name]), dtype=np.uint8), random.integers(0, 10, n)


def best_of(seconds: Callable[[], float], rounds: int = 5) -> float:
    return min(seconds() for _ in range(rounds))


# ---------------------------------------------------------------- ours


def ours(
    backend: str, name: str, n: int, threads: int, extra: dict[str, Any]
) -> tuple[Callable[[], None], float, str]:
    """An epoch; operations per second of a matrix product; device and precision."""
    keras = keras_backend.start(threads, backend)
    settings = settings_of(name) | extra
    images, label = pixels(name, n)
    number = iter(range(1, 1000))
    with devices(1) as on:
        policy = set_precision(settings["precision"])
        network = build_network(
            settings["layers"],
            shape=NETWORKS[name],
            classes=10,
            normalise="unit",
            mean=[],
            std=[],
            seed=0,
        )
        compile_network(network, settings)
        rows = batches.Rows([images], [np.arange(n)], label)
        names = [str(i) for i in range(10)]
        feed = Feed(rows, names, settings, seed=0, fill=np.zeros(3, np.uint8))
        trainer = steps.choose(network, settings, on, rows=feed.order.hold())

    def epoch() -> None:
        with progress("training", n) as bar:
            loop.train_epoch(trainer, feed, next(number), settings | {"epochs": 1000}, bar)

    half = keras.mixed_precision.global_policy().compute_dtype
    a = keras.ops.cast(keras.random.normal((SIDE[on.kind],) * 2, seed=0), half)

    def product() -> float:
        start = time.perf_counter()
        float(keras.ops.convert_to_numpy(keras.ops.sum(keras.ops.matmul(a, a)[0])))
        return time.perf_counter() - start

    return epoch, 2 * SIDE[on.kind] ** 3 / best_of(product), f"{on.kind}, {policy}"


# ---------------------------------------------------------------- the peer


def peer(name: str, n: int, threads: int, precision: str) -> tuple[Callable[[], None], float, str]:
    """The same network in PyTorch's layers, and the usual loop; returns as `ours`."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    settings = settings_of(name)
    parts: list[Any] = []
    for layer in settings["layers"]:
        kind, spec = next((k, v) for k, v in layer.items() if k != "name")
        if kind == "conv":
            size, step = spec["size"], spec["stride"]
            parts += [nn.LazyConv2d(spec["filters"], size, step, size // 2), nn.ReLU()]
        elif kind == "pool":
            parts.append(nn.MaxPool2d(spec["size"]))
        elif kind == "batch_norm":
            parts.append(nn.LazyBatchNorm2d(momentum=1 - spec["momentum"]))
        elif kind == "dropout":
            parts.append(nn.Dropout(spec["rate"]))
        elif kind == "flatten":
            parts.append(nn.Flatten())
        elif kind == "dense":
            parts += [nn.LazyLinear(spec["units"]), nn.ReLU()]
        else:
            raise ValueError(kind)
    network = nn.Sequential(*parts, nn.LazyLinear(10)).to(device)
    images, label = pixels(name, n)
    x, y = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), torch.from_numpy(label)
    network(x[:2].to(device).float())
    optimizer = torch.optim.Adam(network.parameters(), settings["optimizer"]["learning_rate"])
    criterion = nn.CrossEntropyLoss()
    low = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    def epoch() -> None:
        network.train()
        order = torch.randperm(n)
        for start in range(0, n, settings["batch"]):
            index = order[start : start + settings["batch"]]
            batch, target = x[index].to(device).float() / 255, y[index].to(device)
            optimizer.zero_grad()
            with torch.autocast(device.type, low or torch.bfloat16, enabled=low is not None):
                loss = criterion(network(batch), target)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            loss.item()

    side = SIDE["gpu" if gpu else "cpu"]
    a = torch.randn(side, side, device=device, dtype=low)

    def product() -> float:
        start = time.perf_counter()
        float((a @ a)[0].sum())
        return time.perf_counter() - start

    return epoch, 2 * side**3 / best_of(product), f"{device.type}, {precision}"


# ---------------------------------------------------------------- one trainer, and all


def measure(trainer: str, name: str, n: int, args: argparse.Namespace) -> None:
    """Measure one trainer in this process; prints JSON."""
    backend, extra = TRAINERS[trainer]
    if backend == "peer":
        epoch, reached, on = peer(name, n, args.threads, args.precision)
    else:
        more = extra | {"precision": args.precision}
        epoch, reached, on = ours(backend, name, n, args.threads, more)
    epoch()
    seconds = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - start)
    layers = [Layer.model_validate(layer) for layer in settings_of(name)["layers"]]
    work = 6 * multiplications(layers, NETWORKS[name])
    rate = n / statistics.median(seconds)
    print(json.dumps({"rate": rate, "work": rate * work, "reached": reached, "on": on}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs=2, default=(1280, 128), metavar="N")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--trainers", nargs="+", default=list(TRAINERS), choices=list(TRAINERS))
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each process")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    choices = ("float32", "bfloat16", "float16")
    parser.add_argument("--precision", default="float32", choices=choices)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure(args.one[0], args.one[1], int(args.one[2]), args)
        return
    rest = ["--rounds", str(args.rounds), "--threads", str(args.threads)]
    rest += ["--precision", args.precision]
    print(
        f"| network | trained by | images/s | against {args.trainers[0]} | share of a product | on |"
    )
    print("|---|---|---:|---:|---:|---|")
    for name in args.networks:
        n = dict(zip(NETWORKS, args.images, strict=True))[name]
        runs: dict[str, list[dict[str, Any]]] = {trainer: [] for trainer in args.trainers}
        for trainer in [*args.trainers, *reversed(args.trainers)]:
            command = [sys.executable, "-m", "benchmarks.backends", "--one", trainer, name, str(n)]
            done = subprocess.run([*command, *rest], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{trainer}, {name}:\n{done.stderr}")
            runs[trainer].append(json.loads(done.stdout.splitlines()[-1]))
        rates = {
            trainer: statistics.mean(r["rate"] for r in both) for trainer, both in runs.items()
        }
        first = rates[args.trainers[0]]
        product = max(r["reached"] for both in runs.values() for r in both)
        for trainer, both in runs.items():
            share = statistics.mean(r["work"] for r in both) / product
            print(
                f"| {name} | {trainer} | {rates[trainer]:,.0f} | {rates[trainer] / first:.2f} "
                f"| {share:.3f} | {both[0]['on']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
