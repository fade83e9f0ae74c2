"""A network's file that may come from anyone: examined before Keras opens it.

Keras builds whatever class or function a file names, also those that write files, and makes
arrays of whatever shape it says; its `safe_mode` refuses Python code alone. So a file is loaded
here only where it names nothing but the classes that Darkroom's own networks consist of, and
has the weights that its layers ask for.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom.errors import UserError
from darkroom.train.keras_private import shapes_alone
from darkroom.train.layers import leaves

# What `layers`, `heads`, `network.mirrored` and every network of keras.applications consist of.
CLASSES = {
    "keras": {"DTypePolicy", "Sequential"},
    "keras.initializers": {"GlorotUniform", "HeNormal", "Ones", "VarianceScaling", "Zeros"},
    "keras.layers": {
        *("Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate"),
        *("Conv2D", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout", "Flatten"),
        *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Identity", "InputLayer"),
        *("LayerNormalization", "MaxPooling2D", "Multiply", "Normalization", "ReLU"),
        *("Rescaling", "Reshape", "SeparableConv2D", "ZeroPadding2D"),
    },
    "keras.src.applications.convnext": {"LayerScale"},
    "keras.src.applications.inception_resnet_v2": {"CustomScaleLayer"},
    "keras.src.models.functional": {"Functional"},
    "keras.src.ops.numpy": {"Add", "Flip", "Multiply"},
    None: {"__keras_tensor__"},
}
MEMBERS = {"metadata.json", "config.json", "model.weights.h5", "darkroom.json"}
MOST_JSON = 8 * 10**6  # bytes; the largest of keras.applications has 1 MB
DEEPEST = 30  # levels of JSON; the deepest of keras.applications has 11
MOST_OBJECTS = 100_000  # the largest has 12,000
MOST_VALUES = 1 << 28  # that a layer gives for one image: 1 GB


def load_network(path: str) -> Any:
    """Load a network on the backend of Keras that was started.

    Raises
    ------
    UserError
        The file names a class that no network of Darkroom has, is larger unpacked than it may
        be, lacks weights, or is damaged.
    """
    import keras

    try:
        _check(path)
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras raises many kinds for broken files
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{path} cannot be loaded as a network: {reason}") from error


def read_json(file: zipfile.ZipFile, member: str, most: int = MOST_JSON) -> Any:
    """The JSON of a member of a model's file, which unpacks to no more than `most` bytes.

    Raises
    ------
    UserError
        It is larger, or nested too deeply.
    KeyError, ValueError
        There is no such member, or it is no JSON.
    """
    size = file.getinfo(member).file_size
    if size > most:
        raise UserError(
            f"{file.filename} is refused: its {member} unpacks to {size / 1e6:,.0f} MB, which "
            "no model of Darkroom has"
        )
    try:
        return json.loads(file.read(member))
    except RecursionError:
        raise UserError(f"{file.filename} is refused: its {member} is nested too deeply") from None


def _check(path: str) -> None:
    with zipfile.ZipFile(path) as file:
        strange = sorted(set(file.namelist()) - MEMBERS)
        if strange or len(file.namelist()) > len(MEMBERS):
            named = repr(strange[0]) if strange else "a member twice"
            raise UserError(
                f"{path} is refused: it holds {named}, which no network of Darkroom does"
            )
        config = read_json(file, "config.json")
        _check_classes(path, config)
        _check_sizes(path, file, config)


def _check_classes(path: str, config: Any) -> None:
    """Refuse a description that names anything but `CLASSES`."""
    for count, (depth, found) in enumerate(_objects(config)):
        if depth > DEEPEST or count > MOST_OBJECTS:
            raise UserError(f"{path} is refused: it describes more than any network of Darkroom")
        name, module = found["class_name"], found.get("module")
        known = CLASSES.get(module) if isinstance(module, (str, type(None))) else None
        registered = found.get("registered_name")
        if not known or name not in known or registered not in (None, name):
            what = ".".join(str(part) for part in (module, name) if part is not None)
            if name == "function" or registered not in (None, name):
                what = f"{what} ({registered or found.get('config')})"
            raise UserError(
                f"{path} is refused: it holds {what[:200]}, which no network of Darkroom has, and "
                "which may do anything when it is opened"
            )


def _objects(value: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object that Keras would build, with its depth in the JSON."""
    todo = [(0, value)]
    while todo:
        depth, value = todo.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield depth, value
            todo += [(depth + 1, inside) for inside in value.values()]
        elif isinstance(value, list):
            todo += [(depth + 1, inside) for inside in value]


def _check_sizes(path: str, file: zipfile.ZipFile, config: Any) -> None:
    """Refuse arrays that are larger than the file: it has every weight of its network."""
    import h5py
    import keras

    there = file.getinfo("model.weights.h5")
    if there.file_size > Path(path).stat().st_size:
        raise UserError(f"{path} is refused: its weights are packed, as no network's are")
    stored = 0

    def count(_: str, found: Any) -> None:
        nonlocal stored
        stored += found.nbytes if isinstance(found, h5py.Dataset) else 0

    with h5py.File(io.BytesIO(file.read(there))) as weights:
        weights.visititems(count)
    with shapes_alone():
        network = keras.saving.deserialize_keras_object(config, safe_mode=True)
        needed = sum(4 * math.prod(variable.shape) for variable in network.variables)
        widest = max(math.prod(layer.output.shape[1:]) for layer in leaves(network))
    if max(stored, needed) > there.file_size or widest > MOST_VALUES:
        raise UserError(
            f"{path} is refused: its layers are larger than the weights that stand in it"
        )
