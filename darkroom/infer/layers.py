"""Each kind of Keras layer as nodes of ONNX.

They are the kinds that Darkroom's networks and those of `keras.applications` have. Keras' own
exporters differ by backend (tf2onnx, jax2tf, torch.onnx), and two of them fix the batch size or
need patches; a walk over two dozen kinds of layers gives the same file from each backend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from darkroom.errors import UserError
from darkroom.infer.activations import FUNCTIONS
from darkroom.infer.graph import Graph, Value


def convert(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    """Add the nodes of a layer; returns the name of its output.

    Raises
    ------
    UserError
        A kind of layer or an activation that has no conversion.
    """
    kind = type(layer).__name__
    if kind not in LAYERS:
        raise UserError(f"layer {layer.name}: {kind} cannot be written as ONNX")
    return LAYERS[kind](graph, layer, inputs)


def operation(graph: Graph, kind: str, args: Sequence[Any], config: dict[str, Any]) -> Value:
    """Add an operation that is no layer, such as `x + 3`; a number may stand among its arguments."""
    if kind == "Flip" and config["axis"] == 2:  # of columns, in a tensor of (N, C, H, W)
        (x,) = args
        ends = [graph.constant([at]) for at in (-1, np.iinfo(np.int64).min, 3, -1)]
        return Value(graph.op("Slice", x.name, *ends), x.shape)
    known = {
        "Add": "Add",
        "Subtract": "Sub",
        "Multiply": "Mul",
        "Divide": "Div",
        "TrueDivide": "Div",
    }
    if kind not in known:
        raise UserError(f"the operation {kind} cannot be written as ONNX")
    names = [a.name if isinstance(a, Value) else graph.constant(float(a)) for a in args]
    shapes = [a.shape for a in args if isinstance(a, Value)]
    return Value(graph.op(known[kind], *names), tuple(np.broadcast_shapes(*shapes)))


def activation(graph: Graph, layer: Any, x: str) -> str:
    """Add the activation function of a layer."""
    import keras

    name = keras.activations.serialize(layer.activation)
    if name not in FUNCTIONS:
        raise UserError(
            f"layer {layer.name}: the activation {name!r} cannot be written as ONNX; "
            f"there are {', '.join(FUNCTIONS)}"
        )
    return FUNCTIONS[name](graph, x)


# ---------------------------------------------------------------- convolutions and pools


def _pads(padding: str, sides: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> Any:
    """Lines before and after a map, as Keras pads: of an odd number the larger part after."""
    if padding == "valid":
        return [0, 0, 0, 0]
    ends = []
    for side, size, stride in zip(sides, sizes, strides, strict=True):
        total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
        ends.append((total // 2, total - total // 2))
    return [before for before, _ in ends] + [after for _, after in ends]


def _convolve(
    graph: Graph, layer: Any, x: Value, kernel: Any, bias: Any, groups: int, part: str = ""
) -> str:
    """A convolution by a kernel (filters, channels of a group, height, width)."""
    weights = [graph.constant(kernel, (id(layer), part, "kernel"))]
    if bias is not None:
        weights.append(graph.constant(bias, (id(layer), part, "bias")))
    spread = [d * (k - 1) + 1 for d, k in zip(layer.dilation_rate, kernel.shape[2:], strict=True)]
    return graph.op(
        "Conv",
        x.name,
        *weights,
        kernel_shape=list(kernel.shape[2:]),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=_pads(layer.padding, x.shape[:2], spread, layer.strides),
        group=groups,
    )


def _numpy(weight: Any) -> Any:
    import keras

    return None if weight is None else np.asarray(keras.ops.convert_to_numpy(weight), np.float32)


def _bias(layer: Any) -> Any:
    return _numpy(layer.bias) if layer.use_bias else None


def _by_channel(kernel: np.ndarray) -> np.ndarray:
    """A depthwise kernel of Keras, (height, width, channels, of each), as (filters, 1, height, width)."""
    height, width, channels, each = kernel.shape
    return kernel.transpose(2, 3, 0, 1).reshape(channels * each, 1, height, width)


def _conv(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    kernel = _numpy(layer.kernel).transpose(3, 2, 0, 1)
    out = _convolve(graph, layer, inputs[0], kernel, _bias(layer), layer.groups)
    return activation(graph, layer, out)


def _depthwise(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    kernel = _by_channel(_numpy(layer.kernel))
    out = _convolve(graph, layer, inputs[0], kernel, _bias(layer), inputs[0].shape[2])
    return activation(graph, layer, out)


def _separable(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    x = inputs[0]
    kernel = _by_channel(_numpy(layer.depthwise_kernel))
    out = _convolve(graph, layer, x, kernel, None, x.shape[2], "depthwise")
    point = _numpy(layer.pointwise_kernel).transpose(3, 2, 0, 1)
    weights = [graph.constant(point, (id(layer), "pointwise"))]
    if layer.use_bias:
        weights.append(graph.constant(_bias(layer), (id(layer), "bias")))
    return activation(graph, layer, graph.op("Conv", out, *weights))


def _pool(kind: str) -> Callable[..., str]:
    def pool(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
        (x,), size, strides = inputs, layer.pool_size, layer.strides
        pads = _pads(layer.padding, x.shape[:2], size, strides)
        return graph.op(kind, x.name, kernel_shape=list(size), strides=list(strides), pads=pads)

    return pool


def _global_pool(kind: str) -> Callable[..., str]:
    def pool(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
        out = graph.op(kind, inputs[0].name)
        return out if layer.keepdims else graph.op("Flatten", out, axis=1)

    return pool


def _zero_padding(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    (top, bottom), (left, right) = layer.padding
    pads = graph.constant([0, 0, top, left, 0, 0, bottom, right])
    return graph.op("Pad", inputs[0].name, pads)


def _cropping(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    (top, bottom), (left, right) = layer.cropping
    height, width, _ = inputs[0].shape
    starts, ends = [top, left], [height - bottom, width - right]
    return graph.op("Slice", inputs[0].name, *map(graph.constant, (starts, ends, [2, 3])))


# ---------------------------------------------------------------- the others


def _scaled(graph: Graph, x: Value, scale: Any, offset: Any) -> str:
    out = graph.op("Mul", x.name, graph.per_channel(scale, x.shape))
    return graph.op("Add", out, graph.per_channel(offset, x.shape)) if np.any(offset) else out


def _rescaling(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    return _scaled(graph, inputs[0], layer.scale, layer.offset)


def _normalization(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    mean, variance = _numpy(layer.mean), _numpy(layer.variance)
    centred = graph.op("Sub", inputs[0].name, graph.per_channel(mean, inputs[0].shape))
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # Keras' epsilon
    return graph.op("Div", centred, graph.per_channel(deviation, inputs[0].shape))


def _batch_norm(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    mean, variance = _numpy(layer.moving_mean), _numpy(layer.moving_variance)
    gamma = _numpy(layer.gamma) if layer.scale else np.ones_like(mean)
    beta = _numpy(layer.beta) if layer.center else np.zeros_like(mean)
    weights = [
        graph.constant(value, (id(layer), at))
        for at, value in enumerate((gamma, beta, mean, variance))
    ]
    return graph.op("BatchNormalization", inputs[0].name, *weights, epsilon=layer.epsilon)


def _layer_norm(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    x = inputs[0]
    size = x.shape[-1:]
    gamma = _numpy(layer.gamma) if layer.gamma is not None else np.ones(size)
    beta = _numpy(layer.beta) if layer.beta is not None else np.zeros(size)
    last = graph.op("Transpose", x.name, perm=[0, 2, 3, 1]) if len(x.shape) == 3 else x.name
    out = graph.op(
        "LayerNormalization", last, graph.constant(gamma), graph.constant(beta),
        axis=-1, epsilon=layer.epsilon,
    )  # fmt: skip
    return graph.op("Transpose", out, perm=[0, 3, 1, 2]) if len(x.shape) == 3 else out


def _dense(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    (x,), kernel = inputs, _numpy(layer.kernel)
    if len(x.shape) == 3:  # of each place of a map
        weights = [graph.constant(kernel.T[..., None, None], (id(layer), "kernel"))]
        if layer.use_bias:
            weights.append(graph.constant(_bias(layer), (id(layer), "bias")))
        return activation(graph, layer, graph.op("Conv", x.name, *weights))
    return activation(graph, layer, product(graph, x.name, kernel, _bias(layer), id(layer)))


def product(graph: Graph, x: str, kernel: np.ndarray, bias: np.ndarray | None, key: Any) -> str:
    """(N, D) by a kernel (D, units), and a bias (units,) where there is one."""
    weights = [graph.constant(kernel, (key, "kernel"))]
    if bias is not None:
        weights.append(graph.constant(bias, (key, "bias")))
    return graph.op("Gemm", x, *weights)


def _activation(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    return activation(graph, layer, inputs[0].name)


def _relu(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    if layer.threshold or layer.negative_slope:
        raise UserError(f"layer {layer.name}: a rectifier with these settings has no ONNX")
    if layer.max_value is None:
        return graph.op("Relu", inputs[0].name)
    most = graph.constant(float(layer.max_value))
    return graph.op("Clip", inputs[0].name, graph.constant(0.0), most)


def _flatten(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    return graph.flat(inputs[0])


def _reshape(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    shape = [int(side) for side in layer.compute_output_shape((None, *inputs[0].shape))[1:]]
    out = graph.op("Reshape", graph.rows(inputs[0]), graph.constant([-1, *shape]))
    return graph.op("Transpose", out, perm=[0, 3, 1, 2]) if len(shape) == 3 else out


def _nothing(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    return inputs[0].name


def _merged(kind: str, **attributes: Any) -> Callable[..., str]:
    def merge(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
        out = inputs[0].name
        for other in inputs[1:]:
            out = graph.op(kind, out, other.name)
        return out

    return merge


def _average(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    out = _merged("Add")(graph, layer, inputs)
    return graph.op("Mul", out, graph.constant(1 / len(inputs)))


def _concatenate(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    if layer.axis not in (-1, len(inputs[0].shape)):
        raise UserError(f"layer {layer.name}: only channels can be concatenated in ONNX")
    return graph.op("Concat", *(value.name for value in inputs), axis=1)


def _layer_scale(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    return _scaled(graph, inputs[0], _numpy(layer.gamma), 0.0)


def _scaled_sum(graph: Graph, layer: Any, inputs: Sequence[Value]) -> str:
    """Of InceptionResNetV2."""
    return graph.op("Add", inputs[0].name, _scaled(graph, inputs[1], layer.scale, 0.0))


LAYERS: dict[str, Callable[[Graph, Any, Sequence[Value]], str]] = {
    "Activation": _activation,
    "Add": _merged("Add"),
    "Average": _average,
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv,
    "Cropping2D": _cropping,
    "CustomScaleLayer": _scaled_sum,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global_pool("GlobalAveragePool"),
    "GlobalMaxPooling2D": _global_pool("GlobalMaxPool"),
    "Identity": _nothing,
    "LayerNormalization": _layer_norm,
    "LayerScale": _layer_scale,
    "MaxPooling2D": _pool("MaxPool"),
    "Multiply": _merged("Mul"),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "StochasticDepth": _nothing,
    "ZeroPadding2D": _zero_padding,
}
