"""The ways that steps reach a network, on pretended devices; a process of its own.

    python -m tests.backends.devices BACKEND FOLDER

Trains once plainly and once in each other way; histories lie in FOLDER/{way}/history.csv.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from darkroom.machine.gpus import Gpus
from darkroom.train import keras_backend
from tests.backends.worker import SAME, Data
from tests.support import tiny_data
from tests.support.stopped import stopped_after

# a gradient that is clipped, and plain momentum, which shows it
SHORT = {
    "epochs": 3,
    "batch": 23,
    "optimizer": tiny_data.MODEL["optimizer"]
    | {"name": "momentum", "learning_rate": 0.05, "clip_norm": 0.3, "weight_decay": 0.01},
}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stacked": {"steps_per_call": 2},
    "still": {"augment": tiny_data.STILL},
    "resident": {"steps_per_call": 4, "on_device": "always", "augment": tiny_data.STILL},
}


def main() -> None:
    backend, folder = sys.argv[1:]
    keras_backend.start(1, backend)
    if backend == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    data = Data(Path(folder), backend)
    data.paths[2] = None  # 54 rows, batches of 23: an odd number, which two cannot share, and 8
    ways = WAYS | ({"compiled": {"compile": "always"}} if backend == "tensorflow" else {})
    for way, settings in ways.items():
        data.train(way, **SAME | SHORT | settings)
    with stopped_after(2 * 3 + 1):  # 3 steps an epoch: in the third
        data.train("two", gpus=Gpus(2), **SAME | SHORT)
    data.train("two", gpus=Gpus(2), **SAME | SHORT)


if __name__ == "__main__":
    main()
