"""A fitted classifier as ONNX: features in, probabilities out, as `model_file.Fitted` gives them.

It computes in float64 where scikit-learn and we do; a network's graph is continued by it, see
`continued`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, compose, helper, load_from_string, numpy_helper, utils
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

from darkroom.classify.coupling import LEAST as LEAST_OF_PAIR
from darkroom.classify.model_file import LEAST, Fitted
from darkroom.classify.svm_pairs import KERNELS
from darkroom.errors import UserError
from darkroom.infer.graph import Graph
from darkroom.infer.run import PROPERTY

MOST = 4_000_000  # numbers of a random forest in a graph of its own, 8 bytes each
MOST_LEAVES = 20_000  # shares of classes of a row that are added up: 160 MB of 1,024 rows


def pixels_model(shape: tuple[int, int, int]) -> bytes:
    """The features of kind `pixels` as a model: (N, H, W, C) uint8 in, `features` out."""
    graph = Graph()
    scaled = graph.op("Div", graph.op("Cast", "image", to=TensorProto.FLOAT), graph.constant(255.0))
    graph.op("Flatten", scaled, name="features", axis=1)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *shape])
    return bytes(
        graph.model("classifier", image, {"features": int(np.prod(shape))}).SerializeToString()
    )


def continued(features: bytes, fitted: Fitted, about: Mapping[str, Any]) -> ModelProto:
    """A model of features with a classifier behind it, in one graph.

    Parameters
    ----------
    features : the model; one of its outputs is `features`.
    fitted : the classifier.
    about : what the file says of itself, see docs/formats.md.

    Returns
    -------
    The model; its outputs are `features` and `probabilities`.

    Raises
    ------
    UserError
        A classifier that has no such form: k nearest neighbours, an SVM with another kernel.
    """
    whole = load_from_string(features)
    # a trained network without its head
    model = utils.Extractor(whole).extract_model([whole.graph.input[0].name], ["features"])
    graph = Graph()
    _classifier(graph, fitted)
    width = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])
    own = graph.model("classifier", given, {"probabilities": len(fitted.classes)}).graph
    compose.add_prefix_graph(
        own, "classifier/", rename_inputs=False, rename_outputs=False, inplace=True
    )
    model.graph.node.extend(own.node)
    model.graph.initializer.extend(own.initializer)
    model.graph.output.extend(own.output)
    helper.set_model_props(model, {PROPERTY: json.dumps(about, ensure_ascii=False)})
    return model


def alone(fitted: Fitted) -> bytes | None:
    """A classifier as a model of its own: (N, D) float32 `features` in, `probabilities` out.

    Returns
    -------
    None of a classifier that has no such form, or is too large in it: scikit-learn is loaded sooner.
    """
    last = fitted.pipeline.steps[-1][1]
    if isinstance(last, RandomForestClassifier):
        nodes = sum(tree.tree_.node_count for tree in last.estimators_)
        if nodes * (len(fitted.known) + 10) > MOST or len(last) * len(fitted.known) > MOST_LEAVES:
            return None
    graph = Graph()
    try:
        _classifier(graph, fitted, TensorProto.DOUBLE)
    except UserError:
        return None
    given = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", None])
    model = graph.model("classifier", given, {})
    model.graph.output.append(
        helper.make_tensor_value_info(
            "probabilities", TensorProto.DOUBLE, ["N", len(fitted.classes)]
        )
    )
    return bytes(model.SerializeToString())


# ---------------------------------------------------------------- the classifier


def _classifier(graph: Graph, fitted: Fitted, to: int = TensorProto.FLOAT) -> None:
    """From `features` to `probabilities`: `Fitted.probabilities`, of the type `to`."""
    x = "features"
    for name, step in fitted.pipeline.steps[:-1]:
        x = (_scaled if name == "scale" else _components)(graph, x, step)
    p = _probabilities(graph, x, fitted)
    p = graph.op("Div", p, _sum(graph, p))
    if fitted.temperature != 1:
        logs = graph.op("Log", graph.op("Max", p, _double(graph, LEAST)))
        p = _softmax(graph, graph.op("Div", logs, _double(graph, fitted.temperature)))
    if len(fitted.known) < len(fitted.classes):  # a class without training rows has 0
        p = graph.op("MatMul", p, _double(graph, np.eye(len(fitted.classes))[fitted.known]))
    graph.op("Cast", p, name="probabilities", to=to)


def _scaled(graph: Graph, x: str, step: Any) -> str:
    centred = graph.op("Sub", x, graph.constant(step.mean_))
    return graph.op("Div", centred, graph.constant(step.scale_))


def _components(graph: Graph, x: str, step: Any) -> str:
    turn = step.components_.T.astype(np.float64)
    found = graph.op("MatMul", graph.op("Cast", x, to=TensorProto.DOUBLE), _double(graph, turn))
    return graph.op("Sub", found, _double(graph, step.mean_ @ turn))


def _probabilities(graph: Graph, x: str, fitted: Fitted) -> str:
    """(N, known classes) float64."""
    estimator = fitted.pipeline.steps[-1][1]
    kind = type(estimator).__name__
    if kind == "RandomForestClassifier":
        return _trees(graph, x, estimator)
    wide = graph.op("Cast", x, to=TensorProto.DOUBLE)
    if kind == "LogisticRegression":
        values = _linear(graph, wide, estimator)
        if len(estimator.classes_) > 2:
            return _softmax(graph, values)
        return _of_two(graph, graph.op("Sigmoid", values))
    if fitted.pairs is not None:
        values = _pairs(graph, wide, estimator)
        return _coupled(graph, values, fitted.pairs, len(estimator.classes_))
    calibrated = getattr(estimator, "calibrated_classifiers_", None)
    if not calibrated:
        raise UserError(
            f"a classifier of kind {fitted.about['classifier']['kind']} keeps its training rows and "
            "has no form in ONNX: name another one"
        )
    values = _decision(graph, wide, calibrated[0].estimator)
    return _calibrated(graph, values, calibrated[0])


def _decision(graph: Graph, x: str, svm: Any) -> str:
    """As `svm_pairs.decision_function`; of two classes (N, 1)."""
    if not isinstance(svm, SVC):
        return _linear(graph, x, svm)
    pairs, k = _pairs(graph, x, svm), len(svm.classes_)
    if k == 2:
        return graph.op("Neg", pairs)
    couples = list(combinations(range(k), 2))
    first, second = (np.eye(k)[[couple[at] for couple in couples]] for at in (0, 1))
    zero = _double(graph, 0.0)
    won = graph.op("Cast", graph.op("GreaterOrEqual", pairs, zero), to=TensorProto.DOUBLE)
    lost = graph.op("Cast", graph.op("Less", pairs, zero), to=TensorProto.DOUBLE)
    votes = graph.op(
        "Add",
        graph.op("MatMul", won, _double(graph, first)),
        graph.op("MatMul", lost, _double(graph, second)),
    )
    sums = graph.op("MatMul", pairs, _double(graph, first - second))
    bound = graph.op("Add", graph.op("Abs", sums), _double(graph, 1.0))
    share = graph.op("Div", sums, graph.op("Mul", bound, _double(graph, 3.0)))
    return graph.op("Add", votes, share)


def _calibrated(graph: Graph, values: str, calibration: Any) -> str:
    """scikit-learn's calibration of decision values."""
    if calibration.method == "temperature":
        return _softmax(
            graph, graph.op("Mul", values, _double(graph, calibration.calibrators[0].beta_))
        )
    slope = _double(graph, [-one.a_ for one in calibration.calibrators])
    intercept = _double(graph, [-one.b_ for one in calibration.calibrators])
    found = graph.op("Sigmoid", graph.op("Add", graph.op("Mul", values, slope), intercept))
    return _of_two(graph, found) if len(calibration.calibrators) == 1 else found


# ---------------------------------------------------------------- parts


def _double(graph: Graph, value: Any) -> str:
    """A constant of float64; a large one that float32 holds exactly is stored as that."""
    array = np.asarray(value, np.float64)
    narrow = array.astype(np.float32)
    if array.size > 1000 and (narrow == array).all():
        return graph.op("Cast", graph.constant(narrow), to=TensorProto.DOUBLE)
    key = ("float64", array.shape, array.tobytes())
    if key not in graph.made:
        name = graph.made[key] = f"constant_{len(graph.constants)}"
        graph.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
    return graph.made[key]


def _sum(graph: Graph, x: str) -> str:
    return graph.op("ReduceSum", x, graph.constant([1]), keepdims=1)


def _softmax(graph: Graph, x: str) -> str:
    return graph.op("Softmax", x, axis=1)


def _of_two(graph: Graph, second: str) -> str:
    """(N, 2) probabilities of two classes from those of the second, (N, 1)."""
    return graph.op("Concat", graph.op("Sub", _double(graph, 1.0), second), second, axis=1)


def _linear(graph: Graph, x: str, estimator: Any) -> str:
    product = graph.op("MatMul", x, _double(graph, np.ascontiguousarray(estimator.coef_.T)))
    return graph.op("Add", product, _double(graph, estimator.intercept_))


def _part(graph: Graph, x: str, axis: int, start: int, stop: int) -> str:
    at = [graph.constant([number]) for number in (start, stop, axis)]
    return graph.op("Slice", x, *at)


def _pairs(graph: Graph, x: str, svm: Any) -> str:
    """As `svm_pairs.pair_values`."""
    if svm.kernel not in KERNELS:
        raise UserError(f"an SVM with the kernel {svm.kernel!r} has no form in ONNX")
    k = len(svm.n_support_)
    sign = -1 if k == 2 else 1  # as in `svm_pairs`
    kernel = _kernel(graph, x, svm)
    stop = np.cumsum(svm.n_support_)
    sums = []
    for n, end in zip(svm.n_support_, stop, strict=True):
        own = _part(graph, kernel, 1, int(end - n), int(end))
        coefficients = sign * svm.dual_coef_[:, end - n : end].T
        sums.append(graph.op("MatMul", own, _double(graph, coefficients)))
    every = graph.op("Concat", *sums, axis=1)  # that of class k against its r-th opponent
    couples = list(combinations(range(k), 2))
    first = graph.constant([i * (k - 1) + j - 1 for i, j in couples])
    second = graph.constant([j * (k - 1) + i for i, j in couples])
    found = graph.op(
        "Add",
        graph.op("Gather", every, first, axis=1),
        graph.op("Gather", every, second, axis=1),
    )
    return graph.op("Add", found, _double(graph, sign * svm.intercept_))


def _kernel(graph: Graph, x: str, svm: Any) -> str:
    """(N, vectors) kernel values, by libsvm's definition."""
    vectors = svm.support_vectors_
    values = graph.op("MatMul", x, _double(graph, np.ascontiguousarray(vectors.T)))
    if svm.kernel == "rbf":
        squares = _double(graph, np.einsum("ij,ij->i", vectors, vectors))
        own = _sum(graph, graph.op("Mul", x, x))
        values = graph.op("Mul", values, _double(graph, -2.0))
        values = graph.op("Add", graph.op("Add", values, own), squares)
        values = graph.op("Max", values, _double(graph, 0.0))
        return graph.op("Exp", graph.op("Mul", values, _double(graph, -svm._gamma)))
    if svm.kernel == "linear":
        return values
    values = graph.op("Mul", values, _double(graph, svm._gamma))
    values = graph.op("Add", values, _double(graph, svm.coef0))
    if svm.kernel == "poly":
        return graph.op("Pow", values, _double(graph, float(svm.degree)))
    return graph.op("Tanh", values)


def _coupled(graph: Graph, values: str, sigmoid: np.ndarray, k: int) -> str:
    """As `coupling.coupled`, solved for the classes but the last, whose share is the rest.

    The system is then symmetric and positive definite, so that Gauss-Jordan elimination needs no
    pivots and unrolls into the graph.
    """
    z = graph.op("Mul", values, _double(graph, sigmoid[:, 0]))
    z = graph.op("Add", z, _double(graph, sigmoid[:, 1]))
    z = graph.op("Clip", z, _double(graph, -30.0), _double(graph, 30.0))
    one = _double(graph, 1.0)
    first = graph.op(
        "Clip",
        graph.op("Sigmoid", z),
        _double(graph, LEAST_OF_PAIR),
        _double(graph, 1 - LEAST_OF_PAIR),
    )
    second = graph.op("Sub", one, first)
    couples = list(combinations(range(k), 2))
    upper, lower = (
        np.eye(k * k)[[i * k + j for i, j in order]]
        for order in (couples, [(j, i) for i, j in couples])
    )
    square = graph.op(  # [n, i, j]: probability of i where it is i or j
        "Reshape",
        graph.op(
            "Add",
            graph.op("MatMul", first, _double(graph, upper)),
            graph.op("MatMul", second, _double(graph, lower)),
        ),
        graph.constant([-1, k, k]),
    )
    turned = graph.op("Transpose", square, perm=[0, 2, 1])
    own = graph.op("ReduceSum", graph.op("Mul", square, square), graph.constant([1]), keepdims=1)
    own = graph.op("Add", own, _double(graph, 1e-12))
    system = graph.op(
        "Sub",
        graph.op("Mul", own, _double(graph, np.eye(k))),
        graph.op("Mul", square, turned),
    )
    # p = last + free · y, so that it adds up to 1: free' · system · free · y = -free' · system · last
    free = np.concatenate([np.eye(k - 1), -np.ones((1, k - 1))])
    last = np.eye(k)[:, -1:]
    right = np.concatenate([free, -last], axis=1)
    rows = graph.op(
        "MatMul",
        graph.op("MatMul", _double(graph, free.T), system),
        _double(graph, right),
    )
    for _ in range(k - 1):
        top = _part(graph, rows, 1, 0, 1)
        others = _part(graph, rows, 1, 1, k - 1)
        top = graph.op("Div", _part(graph, top, 2, 1, k + 1), _part(graph, top, 2, 0, 1))
        others = graph.op(
            "Sub",
            _part(graph, others, 2, 1, k + 1),
            graph.op("Mul", _part(graph, others, 2, 0, 1), top),
        )
        rows = graph.op("Concat", others, top, axis=1)
    found = graph.op("Add", graph.op("MatMul", _double(graph, free), rows), _double(graph, last))
    found = graph.op("Squeeze", found, graph.constant([2]))
    return graph.op("Clip", found, _double(graph, LEAST_OF_PAIR), one)


def _trees(graph: Graph, x: str, forest: Any) -> str:
    """(N, classes) float64: the mean of the shares of the leaves that a row falls into.

    All trees are walked side by side, a level at a time; a leaf is followed by itself. As in
    scikit-learn float32 is compared with float64.
    """
    trees = [estimator.tree_ for estimator in forest.estimators_]
    start = np.cumsum([0, *(tree.node_count for tree in trees)])
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    itself = np.arange(start[-1])

    def nodes(name: str) -> np.ndarray:
        return np.concatenate([getattr(t, name) + s for t, s in zip(trees, start, strict=False)])

    left, right = (np.where(leaf, itself, nodes(f"children_{side}")) for side in ("left", "right"))
    feature = np.where(leaf, 0, np.concatenate([tree.feature for tree in trees]))
    threshold = np.concatenate([tree.threshold for tree in trees])
    shares = np.concatenate([tree.value[:, 0, :] for tree in trees])[leaf]
    x = graph.op("Cast", graph.op("Cast", x, to=TensorProto.FLOAT), to=TensorProto.DOUBLE)
    root = start[:-1]
    value, limit, ways = (
        graph.op("Gather", x, graph.constant(feature[root]), axis=1),
        _double(graph, threshold[root]),
        (graph.constant(left[root]), graph.constant(right[root])),
    )
    tables = [graph.constant(feature), _double(graph, threshold)]
    sides = [graph.constant(left), graph.constant(right)]
    for _ in range(max(tree.max_depth for tree in trees) - 1):
        at = graph.op("Where", graph.op("LessOrEqual", value, limit), *ways)
        column, limit = (graph.op("Gather", table, at) for table in tables)
        value = graph.op("GatherElements", x, column, axis=1)
        ways = (graph.op("Gather", sides[0], at), graph.op("Gather", sides[1], at))
    at = graph.op("Where", graph.op("LessOrEqual", value, limit), *ways)
    number = graph.op("Gather", graph.constant(np.cumsum(leaf) - 1), at)
    found = graph.op("Gather", _double(graph, shares), number)
    summed = graph.op("ReduceSum", found, graph.constant([1]), keepdims=0)
    return graph.op("Div", summed, _double(graph, float(len(trees))))
