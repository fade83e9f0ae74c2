"""Predict pictures by the model of this folder: `python predict.py PICTURE…`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # the folder has the code that decodes and runs

from darkroom.images.resize import render, size_of  # noqa: E402
from darkroom.infer.run import Network  # noqa: E402
from darkroom.unlikeness import read  # noqa: E402


class Model:
    """The model of this folder, open.

    Parameters
    ----------
    threads : cores that a picture may use.

    Attributes
    ----------
    classes : names, in the order of the probabilities.
    threshold : of two classes the second is predicted from this probability on.
    """

    def __init__(self, threads: int = 1) -> None:
        self.network = Network(HERE / "model.onnx", threads=threads)
        self.how = json.loads((HERE / "preprocessing.json").read_text(encoding="utf-8"))
        self.classes: list[str] = self.network.about["classes"]
        self.threshold = float(self.how["threshold"])
        known = read(HERE / "unlike.npz")
        self.learned_from = None if known is None else known[0]

    def pixels(self, data: bytes) -> np.ndarray:
        """(1, H, W, C) uint8 of a picture's file, as in training; an error where it is none."""
        out = np.empty((1, *size_of(self.how["view"])), np.uint8)
        render(data, out[0], view=self.how["view"], policy=self.how["decode"])
        return out

    def probabilities(self, data: bytes) -> dict[str, float]:
        """The probability of each class for a picture's file."""
        p = self.network.classified(self.pixels(data))[1][0].astype(np.float64)
        p /= p.sum()
        return dict(zip(self.classes, p.astype(np.float32).tolist(), strict=True))

    def predict(self, data: bytes) -> str:
        """The class of a picture's file."""
        found = self.probabilities(data)
        if len(self.classes) == 2:
            second = np.float32(found[self.classes[1]]) >= np.float32(self.threshold)
            return self.classes[int(second)]
        return max(found, key=lambda name: found[name])

    def unlikeness(self, data: bytes) -> float | None:
        """From 0, alike, to 1: to all that the model learned from; None: it cannot tell."""
        if self.learned_from is None:
            return None
        return float(self.learned_from.of(self.network.classified(self.pixels(data))[0])[0])

    def unlike(self, data: bytes) -> bool:
        """Whether that is beyond the model's limit: its class then means little."""
        found = self.unlikeness(data)
        return (
            found is not None and self.learned_from is not None and found >= self.learned_from.limit
        )


if __name__ == "__main__":
    model = Model()
    for path in sys.argv[1:]:
        content = Path(path).read_bytes()
        unlike = "unlike all that it learned from" if model.unlike(content) else ""
        found = json.dumps(model.probabilities(content))
        print(path, model.predict(content), found, unlike, sep="\t")
