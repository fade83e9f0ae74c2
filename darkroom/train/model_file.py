"""The file of a trained network: Keras' own, with what the network is and what it learned from."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from darkroom.machine import disk
from darkroom.train.devices import synchronise_batch_norm

if TYPE_CHECKING:
    from darkroom.decode.policy import Policy
    from darkroom.images.resize import View

MEMBER = "darkroom.json"


class Facts(TypedDict):
    """What a network's file says about it.

    Attributes
    ----------
    dataset, model, seed, fold : of the training.
    classes : K names, in the order of the output.
    view, decode : how an image becomes the input.
    epoch : whose weights these are.
    temperature : that its last layer's weights are divided by, learned from the validation rows;
        not there where these are none.
    """

    dataset: str
    model: str
    seed: int
    fold: str
    classes: list[str]
    view: View
    decode: Policy
    epoch: NotRequired[int]
    temperature: NotRequired[float]


def write_model(network: Any, path: str, facts: Facts) -> None:
    """Save the bare network, without its optimizer, whole or not at all."""
    import keras

    synchronise_batch_norm(network, False)
    bare = keras.Model(network.input, network.output, name=network.name)
    with disk.whole(path) as part:
        bare.save(part)
        with zipfile.ZipFile(part, "a") as file:
            file.writestr(MEMBER, json.dumps(facts, ensure_ascii=False, indent=1))
