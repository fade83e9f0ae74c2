"""One backend's part of the tests, a process of its own: Keras cannot change its backend.

    python -m tests.backends.worker BACKEND FOLDER OTHER_MODEL...

Trains in FOLDER and leaves there what the tests compare: model.keras, history.csv, said.npz.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.machine.gpus import NO_GPUS, Gpus
from darkroom.train import training
from tests.support import tiny_data
from tests.support.stopped import at_most, stopped_after

# nothing that draws on the backend: batch norm, a shortcut, weight decay, weights of classes,
# random changes, a last batch that is smaller
STILL_LAYERS: list[dict[str, Any]] = [
    *tiny_data.LAYERS[:2],
    {"residual": {"filters": 8, "stride": 2, "activation": "relu"}},
    *tiny_data.LAYERS[3:5],
]
SAME: dict[str, Any] = {
    "layers": STILL_LAYERS,
    "epochs": 5,
    "batch": 20,
    "keep": "last",
    "class_weights": "balanced",
    "label_smoothing": 0.05,
    "augment": tiny_data.STILL | {"flip": "horizontal", "shift": 0.1},
    "optimizer": tiny_data.MODEL["optimizer"]
    | {"name": "adamw", "learning_rate": 0.003, "weight_decay": 0.01, "clip_norm": 1.0},
}
# dropout too, and a state of Adam
BUSY: dict[str, Any] = {
    "epochs": 4,
    "keep": "best",
    "augment": tiny_data.STILL | {"flip": "horizontal", "mixup": 0.2},
}


class Data:
    """A tiny data set in a folder, and trainings on it."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.folder, self.backend = folder, backend
        folder.mkdir(parents=True, exist_ok=True)
        self.paths: list[str | None] = [*tiny_data.write(folder)]

    def train(self, name: str, *, code: str = "", gpus: Gpus = NO_GPUS, **model: Any) -> Path:
        """Train; the path of the network."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        training.train_model(
            *self.paths,
            model_path=str(place / "model.keras"),
            history_path=str(place / "history.csv"),
            resume=str(place / ".resume"),
            cfg=tiny_data.settings(**model) | {"backend": self.backend},
            code=code,
            threads=1,
            gpus=gpus,
        )
        return place / "model.keras"


def weights(path: Path) -> list[np.ndarray]:
    import keras

    return [np.asarray(w) for w in keras.models.load_model(path).get_weights()]


def says(path: str) -> np.ndarray:
    """What a network says of twenty images."""
    import keras

    images = np.random.default_rng(5).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    network = keras.models.load_model(path, compile=False, safe_mode=True)
    return np.asarray(network.predict_on_batch(images))


def main() -> None:
    backend, folder, *others = sys.argv[1:]
    data = Data(Path(folder), backend)
    model = data.train("same", **SAME)
    answers = {"own": says(str(model))}
    answers |= {Path(path).parts[-3]: says(path) for path in others}

    whole = weights(data.train("whole", **BUSY))
    with stopped_after(2 * 6 + 4):  # 6 steps an epoch: in the third
        data.train("killed", **BUSY)
    with at_most(2 * 6):  # two epochs are left
        resumed = weights(data.train("killed", **BUSY))
    equal = all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))
    import keras

    if backend != "tensorflow":  # which Keras would import to read a file
        assert "tensorflow" not in sys.modules
    np.savez(data.folder / "said.npz", resumed=equal, ran=keras.backend.backend(), **answers)


if __name__ == "__main__":
    main()
