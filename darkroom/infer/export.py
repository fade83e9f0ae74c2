"""Write a Keras network as `model.onnx`: raw pixels in; features, logits and probabilities out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper

from darkroom.infer import layers, parity
from darkroom.infer.graph import Graph, Value
from darkroom.infer.run import PROPERTY
from darkroom.machine import disk


def write(network: Any, path: str, about: Mapping[str, Any], pixels: np.ndarray) -> None:
    """Write a network whole or not at all, compared with Keras.

    Parameters
    ----------
    network : keras.Model from (N, H, W, C) uint8 to probabilities or, of a backbone, features.
        The file computes in float32, whatever the network trained in.
    path : of the file to write, see docs/formats.md.
    about : what the file says of itself, JSON values.
    pixels : (n, H, W, C) uint8 images to compare by.

    Raises
    ------
    UserError
        A layer that has no conversion; outputs that differ from those of Keras.
    """
    plain = parity.in_float32(network)
    model = convert(plain, about)
    checker.check_model(model)
    data = model.SerializeToString()
    parity.check(data, plain, pixels, path)
    with disk.whole(path) as part:
        part.write_bytes(data)


def convert(network: Any, about: Mapping[str, Any]) -> ModelProto:
    """The model of a network; parameters and errors as those of `write`.

    The network may also be a head alone, from (N, D) float32 features: so a training can ask
    before it starts whether its layers have a conversion.
    """
    graph = Graph()
    shape = tuple(int(side) for side in network.input_shape[1:])
    taken = network.inputs[0].dtype == "uint8"
    x = "image"
    if len(shape) == 3:
        x = graph.op("Transpose", x, perm=[0, 3, 1, 2])
    x = graph.op("Cast", x, to=TensorProto.FLOAT)
    values = _walk(graph, network, Value(x, shape))
    last = network.layers[-1]
    outputs = {}
    features = str(last.name)
    if _is_head(last):
        features = _before(network)
        kernel, bias = last.get_weights()
        if kernel.shape[1] == 1:  # one unit decides between two classes: the first's logit is 0
            kernel, bias = (np.concatenate([0 * a, a], axis=-1) for a in (kernel, bias))
        logits = layers.product(graph, values[features].name, kernel, bias, "head")
        graph.named(logits, "logits", 0)
        graph.op("Softmax", "logits", name="probabilities", axis=1)
        outputs = dict.fromkeys(("logits", "probabilities"), kernel.shape[1])
    graph.op("Identity", graph.flat(values[features]), name="features")
    outputs = {"features": int(np.prod(values[features].shape))} | outputs
    said = {
        "format": 1,
        **about,
        "digest": digest(network),
        "features": features,
        "layers": {name: list(value.shape) for name, value in values.items()},
    }
    kind = TensorProto.UINT8 if taken else TensorProto.FLOAT
    image = helper.make_tensor_value_info("image", kind, ["N", *shape])
    model = graph.model("network", image, outputs)
    helper.set_model_props(model, {PROPERTY: json.dumps(said, ensure_ascii=False)})
    return model


def digest(network: Any) -> str:
    """sha256 of a network's weights, in their order."""
    found = hashlib.sha256()
    for weight in network.get_weights():
        found.update(np.ascontiguousarray(weight, np.float32).tobytes())
    return found.hexdigest()


def _is_head(layer: Any) -> bool:
    """Whether a network's last layer gives probabilities; that of a backbone gives features."""
    import keras

    names = ("softmax", "sigmoid")
    return isinstance(layer, keras.layers.Dense) and layer.name in names


def _before(network: Any) -> str:
    """Name of the layer that the last one reads."""
    (node,) = network.get_config()["layers"][-1]["inbound_nodes"]
    return str(node["args"][0]["config"]["keras_history"][0])


# ---------------------------------------------------------------- the walk


def _walk(graph: Graph, network: Any, image: Value, named: bool = True) -> dict[str, Value]:
    """Add the nodes of a network; gives the output of each of its layers by the layer's name.

    Keras' own description of the network says what each layer reads. A layer that is used twice
    has two entries there, and here the last.

    Parameters
    ----------
    image : the input.
    named : whether tensors get the names of their layers. Those of a network within this one do
        not: Keras counts up some of them in a process, and the same network has the same file.
    """
    if type(network).__name__ == "Sequential":
        values = {}
        for layer in network.layers:
            image = values[layer.name] = _layer(graph, layer, [image])
        return values
    config = network.get_config()
    inputs = np.ravel(np.asarray(config["input_layers"], object))[:3]
    found: dict[tuple[str, int], Value] = {(str(inputs[0]), 0): image}
    waiting = [
        (entry, at, node)
        for entry in config["layers"]
        for at, node in enumerate(entry["inbound_nodes"])
    ]
    while waiting:  # once, where layers are listed in the order of their use
        later = []
        for entry, at, node in waiting:
            if all(key in found for key in _read(node)):
                args = _filled(node["args"], found)
                called = entry["name"] if named and len(entry["inbound_nodes"]) == 1 else ""
                found[entry["name"], at] = _node(graph, network, entry, args, called)
            else:
                later.append((entry, at, node))
        waiting = later
    own = {layer.name for layer in network.layers}
    return {name: value for (name, _), value in found.items() if name in own}


def _node(graph: Graph, network: Any, entry: Any, args: Sequence[Any], called: str) -> Value:
    """What one use of a layer, or an operation, gives."""
    flat = [one for arg in args for one in (arg if isinstance(arg, list) else [arg])]
    try:
        layer = network.get_layer(entry["name"])
    except ValueError:  # an operation such as x + 3
        return layers.operation(graph, entry["class_name"], flat, entry["config"])
    return _layer(graph, layer, flat, called)


def _layer(graph: Graph, layer: Any, inputs: Sequence[Value], called: str = "") -> Value:
    if hasattr(layer, "layers"):
        inner = _walk(graph, layer, inputs[0], named=False)
        return inner[layer.layers[-1].name]
    first = len(graph.nodes)
    shapes = [(None, *value.shape) for value in inputs]
    try:
        shape = layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    except NotImplementedError:  # of layers of the applications' own, which keep it
        shape = shapes[0]
    output = layers.convert(graph, layer, inputs)
    if called:
        output = graph.named(output, called, first)
    return Value(output, tuple(int(side) for side in shape[1:]))


def _history(value: Any) -> tuple[str, int] | None:
    """The layer and the use of it that a description of a tensor points to."""
    if not isinstance(value, dict) or value.get("class_name") != "__keras_tensor__":
        return None
    name, at, _ = value["config"]["keras_history"]
    return str(name), int(at)


def _read(node: Any) -> list[tuple[str, int]]:
    flat = [one for arg in node["args"] for one in (arg if isinstance(arg, list) else [arg])]
    return [key for key in map(_history, flat) if key is not None]


def _filled(value: Any, found: Mapping[tuple[str, int], Value]) -> Any:
    if isinstance(value, list | tuple):
        return [_filled(one, found) for one in value]
    key = _history(value)
    return value if key is None else found[key]
