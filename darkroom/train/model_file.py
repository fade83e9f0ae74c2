"""The file of a trained network: Keras' own, with what it takes to predict by it alone."""

from __future__ import annotations

import json
import zipfile
from typing import Any

from darkroom.machine import disk
from darkroom.train.devices import synchronise_batch_norm

FACTS = "darkroom.json"


def write_model(network: Any, path: str, facts: dict[str, Any]) -> None:
    """Save the bare network, without its optimizer, whole or not at all.

    Beside Keras' own members the file has `darkroom.json`: the classes in order and how an
    image becomes the network's input.
    """
    import keras

    synchronise_batch_norm(network, False)
    bare = keras.Model(network.input, network.output, name=network.name)
    with disk.whole(path) as part:
        bare.save(part)
        with zipfile.ZipFile(part, "a") as file:
            file.writestr(FACTS, json.dumps(facts, ensure_ascii=False, indent=1))
