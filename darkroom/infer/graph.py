"""An ONNX graph that grows node by node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8  # read by ONNX Runtime from 1.12 on


@dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes
    ----------
    name : in the graph.
    shape : of one image, in the order of Keras: (H, W, C) of a map, whose tensor is (N, C, H, W);
        (D,) of a vector, whose tensor is (N, D).
    """

    name: str
    shape: tuple[int, ...]


class Graph:
    """Nodes and constants; constants with equal key are stored once."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}
        self.made: dict[Any, str] = {}

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        output = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: Any, key: Any = None) -> str:
        """Add a constant, float32 unless it is of integers; returns its name.

        Parameters
        ----------
        value : array-like.
        key : of what it is, so that a layer that is used twice stores its weights once; None:
            its own value.
        """
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        key = key or (array.dtype.str, array.shape, array.tobytes())
        if key not in self.made:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
            self.made[key] = name
        return self.made[key]

    def per_channel(self, value: Any, shape: tuple[int, ...]) -> str:
        """Add a constant, a number or one a channel, that broadcasts with a value of this shape."""
        array = np.asarray(value, np.float32).reshape(-1)
        if array.size == 1:
            return self.constant(array.reshape(()))
        return self.constant(array.reshape(-1, 1, 1) if len(shape) == 3 else array)

    def rows(self, value: Value) -> str:
        """The tensor in the order of Keras: (N, H, W, C) of a map."""
        if len(value.shape) != 3 or value.shape[:2] == (1, 1):
            return value.name
        return self.op("Transpose", value.name, perm=[0, 2, 3, 1])

    def flat(self, value: Value) -> str:
        """The tensor as (N, D), in the order of Keras."""
        if len(value.shape) == 1:
            return value.name
        return self.op("Flatten", self.rows(value), axis=1)

    def named(self, output: str, name: str, first: int) -> str:
        """Give an output its layer's name; `first`: index of the layer's first node."""
        if len(self.nodes) > first and self.nodes[-1].output[0] == output:
            self.nodes[-1].output[0] = self.nodes[-1].name = name
            return name
        return self.op("Identity", output, name=name)

    def model(self, name: str, given: ValueInfoProto, outputs: Mapping[str, int]) -> ModelProto:
        """The whole graph as a model.

        Parameters
        ----------
        name : of the graph.
        given : its input.
        outputs : width of each, (N, width) float32.
        """
        made = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", width])
            for output, width in outputs.items()
        ]
        return helper.make_model(
            helper.make_graph(self.nodes, name, [given], made, list(self.constants.values())),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="darkroom",
        )
