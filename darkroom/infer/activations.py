"""Activation functions of Keras as nodes of ONNX, each with the default settings that Keras gives it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from darkroom.infer.graph import Graph

Function = Callable[[Graph, str], str]


def _node(kind: str, **attributes: Any) -> Function:
    return lambda graph, x: graph.op(kind, x, **attributes)


def _clip(least: float, most: float) -> Function:
    return lambda graph, x: graph.op("Clip", x, graph.constant(least), graph.constant(most))


def _times(function: Function) -> Function:
    """x · function(x)."""
    return lambda graph, x: graph.op("Mul", x, function(graph, x))


def _gelu(graph: Graph, x: str) -> str:
    scaled = graph.op("Mul", x, graph.constant(math.sqrt(0.5)))
    sum_ = graph.op("Add", graph.op("Erf", scaled), graph.constant(1.0))
    return graph.op("Mul", graph.op("Mul", x, sum_), graph.constant(0.5))


def _log_sigmoid(graph: Graph, x: str) -> str:
    return graph.op("Neg", graph.op("Softplus", graph.op("Neg", x)))


def _tanh_shrink(graph: Graph, x: str) -> str:
    return graph.op("Sub", x, graph.op("Tanh", x))


HARD_SIGMOID = _node("HardSigmoid", alpha=1 / 6, beta=0.5)
# The channels are axis 1 of a map and of a vector.
FUNCTIONS: dict[str, Function] = {
    "linear": lambda graph, x: x,
    "relu": _node("Relu"),
    "relu6": _clip(0.0, 6.0),
    "leaky_relu": _node("LeakyRelu", alpha=0.2),
    "elu": _node("Elu"),
    "selu": _node("Selu"),
    "celu": _node("Celu"),
    "gelu": _gelu,
    "sigmoid": _node("Sigmoid"),
    "silu": _times(_node("Sigmoid")),
    "hard_sigmoid": HARD_SIGMOID,
    "hard_silu": _times(HARD_SIGMOID),
    "tanh": _node("Tanh"),
    "hard_tanh": _clip(-1.0, 1.0),
    "tanh_shrink": _tanh_shrink,
    "softplus": _node("Softplus"),
    "softsign": _node("Softsign"),
    "mish": _times(lambda graph, x: graph.op("Tanh", graph.op("Softplus", x))),
    "log_sigmoid": _log_sigmoid,
    "hard_shrink": _node("Shrink", lambd=0.5, bias=0.0),
    "soft_shrink": _node("Shrink", lambd=0.5, bias=0.5),
    "exponential": _node("Exp"),
    "softmax": _node("Softmax", axis=1),
    "log_softmax": _node("LogSoftmax", axis=1),
}
