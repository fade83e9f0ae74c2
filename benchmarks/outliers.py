"""How many planted outliers are found, and how many clean images are called outliers.

A few strange pictures are put among the handwritten digits and among images of CIFAR-10 (by a glance
at grey pixels, as where a network learned from the images themselves) and among photographs of cats
and dogs (by the features of a backbone). Each time 1, then 5 of a kind.

    python -m benchmarks.outliers --features results/cats/features/mobilenet.h5 --backbone data/weights/mobilenet.onnx --cifar cifar10.zip
"""

from __future__ import annotations

import argparse
import zipfile
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_digits

from darkroom.audit.outliers import glance, outliers
from darkroom.decode.file import THUMBNAIL
from darkroom.images.features_file import open_features
from darkroom.infer.run import Network

EACH, TIMES, MOST = 60, 20, 2000


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
            [network(np.stack(fit[i : i + 8])).features for i in range(0, len(fit), 8)]
        )

    def small(images: list[Any]) -> Any:
        side = (THUMBNAIL, THUMBNAIL)
        grey = [cv2.cvtColor(i, cv2.COLOR_RGB2GRAY) for i in images]
        return glance(np.stack([cv2.resize(i, side, interpolation=cv2.INTER_AREA) for i in grey]))

    with zipfile.ZipFile(given.cifar) as file:
        names = np.array([n for n in file.namelist() if n.endswith("jpg")])
        kind = np.array([n.split("/")[-2] for n in names])
        vehicles = names[np.isin(kind, ("airplane", "automobile", "ship", "truck"))]
        some = random.choice(names, MOST, replace=False)
        read = {
            key: [
                cv2.cvtColor(
                    np.asarray(cv2.imdecode(np.frombuffer(file.read(n), np.uint8), 1)),
                    cv2.COLOR_BGR2RGB,
                )
                for n in chosen
            ]
            for key, chosen in (("vehicles", random.choice(vehicles, EACH)), ("all", some))
        }
    digits = [
        (15.9 * i).astype(np.uint8)[:, :, None].repeat(3, axis=2) for i in load_digits().images
    ]
    noise = [random.integers(0, 256, (224, 224, 3)).astype(np.uint8) for _ in range(EACH)]
    blank = [np.full((64, 64, 3), v, np.uint8) for v in np.linspace(0, 255, EACH)]
    opened = open_features(given.features)
    own = np.asarray(opened.features[np.flatnonzero(opened.variant == 0)])
    noises = {"noise": noise, "one grey": blank}
    photographs = {"photographs of CIFAR-10": read["all"][:EACH]}
    table = [
        ("digits", small(digits), small, photographs | noises),
        ("CIFAR-10", small(read["all"]), small, {"digits": digits[:EACH]} | noises),
        ("cats and dogs", own, features,
         {"vehicles of CIFAR-10": read["vehicles"], "digits": digits[:EACH]} | noises),
    ]  # fmt: skip
    print("| among | planted | found, 1 planted | found, 5 planted | own images called outliers |")
    print("|---|---|--:|--:|--:|")
    for name, clean, describe, strange in table:
        halves = [random.permutation(len(clean))[: len(clean) // 2] for _ in range(TIMES)]
        alarms = np.mean([len(outliers(clean[half])[0]) for half in halves])
        print(
            f"| {name} | nothing | – | – | {len(outliers(clean)[0])}; of random halves {alarms:.2f} |"
        )
        for what, images in strange.items():
            described, found, false = describe(images), {}, []
            for n in (1, 5):
                hits = []
                for _ in range(TIMES):
                    planted = described[random.permutation(EACH)[:n]]
                    far, _ = outliers(np.r_[clean, planted])
                    hits.append((far >= len(clean)).sum() / n)
                    false.append((far < len(clean)).sum())
                found[n] = np.mean(hits)
            print(f"| {name} | {what} | {found[1]:.2f} | {found[5]:.2f} | {np.mean(false):.2f} |")


if __name__ == "__main__":
    main()
