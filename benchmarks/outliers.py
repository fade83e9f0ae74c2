"""How many planted outliers are found among photographs of cats and dogs.

A few strange pictures (vehicles of CIFAR-10, handwritten digits, noise) are put among the photographs, by the
features of a backbone. Counted are those beyond the fence, those among the 24 that the report shows, and
the photographs beyond the fence.

    python -m benchmarks.outliers --features results/cats/features/mobilenet.h5 --backbone data/weights/mobilenet.onnx --cifar cifar10.zip
"""

from __future__ import annotations

import argparse
import zipfile
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_digits

from darkroom.audit.outliers import outliers
from darkroom.images.features_file import open_features
from darkroom.infer.run import Network

EACH, TIMES, SHOWN = 60, 20, 24


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="planted outliers")
    for name in ("features", "backbone", "cifar"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    network, random = Network(given.backbone, threads=1), np.random.default_rng(0)

    def features(images: list[Any]) -> Any:
        fit = [cv2.resize(i, (224, 224), interpolation=cv2.INTER_CUBIC) for i in images]
        return np.concatenate(
            [network(np.stack(fit[i : i + 8])).features for i in range(0, EACH, 8)]
        )

    with zipfile.ZipFile(given.cifar) as file:
        vehicles = ("airplane", "automobile", "ship", "truck")
        names = [n for n in file.namelist() if n.endswith("jpg") and n.split("/")[-2] in vehicles]
        data = [file.read(names[i]) for i in random.permutation(len(names))[:EACH]]
    photographs = [
        np.asarray(cv2.imdecode(np.frombuffer(d, np.uint8), 1))[:, :, ::-1] for d in data
    ]
    digits = [(15.9 * i).astype(np.uint8) for i in load_digits().images[:EACH]]
    strange = {
        "vehicles of CIFAR-10": features([np.ascontiguousarray(i) for i in photographs]),
        "digits": features([d[:, :, None].repeat(3, axis=2) for d in digits]),
        "noise": features(
            [random.integers(0, 256, (224, 224, 3)).astype(np.uint8) for _ in range(EACH)]
        ),
    }
    opened = open_features(given.features)
    own = np.asarray(opened.features[np.flatnonzero(opened.variant == 0)])
    print("| planted | of each | beyond the fence | among the first 24 | own images beyond it |")
    print("|---|--:|--:|--:|--:|")
    for name, pictures in strange.items():
        for n in (1, 5):
            beyond, first, false = [], [], []
            for _ in range(TIMES):
                far, _ = outliers(np.r_[own, pictures[random.permutation(EACH)[:n]]])
                beyond.append((far >= len(own)).sum() / n)
                first.append((far[:SHOWN] >= len(own)).sum() / n)
                false.append((far < len(own)).sum() / len(own))
            shares = " | ".join(f"{np.mean(v):.2f}" for v in (beyond, first))
            print(f"| {name} | {n} | {shares} | {np.mean(false):.3f} |")


if __name__ == "__main__":
    main()
