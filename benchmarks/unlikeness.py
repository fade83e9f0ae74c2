"""How well unlikeness tells pictures of another kind, beside Mahalanobis distances.

Features of a backbone, of a data set and of others: a data set's own test images beside those of
classes that it lacks, of the other data sets, and of noise. The AUROC is the chance that a strange
picture is more unlike than an own one; after it the share of strange pictures beyond the limit.

    python -m benchmarks.unlikeness --backbone data/weights/mobilenet.onnx --photographs cats_dogs.zip --cifar cifar10.zip
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from darkroom import unlikeness
from darkroom.infer.run import Network

Score = Callable[[Any], Any]
EACH = 260  # CIFAR-10 images of each class


def mahalanobis(x: Any, label: Any) -> dict[str, Score]:
    """Distances to the nearest class, the same less that to all (Ren et al. 2021), and of unit length."""

    def to_classes(x: Any, label: Any) -> Score:
        names, own = np.unique(label, return_inverse=True)
        means = np.stack([x[label == c].mean(axis=0) for c in names])
        spread, _ = ledoit_wolf(x - means[own])
        precision = np.linalg.inv(
            spread + 1e-6 * np.trace(spread) / len(spread) * np.eye(len(spread))
        )

        def score(q: Any) -> Any:
            each = [np.einsum("ij,jk,ik->i", q - m, precision, q - m) for m in means]
            return np.min(each, axis=0)

        return score

    def unit(q: Any) -> Any:
        return q / np.linalg.norm(q, axis=1, keepdims=True).clip(1e-9)

    plain, whole, of_unit = (
        to_classes(x, label),
        to_classes(x, np.zeros(len(x))),
        to_classes(unit(x), label),
    )
    return {
        "Mahalanobis": plain,
        "relative": lambda q: plain(q) - whole(q),
        "of unit length": lambda q: of_unit(unit(q)),
    }


def table(name: str, x: Any, label: Any, strange: dict[str, Any]) -> Iterator[str]:
    """A row for each kind of strange pictures."""
    order = np.random.default_rng(0).permutation(len(x))
    train, validation, test = np.split(order, [int(0.7 * len(x)), int(0.85 * len(x))])
    found = unlikeness.known(x, train, x, validation, 0)
    assert found is not None
    scores = {"nearest (ours)": found.of, **mahalanobis(x[train], label[train])}
    for kind, q in strange.items():
        cells = []
        for score in scores.values():
            own, other = score(x[test]), score(q)
            truth = np.repeat([0, 1], [len(own), len(other)])
            area = roc_auc_score(truth, np.r_[own, other])
            limit = np.quantile(score(x[validation]), 0.99)
            cells.append(f"{area:.3f} ({(other > limit).mean():.2f})")
        yield "| " + " | ".join([name, kind, *cells]) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="AUROC of unlikeness")
    for name in ("backbone", "photographs", "cifar"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    network, random = Network(given.backbone, threads=1), np.random.default_rng(0)

    def read(path: str, most: int | None = None) -> tuple[Any, Any]:
        with zipfile.ZipFile(path) as file:
            names = [n for n in file.namelist() if n.endswith("jpg") and "test/" not in n]
            label = np.array([n.split("/")[-2] for n in names])
            at = np.arange(len(names))
            if most:
                at = np.concatenate(
                    [random.choice(at[label == c], most, replace=False) for c in np.unique(label)]
                )
            images: list[Any] = [
                cv2.imdecode(np.frombuffer(file.read(names[i]), np.uint8), 1) for i in at
            ]
        return features([cv2.cvtColor(i, cv2.COLOR_BGR2RGB) for i in images]), label[at]

    def features(images: list[Any]) -> Any:
        def fit(image: Any) -> Any:
            how = cv2.INTER_AREA if image.shape[0] > 224 else cv2.INTER_CUBIC
            return cv2.resize(image, (224, 224), interpolation=how)

        parts = [images[i : i + 8] for i in range(0, len(images), 8)]
        return np.concatenate([network(np.stack(list(map(fit, part)))).features for part in parts])

    photographs, cat_or_dog = read(given.photographs)
    cifar, kind = read(given.cifar, EACH)
    digits = [
        (15.9 * i).astype(np.uint8)[:, :, None].repeat(3, axis=2)
        for i in load_digits().images[:300]
    ]
    noise = [random.integers(0, 256, (224, 224, 3)).astype(np.uint8) for _ in range(100)]
    blurred = [random.integers(0, 256, (6, 6, 3)).astype(np.uint8) for _ in range(100)]
    strange = {"digits": features(digits), "noise": features(noise), "blurs": features(blurred)}
    print("| learned from | strange | nearest (ours) | Mahalanobis | relative | of unit length |")
    print("|---|---|--:|--:|--:|--:|")
    lines = [*table("cats and dogs", photographs, cat_or_dog, {"CIFAR-10": cifar} | strange)]
    some = np.isin(kind, ["airplane", "automobile", "ship", "truck"])
    lines += table(
        "vehicles of CIFAR-10",
        cifar[some],
        kind[some],
        {"animals of CIFAR-10": cifar[~some], "cats and dogs": photographs} | strange,
    )
    last = np.isin(kind, ["horse", "ship", "truck"])
    lines += table(
        "7 classes of CIFAR-10", cifar[~last], kind[~last], {"its other 3": cifar[last]} | strange
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
