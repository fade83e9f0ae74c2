"""The file of a trained network: Keras' own, with what it takes to predict by it alone."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from darkroom.errors import UserError
from darkroom.machine import disk
from darkroom.train.devices import synchronise_batch_norm
from darkroom.train.foreign import read_json

if TYPE_CHECKING:
    from darkroom.decode.policy import Policy
    from darkroom.images.resize import View

MEMBER = "darkroom.json"
LONGEST_SIDE = 16384  # pixels of a view


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


def read_facts(path: Path) -> Facts:
    """Read what a network's file says about it; Keras is not imported.

    Raises
    ------
    UserError
        A file that is damaged, or of another program.
    """
    try:
        with zipfile.ZipFile(path) as file:
            facts: Facts = read_json(file, MEMBER)
        missing = Facts.__required_keys__ - set(facts)
        size = facts["view"]["size"]
        if max([size] if isinstance(size, int) else size) > LONGEST_SIDE:
            raise UserError(f"{path} is refused: it asks for pictures of {size} pixels")
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is no network, or is damaged: {error}") from None
    except (KeyError, ValueError, TypeError):
        missing = frozenset({MEMBER})
    if missing:
        raise UserError(
            f"{path} does not say what its classes are and how a picture becomes its input "
            f"({MEMBER} is not in it): train it with this version of Darkroom"
        )
    return facts
