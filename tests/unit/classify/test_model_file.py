"""A model file: loaded as it was saved, refused where it is forged or damaged."""

import logging
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from darkroom.classify import graph_file, model_file, onnx_graph
from darkroom.errors import UserError
from darkroom.features import predictions
from tests.support.feature_case import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_predicts_the_same(case, kind):
    result = case.fit(kind, pca=20)
    fitted = model_file.load(result.model)
    place = {row: i for i, row in enumerate(case.row)}
    x = case.x[[place[r] for r in result.table["row"]]]
    before = x.copy()
    again = fitted.probabilities(x)
    assert np.allclose(again, result.p, rtol=1e-6, atol=1e-12)  # the table is float32
    assert np.array_equal(again.argmax(axis=1), result.table["most_probable"])
    fitted.pipeline[:-1].transform(x)
    assert np.array_equal(x, before)  # scaling in place ended with the fit
    assert fitted.classes == case.classes
    assert fitted.about["features"] == "pixels"
    assert fitted.about["classifier"]["kind"] == kind
    with zipfile.ZipFile(result.model) as file:
        names = file.namelist()
    assert "schema.json" in names
    assert all(name.endswith((".json", ".npy", ".npz", ".onnx")) for name in names)
    assert not list(case.folder.rglob("*.part"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_predicts_what_the_table_has_without_scikit_learn(case, kind):
    result = case.fit(kind, pca=20)
    predictor = graph_file.read(result.model)
    assert (predictor is None) == (kind == "knn")
    if predictor is None:
        return
    place = {row: i for i, row in enumerate(case.row)}
    x = case.x[[place[r] for r in result.table["row"]]]
    assert np.array_equal(predictions.as_stored(predictor.probabilities(x)), result.p)
    one = np.concatenate([predictor.probabilities(x[i : i + 1]) for i in range(20)])
    assert np.array_equal(predictions.as_stored(one), result.p[:20])  # in any batch
    fitted = model_file.load(result.model)
    assert predictor.classes == fitted.classes and predictor.about == fitted.about
    assert np.array_equal(predictor.learned_from.sample, fitted.learned_from.sample)
    code = f"""import sys
from darkroom.classify import graph_file
graph_file.read({result.model!r}).probabilities(__import__("numpy").zeros((1, {x.shape[1]}), "f4"))
assert not {{"sklearn", "scipy", "onnx", "pandas"}} & set(sys.modules)"""
    if kind == "svm":
        subprocess.run([sys.executable, "-c", code], check=True)


def test_a_forest_too_large_for_a_graph_has_none(case, monkeypatch):
    fitted = model_file.load(case.fit("random_forest").model)
    assert onnx_graph.alone(fitted) is not None
    monkeypatch.setattr(onnx_graph, "MOST_LEAVES", 599)  # 60 trees, ten classes
    assert onnx_graph.alone(fitted) is None
    monkeypatch.undo()
    monkeypatch.setattr(onnx_graph, "MOST", 10_000)
    assert onnx_graph.alone(fitted) is None


def test_a_file_without_a_graph_is_read_otherwise(case, tmp_path):
    result = case.fit("svm")
    model_file.load(result.model).save(str(tmp_path / "plain.skops"))
    assert graph_file.read(str(tmp_path / "plain.skops")) is None
    (tmp_path / "broken.skops").write_bytes(b"PK\x03\x04 cut short")
    assert graph_file.read(str(tmp_path / "broken.skops")) is None


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_trees_of_neighbours_can_be_loaded(case, algorithm, metric):
    result = case.fit("knn", pca=5, settings={"algorithm": algorithm, "metric": metric})
    assert model_file.load(result.model).known == list(range(10))


def test_a_model_that_could_not_be_loaded_is_not_saved(case):
    with pytest.raises(UserError, match="may be unsafe"):
        case.fit("knn", pca=5, tag="odd", settings={"algorithm": "ball_tree", "metric": "canberra"})
    assert not list((case.folder / "odd").iterdir())


def test_forged_and_broken_files_are_refused(tmp_path, case):
    import os

    import skops.io
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    forged = tmp_path / "forged.skops"
    evil = Pipeline([("run", FunctionTransformer(os.system))])
    about = {"versions": {}}
    skops.io.dump({"pipeline": evil, "known": [0], "classes": ["a"], "about": about}, forged)
    with pytest.raises(UserError, match=r"refused.*system"):
        model_file.load(str(forged))
    broken = tmp_path / "broken.skops"
    broken.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match="damaged"):
        model_file.load(str(broken))
    other = tmp_path / "other.skops"
    skops.io.dump({"a": 1}, other)
    with pytest.raises(UserError, match="no model of this workflow"):
        model_file.load(str(other))
    skops.io.dump({"pipeline": 1, "known": [0], "classes": ["a"], "about": {}}, other)
    with pytest.raises(UserError, match="no model of this workflow"):
        model_file.load(str(other))
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("schema.json", " " * 200_000_000)
    with pytest.raises(UserError, match="refused: it unpacks to 200 MB"):
        model_file.load(str(other))
    with pytest.raises(UserError, match="no such model"):
        model_file.load(str(tmp_path / "none.skops"))


def test_another_version_is_warned_of(case, tmp_path, caplog):
    fitted = model_file.load(case.fit("knn").model)
    fitted.about["versions"]["scikit-learn"] = "1.0"
    fitted.save(str(tmp_path / "old.skops"))
    with caplog.at_level(logging.WARNING, "darkroom.classify.model_file"):
        model_file.load(str(tmp_path / "old.skops"))
    assert "1.0" in caplog.text
