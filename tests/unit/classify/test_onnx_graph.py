"""A classifier as ONNX gives the probabilities of the fitted one."""

from itertools import combinations

import numpy as np
import pytest
from onnx import TensorProto, helper

from darkroom.classify import coupling, model_file, onnx_graph
from darkroom.errors import UserError
from darkroom.infer.graph import Graph
from darkroom.infer.run import open_session
from tests.support.feature_case import Case, digits, parts


def converted(fitted, x):
    """Probabilities of rows by the graph that goes on from features that are the rows themselves."""
    graph = Graph()
    graph.op("Identity", "image", name="features")
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", x.shape[1]])
    model = graph.model("classifier", given, {"features": x.shape[1]})
    whole = onnx_graph.continued(model.SerializeToString(), fitted, {})
    session = open_session("model.onnx", 1, whole.SerializeToString())
    return session.run(["probabilities"], {"image": x})[0]


def same(result, x, limit=2e-6):
    fitted = model_file.load(result.model)
    ours, theirs = converted(fitted, x), fitted.probabilities(x)
    assert ours.dtype == np.float32 and ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < limit
    assert (ours.argmax(axis=1) == theirs.astype(np.float32).argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("svm", {}),
        ("svm", {"kernel": "linear"}),
        ("svm", {"kernel": "poly", "degree": 2, "coef0": 1}),
        ("svm", {"kernel": "sigmoid", "gamma": 0.001}),
        ("linear_svm", {}),
        ("logistic_regression", {}),
        ("random_forest", {"n_estimators": 40}),
    ],
)
@pytest.mark.parametrize("count", [2, 10])
def test_each_kind(tmp_path, kind, settings, count):
    x, label = digits()
    few = np.isin(label, [str(k) for k in range(count)])
    x, label = x[few][:500].astype(np.float32), label[few][:500]
    case = Case(tmp_path, x, label, parts(len(x)))
    far = np.concatenate([case.x, 50 * case.x[:20], 0 * case.x[:1]])  # nothing of the training
    same(case.fit(kind, settings=settings), far)
    if kind != "random_forest":
        same(case.fit(kind, settings=settings, pca=12, tag="pca"), case.x)


def test_a_class_without_training_rows_and_a_temperature(tmp_path):
    x, label = digits()
    few = np.isin(label, ["0", "1", "2", "3"])
    x, label = x[few][:400], label[few][:400]
    part = parts(len(x))
    part[label == "1"] = "test"
    result = Case(tmp_path, x, label, part).fit("random_forest")
    fitted = model_file.load(result.model)
    assert fitted.known == [0, 2, 3] and fitted.temperature != 1
    same(result, x.astype(np.float32))


@pytest.mark.parametrize("k", [3, 5, 20])
def test_coupling_is_solved_as_exactly_where_pairs_agree_or_leave_no_doubt(k):
    random = np.random.default_rng(k)
    couples = list(combinations(range(k), 2))
    strength = random.normal(size=(40, k))
    agree = np.array([strength[:, i] - strength[:, j] for i, j in couples]).T
    values = np.concatenate([agree, 40 * agree, random.normal(size=(40, len(couples))) * 20])
    sigmoid = np.tile([1.0, 0.0], (len(couples), 1))
    graph = Graph()
    found = onnx_graph._coupled(graph, "values", sigmoid, k)
    graph.op("Cast", found, name="p", to=TensorProto.DOUBLE)
    given = helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["N", len(couples)])
    model = graph.model("classifier", given, {})
    model.graph.output.append(helper.make_tensor_value_info("p", TensorProto.DOUBLE, ["N", k]))
    (ours,) = open_session("p", 1, model.SerializeToString()).run(None, {"values": values})
    ours /= ours.sum(axis=1, keepdims=True)
    assert np.abs(ours - coupling.coupled(values, sigmoid, k)).max() < 1e-8


def test_neighbours_are_refused_in_a_sentence(case):
    fitted = model_file.load(case.fit("knn", tag="knn").model)
    with pytest.raises(UserError, match="kind knn keeps its training rows"):
        converted(fitted, case.x)
