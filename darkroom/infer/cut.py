"""A model that gives another layer's output, or takes in what its backbone would give it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from darkroom.infer.run import PROPERTY
from darkroom.names import EMBEDDING


def cut(path: str | Path, layer: str, *, embedded: bool) -> bytes:
    """Read the features of a layer, and leave a backbone out where its features are known.

    Parameters
    ----------
    path : of `model.onnx`.
    layer : whose output the features become.
    embedded : the input becomes `embedding`, (N, D) or (N, h, w, D) float32.

    Returns
    -------
    The model, to be opened by ONNX Runtime.
    """
    model = onnx.load(str(path))
    graph = model.graph
    said = next(p for p in model.metadata_props if p.key == PROPERTY)
    about = json.loads(said.value)
    said.value = json.dumps(about | {"features": layer}, ensure_ascii=False)
    shape = about["layers"][layer]
    by_output = {node.output[0]: node for node in graph.node}

    start = layer
    if len(shape) == 3:  # within the graph the channels come first
        by_output["rows"] = helper.make_node("Transpose", [layer], ["rows"], perm=[0, 2, 3, 1])
        start = "rows"
    by_output["features"] = helper.make_node("Flatten", [start], ["features"], axis=1)
    if embedded:
        given = about["layers"][EMBEDDING]
        if len(given) == 3:
            node = helper.make_node("Transpose", ["rows_in"], [EMBEDDING], perm=[0, 3, 1, 2])
        else:
            node = helper.make_node("Identity", ["rows_in"], [EMBEDDING])
        by_output[EMBEDDING] = node
        rows = helper.make_tensor_value_info("rows_in", TensorProto.FLOAT, ["N", *given])
        graph.input[0].CopyFrom(rows)
    graph.output[0].CopyFrom(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", math.prod(shape)])
    )

    needed: dict[str, onnx.NodeProto] = {}  # each after those that it reads
    waiting = [output.name for output in graph.output]
    while waiting:
        name = waiting[-1]
        first = [i for i in by_output[name].input if i in by_output and i not in needed]
        if first:
            waiting += first
        else:
            needed[waiting.pop()] = by_output[name]
    read = {name for node in needed.values() for name in node.input}
    del graph.node[:]
    graph.node.extend(needed.values())
    kept = [constant for constant in graph.initializer if constant.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return bytes(model.SerializeToString())
