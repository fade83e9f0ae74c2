"""An exported folder predicts elsewhere what the data set's own tables say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkroom import unlikeness
from darkroom.__main__ import main
from darkroom.errors import UserError
from darkroom.infer.run import Network
from darkroom.models import beside, trained
from darkroom.predict import lite, picture, unseen
from darkroom.predict.export import export
from tests.support.small_chain import Chain

NETWORK = "results/shapes/fold-1/tiny-seed0"
# Runs a file of the folder where Darkroom and all but four packages cannot be imported.
ALONE = """
import sys, runpy
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {"tensorflow", "keras", "sklearn", "scipy", "pandas", "pyarrow", "h5py", "skops",
                    "onnx", "snakemake", "matplotlib"}:
            raise ImportError(f"{name} is not in this environment")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert sys.modules["darkroom"].__file__.startswith(sys.argv[0].rpartition("/")[0])
"""


def alone(script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(script), *words],
        capture_output=True, text=True, cwd="/", check=False,
    )  # fmt: skip


def test_it_predicts_by_itself_what_the_tables_say(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    of_data = Path(chain.results("model_card.md"))
    of_data.write_text("# The card of the data set\n")
    try:
        assert main(["export", NETWORK, str(out)]) == 0
    finally:
        of_data.unlink()
    assert (out / "model_card.md").read_text() == "# The card of the data set\n"
    assert "check.py" in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {
        "model.onnx", "class_indices.json", "preprocessing.json", "requirements.txt", "README.md",
        "predict.py", "check.py", "darkroom", "pictures", "unlike.npz", "model_card.md",
    }  # fmt: skip
    checked = alone(out / "check.py")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("the same class") == 3

    own = chain.said("fold-1", "tiny-seed0", "head")
    paths = list(own.index[:10])
    said = alone(out / "predict.py", *(str(chain.root / "pictures" / path) for path in paths))
    assert said.returncode == 0, said.stderr
    for line, path in zip(said.stdout.splitlines(), paths, strict=True):
        _, name, found, _ = line.split("\t")
        p = json.loads(found)
        assert list(p.values()) == pytest.approx(
            own.loc[path, ["p:cross", "p:disc"]].tolist(), abs=1e-6
        )
        assert name == ("cross", "disc")[own.loc[path, "predicted"]]

    # and the check fails where the model is another
    expected = out / "pictures/expected.json"
    expected.write_text(expected.read_text().replace('"cross": 0.', '"cross": 0.1'))
    assert alone(out / "check.py").returncode == 1


@pytest.mark.parametrize("name", ["tiny-seed0/svm", "fold-2/tiny-seed0/forest", "pixels/svm"])
def test_a_classifier_and_its_features_become_one_graph(
    chain: Chain, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    compared = export("results/shapes", str(out), name)
    assert compared.startswith(f"fold-1/{name}".replace("fold-1/fold-2", "fold-2"))
    assert "held-out images got the probabilities of the classifier within" in compared
    assert (out / "classifier.skops").is_file()

    fold, features, classifier = ("fold-1/" + name).split("/")[-3:]
    own = chain.said(fold, features, classifier)
    paths = list(own.index[:10])
    said = alone(out / "predict.py", *(str(chain.root / "pictures" / path) for path in paths))
    assert said.returncode == 0, said.stderr
    for line, path in zip(said.stdout.splitlines(), paths, strict=True):
        _, predicted, found, _ = line.split("\t")
        p = list(json.loads(found).values())
        assert p == pytest.approx(own.loc[path, ["p:cross", "p:disc"]].tolist(), abs=1e-6)
        assert predicted == ("cross", "disc")[own.loc[path, "predicted"]]
    assert alone(out / "check.py").returncode == 0
    # served and predicted by Darkroom itself, the folder says the same
    again = trained.find(str(out))
    assert again.fitted is None and again.classes == ["cross", "disc"]


@pytest.mark.parametrize("name", ["tiny-seed0", "tiny-seed0/svm", "pixels/svm"])
def test_it_tells_what_is_unlike_and_the_set_of_classes_as_the_results_do(
    chain: Chain, tmp_path: Path, name: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    out = tmp_path / "out"
    export("results/shapes", str(out), f"fold-1/{name}")
    here, there = (
        trained.named("results/shapes", f"fold-1/{name}"),
        trained.find(str(out)),
    )
    assert beside.set_from(here) is not None and beside.set_from(there) == beside.set_from(here)
    disc = sorted((chain.root / "pictures/disc").iterdir())[0]
    found = unseen.Pictures("", [str(disc), str(tmp_path / "noise.png")], [])
    ours, theirs = (
        list(picture.predict(model, found, threshold=0.5, threads=1)) for model in (here, there)
    )
    said = alone(out / "predict.py", *found.paths).stdout.splitlines()
    for own, exported, line in zip(ours, theirs, said, strict=True):
        assert own.unlikeness is not None
        assert exported.unlikeness == pytest.approx(own.unlikeness, abs=1e-6)
        assert (exported.unlike, exported.classes) == (own.unlike, own.classes)
        assert own.classes and line.endswith("\tunlike all that it learned from") == own.unlike
    if name == "pixels/svm":  # a network of a few epochs does not describe noise
        assert [one.unlike for one in theirs] == [False, True]


def test_another_layer_than_the_last_may_tell_it(chain: Chain, tmp_path: Path) -> None:
    unlike, layer = Path(f"{NETWORK}/unlike.npz"), "pool_2"
    plain = unlike.read_bytes()
    known = unlikeness.Known(np.ones((5, 8 * 8 * 4), np.float16), 0.5)
    try:
        unlikeness.write(str(unlike), known, layer)
        export(NETWORK, str(tmp_path / "out"))
    finally:
        unlike.write_bytes(plain)
    assert alone(tmp_path / "out/check.py").returncode == 0
    exported = Network(tmp_path / "out/model.onnx", threads=1)
    pixels = np.arange(768, dtype=np.uint32).astype(np.uint8).reshape(1, 16, 16, 3)
    features = Network(f"{NETWORK}/model.onnx", threads=1, layer=layer)(pixels).features
    assert exported.layer == layer and (exported(pixels).features == features).all()


def test_a_network_has_its_other_forms_too(chain: Chain, tmp_path: Path) -> None:
    import tensorflow as tf

    said = export("results/shapes", str(tmp_path / "out"), "fold-1/tiny-seed0", "all", lite.write)
    names = ("model.onnx", "model.tflite", "model-int8.tflite")
    shares = [float(re.search(rf"{name} ([01]\.\d+)", said)[1]) for name in names]  # type: ignore[index]
    assert shares[0] == shares[1] and said in (tmp_path / "out/README.md").read_text().replace(
        "When this folder was written, ", "fold-1/tiny-seed0 of shapes: "
    )
    own = chain.said("fold-1", "tiny-seed0", "head")
    own = own[own["part"] == "test"]
    assert shares[0] == pytest.approx((own["predicted"] == own["class"]).mean(), abs=1e-3)
    expected = json.loads((tmp_path / "out/pictures/expected.json").read_text())["1.png"]
    out = np.zeros((1, 16, 16, 3), np.uint8)
    model = trained.find(str(tmp_path / "out"))
    picture = (tmp_path / "out/pictures/1.png").read_bytes()
    unseen.examine_bytes(picture, "1.png", out[0], view=model.view, policy=model.policy)
    for name, limit in (("model.tflite", 1e-5), ("model-int8.tflite", 0.1)):
        opened = tf.lite.Interpreter(str(tmp_path / "out" / name))
        opened.allocate_tensors()
        opened.set_tensor(opened.get_input_details()[0]["index"], out)
        opened.invoke()
        (p,) = opened.get_tensor(opened.get_output_details()[0]["index"])[0]  # one sigmoid unit
        assert p == pytest.approx(expected["probabilities"]["disc"], abs=limit)
    with pytest.raises(UserError, match="--kind tflite is of networks"):
        export("results/shapes", str(tmp_path / "other"), "pixels/svm", "tflite")


def test_without_a_name_the_best_is_exported(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = [chain.results(f"fold-{n}/pixels/svm/model.skops") for n in (2, 1)]
    monkeypatch.setattr(trained, "best", lambda results: trained.of_folds(best))
    told = export("results/shapes", str(tmp_path / "out"))
    assert told.startswith("fold-2/pixels/svm of shapes")
    assert "holds one model, that of one of 2 folds" in told


def test_another_graph_than_the_classifier_is_not_written(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkroom.classify import onnx_graph

    plain = onnx_graph._scaled
    monkeypatch.setattr(
        onnx_graph, "_scaled", lambda graph, x, step: plain(graph, plain(graph, x, step), step)
    )
    with pytest.raises(UserError, match="as ONNX it differs by"):
        export("results/shapes", str(tmp_path / "out"), "pixels/svm")
    assert not list(tmp_path.iterdir())


def test_the_threshold_decides(chain: Chain, tmp_path: Path) -> None:
    chain.evaluate(threshold=0.97)
    try:
        export(NETWORK, str(tmp_path / "out"))
    finally:
        chain.evaluate()
    said = json.loads((tmp_path / "out/preprocessing.json").read_text())
    assert said["threshold"] == 0.97 and said["view"]["size"] == [16, 16]
    assert json.loads((tmp_path / "out/class_indices.json").read_text()) == {"cross": 0, "disc": 1}
    assert "from a probability of 0.97 on" in (tmp_path / "out/README.md").read_text()
    picture = sorted((chain.root / "pictures/disc").iterdir())[0]
    done = alone(tmp_path / "out/predict.py", str(picture))
    _, name, found, _ = done.stdout.removesuffix("\n").split("\t")
    assert (name == "disc") == (np.float32(json.loads(found)["disc"]) >= np.float32(0.97))


def test_what_cannot_be_exported_is_a_sentence(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is there already"):
        export(NETWORK, str(tmp_path))
    with pytest.raises(UserError, match="features of kind hog, which have no form in ONNX"):
        export("results/shapes", str(tmp_path / "out"), "hog/svm")
    with pytest.raises(UserError, match=r"no model 'tiny-seed0/svn'; did you mean"):
        export("results/shapes", str(tmp_path / "out"), "tiny-seed0/svn")
    away = tmp_path / "a/b/c/model.onnx"
    away.parent.mkdir(parents=True)
    away.write_bytes(Path(f"{NETWORK}/model.onnx").read_bytes())
    with pytest.raises(UserError, match="export a model from its place in results"):
        export(str(away), str(tmp_path / "out"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"], "nothing half-written is left"
