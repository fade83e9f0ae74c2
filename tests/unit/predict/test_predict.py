"""New pictures get the predictions that they would have as images of the data set."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pandas
import pytest

from darkroom.classify.fitting import fit_classifier
from darkroom.errors import UserError
from darkroom.evaluate import ranking
from darkroom.features import predictions
from darkroom.images import resize
from darkroom.images.prepare import prepare_images
from darkroom.models import trained
from darkroom.predict import predict, unseen
from darkroom.predict.export import export
from darkroom.predict.picture import check_threshold
from tests.support.awful import awful_folder, kind_of
from tests.support.backbone_weights import MOBILENET, mobilenet_onnx, mobilenet_weights, two_blocks
from tests.support.pictures import picture
from tests.support.small_chain import Chain

BAD = ["empty", "truncated", "damaged", "not an image", "cannot be used", "too large"]


def run(chain: Chain, model: str | None = None, **changes: Any) -> pandas.DataFrame:
    """The stage as its rule calls it."""
    asked: dict[str, Any] = {
        "dataset": "shapes",
        "name": "new",
        "source": "pictures",
        "model": model,
        "fold": None,
        "threshold": None if model is None else 0.5,
        **changes,
    }
    folds = [asked["fold"]] if asked["fold"] else chain.settings.folds_of("shapes")
    files: dict[str, Any] = {"models": [], "predictions": []}
    if model is None:
        files["thresholds"] = chain.results("thresholds.parquet")
    else:
        features, _, classifier = model.partition("/")
        parts = [(f, features, classifier or "head") for f in folds]
        files["models"] = [trained.file_of(chain.results().rstrip("/"), *p) for p in parts]
        if len(parts) > 1 or isinstance(asked["threshold"], str):
            files["predictions"] = [
                chain.results("/".join(p) + "/predictions.parquet") for p in parts
            ]
    output = chain.results("predictions/new.csv")
    predict.predict_images(output, **files, cfg=asked, threads=2)
    assert [p.name for p in Path(output).parent.iterdir()] == ["new.csv"]
    return pandas.read_csv(output, keep_default_na=False)


def probabilities(table: pandas.DataFrame) -> np.ndarray:
    wide = table[["p:cross", "p:disc"]]
    return wide.apply(pandas.to_numeric, errors="coerce").to_numpy(float)


# ---------------------------------------------------------------- equal to the data set's own


@pytest.mark.parametrize(
    "model", ["tiny-seed0", "tiny-seed0/svm", "tiny-seed0/forest", "pixels/svm", "hog/forest"]
)
def test_the_images_of_the_data_set_get_the_predictions_that_they_have(
    chain: Chain, model: str
) -> None:
    features, _, classifier = model.partition("/")
    for fold in ("fold-1", "fold-2"):
        own = chain.said(fold, features, classifier or "head")
        table = run(chain, model, fold=fold).set_index("file").loc[own.index]
        assert len(own) > 20
        assert probabilities(table) == pytest.approx(
            own[["p:cross", "p:disc"]].to_numpy(), abs=2e-6
        )
        names = np.array(["cross", "disc"])[own["predicted"]]
        sure = np.abs(own["p:disc"] - 0.5) > 1e-5
        assert (table["predicted"] == names)[sure].all()
        assert (table["model"] == f"{fold}/{model}").all()


def test_a_classifier_on_a_backbone_has_its_weights_beside_it(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from darkroom.features.backbone import embed_images
    from darkroom.features.predictions import read_predictions

    shutil.copytree(chain.root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    Path("data/weights").mkdir()
    with two_blocks():
        weights = mobilenet_weights(Path("data/weights/mobile.h5"))
        weights = mobilenet_onnx(weights, Path("data/weights/mobile.onnx"))
    view = {"size": [32, 32], "color": "rgb", "resize": "crop", "filter": "auto"}
    pixels = chain.results("images/32.h5")
    prepare_images(
        "data/shapes/source.json",
        chain.results("manifest.parquet"),
        pixels,
        cfg=chain.cfg("prepare_images", view="16x16-rgb-pad") | {"view": view},
    )
    features = chain.results("features/mobile.h5")
    embed_images(
        pixels,
        weights,
        features,
        cfg={"name": "mobile", **MOBILENET, "pool": "average", "batch": 16, "backend": None},
        threads=1,
    )
    place = chain.results("fold-1/mobile/svm")
    cfg = chain.cfg("fit_classifier", fold="fold-1", features="pixels", classifier="svm")
    fit_classifier(
        features,
        chain.results("splits.parquet"),
        model_path=f"{place}/model.skops",
        predictions_path=f"{place}/predictions.parquet",
        cfg=cfg | {"features": "mobile"},
    )
    said, _ = read_predictions(f"{place}/predictions.parquet")
    paths = pandas.read_parquet(chain.results("manifest.parquet")).set_index("row")["path"]
    table = run(chain, "mobile/svm", fold="fold-1").set_index("file").loc[paths[said["row"]]]
    assert probabilities(table) == pytest.approx(said[["p:cross", "p:disc"]].to_numpy(), abs=1e-5)
    collected = pandas.read_parquet(chain.results("predictions.parquet"))
    own = collected["feature_set"].eq("pixels") & collected["classifier"].eq("svm")
    own = collected[own & collected["fold"].eq("fold-1")].assign(feature_set="mobile")
    columns = ["p:cross", "p:disc"]
    own[columns] = said.set_index("row").loc[own["row"], columns].to_numpy()
    own.to_parquet(chain.results("predictions.parquet"))
    shipped = export("results/shapes", str(tmp_path / "shipped"), "mobile/svm")
    assert "got the probabilities of the classifier within" in shipped
    checked = [sys.executable, str(tmp_path / "shipped/check.py")]
    assert "predicts as it did" in subprocess.run(checked, capture_output=True, text=True).stdout

    model = trained.find(f"{place}/model.skops")
    assert model.files == [f"{place}/model.skops", str(Path(weights).absolute())]
    Path(weights).unlink()
    with pytest.raises(UserError, match=r"which is not at .*: snakemake .*mobile\.onnx"):
        trained.find(place)


def test_the_columns_and_the_order(chain: Chain) -> None:
    table = run(chain, "tiny-seed0/svm", fold="fold-1")
    assert list(table) == [
        "file", "predicted", "p:cross", "p:disc", "set", "unlikeness", "unlike", "model", "digest", "status",
        "reason",
    ]  # fmt: skip
    expected = sorted(str(p.relative_to("pictures")) for p in Path("pictures").rglob("*.png"))
    assert table["file"].tolist() == expected
    run_ = Path(chain.results("fold-1/tiny-seed0"))
    import hashlib

    parts = [
        hashlib.sha256(p.read_bytes()).hexdigest()
        for p in (run_ / "svm/model.skops", run_ / "model.onnx")
    ]
    assert set(table["digest"]) == {"+".join(parts)}
    assert probabilities(table).sum(axis=1) == pytest.approx(np.ones(len(table)), abs=1e-6)


def test_a_picture_unlike_all_training_images_is_marked(chain: Chain, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    (tmp_path / "broken.png").write_bytes(b"x")
    for model in ("pixels/svm", "tiny-seed0/svm", "tiny-seed0"):
        table = run(chain, model, fold="fold-1", source=str(tmp_path)).set_index("file")
        assert table.loc["broken.png", "unlike"] == table.loc["broken.png", "unlikeness"] == ""
        own = run(chain, model, fold="fold-1")
        assert (own["unlike"] == "yes").mean() < 0.2
        if model == "pixels/svm":  # a network of a few epochs does not describe noise
            assert table.loc["noise.png", "unlike"] == "yes"
        assert float(table.loc["noise.png", "unlikeness"]) >= 0


def test_many_chunks_and_batches_change_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(chain, "pixels/svm", fold="fold-1")
    monkeypatch.setattr(unseen, "BATCH", 3)
    monkeypatch.setattr(unseen, "CHUNK_BYTES", 64 * 7)  # two batches of three
    pieces = run(chain, "pixels/svm", fold="fold-1")
    assert whole["file"].tolist() == pieces["file"].tolist()
    assert probabilities(whole) == pytest.approx(probabilities(pieces), abs=1e-6)


# ---------------------------------------------------------------- which classifier


def test_unset_it_is_the_best_by_validation(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "darkroom")
    table = run(chain)
    metrics = pandas.read_parquet(chain.results("metrics.parquet"))
    summary = pandas.read_parquet(chain.results("summary.parquet"))
    alone = summary["model"] != ranking.CHOSEN[0]  # the best of each fold is no model
    judged = summary[alone & (summary["part"] == "validation")].sort_values(
        ["balanced_accuracy", "log_loss"], ascending=[False, True]
    )
    first = judged.iloc[0]
    runs = metrics.query(
        f"model == '{first['model']}' and classifier == '{first['classifier']}' "
        "and part == 'validation'"
    ).sort_values(["balanced_accuracy", "log_loss"], ascending=[False, True])
    head = first["classifier"] == "head"
    name = runs.iloc[0]["feature_set"] + ("" if head else f"/{first['classifier']}")
    assert set(table["model"]) == {f"folds/{name}"}
    assert f"by folds/{name} (mean of the probabilities of 2 folds), the best by the" in caplog.text
    assert "classes: 0 cross, 1 disc; disc is predicted from a probability of 0.5 on" in caplog.text


def test_the_best_follows_the_tables(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("summary.parquet", "metrics.parquet"):
        shutil.copy(chain.results(name), tmp_path / name)
    metrics = pandas.read_parquet(tmp_path / "metrics.parquet")
    summary = pandas.read_parquet(tmp_path / "summary.parquet")
    own = (summary["model"] == "hog") & (summary["classifier"] == "svm")
    summary["balanced_accuracy"] = np.where(own, 0.9, 0.8)
    # only the test would choose another
    summary.loc[~own & (summary["part"] == "test"), "balanced_accuracy"] = 1.0
    better = (metrics["fold"] == "fold-2") == (metrics["part"] == "validation")
    metrics["balanced_accuracy"] = np.where(better, 0.95, 0.85)
    summary.to_parquet(tmp_path / "summary.parquet", index=False)
    metrics.to_parquet(tmp_path / "metrics.parquet", index=False)
    monkeypatch.setattr(trained, "of_folds", lambda files: files)
    both = [f"{tmp_path}/fold-{n}/hog/svm/model.skops" for n in (2, 1)]
    assert trained.best(str(tmp_path)) == both
    assert trained.best(str(tmp_path), "fold-1") == both[1:]


@pytest.mark.parametrize("model", ["pixels/forest", "tiny-seed0", "tiny-seed0/svm"])
def test_folds_predict_together(chain: Chain, model: str) -> None:
    folds = [run(chain, model, fold=fold) for fold in ("fold-1", "fold-2")]
    table = run(chain, model)
    assert set(table["model"]) == {f"folds/{model}"}
    mean = np.mean([probabilities(one) for one in folds], axis=0)
    assert probabilities(table) == pytest.approx(mean, abs=2e-6)
    unlike = [pandas.to_numeric(one["unlikeness"], errors="coerce").to_numpy() for one in folds]
    told = pandas.to_numeric(table["unlikeness"], errors="coerce").to_numpy()
    assert told == pytest.approx(np.mean(unlike, axis=0), rel=1e-3, nan_ok=True)
    digests = [set("+".join(one["digest"].unique()).split("+")) for one in folds]
    assert set(table["digest"][0].split("+")) == set.union(*digests)


def test_folds_of_an_earlier_split_do_not_predict(chain: Chain, tmp_path: Path) -> None:
    results = tmp_path / "results/shapes"
    shutil.copytree(chain.results(), results)
    shutil.copytree(results / "fold-1", results / "fold-3")
    found = trained.named(str(results), "pixels/svm")
    assert [member.run.fold for member in found.members] == ["fold-1", "fold-2"]
    assert trained.named(str(results), "folds/pixels/svm").files == found.files
    assert trained.named(str(results), "fold-2/pixels/svm").name == "fold-2/pixels/svm"


# ---------------------------------------------------------------- thresholds


def test_a_threshold_decides(chain: Chain) -> None:
    table = run(chain, "pixels/svm", fold="fold-1", threshold=0.9)
    sure = probabilities(table)[:, 1] >= 0.9
    assert 0 < sure.sum() < len(sure)
    assert ((table["predicted"] == "disc") == sure).all()


def test_a_chosen_threshold_is_that_of_the_run(chain: Chain) -> None:
    chain.evaluate(threshold="f1")
    try:
        told = pandas.read_parquet(chain.results("thresholds.parquet"))
        table = run(chain, threshold="f1")
        fold, name = table["model"][0].split("/", 1)
        features, _, classifier = name.partition("/")
        own = told[
            (told["feature_set"] == features) & (told["classifier"] == (classifier or "head"))
        ].set_index("fold")["threshold"]
        assert fold == "folds" and len(own) == 2
        p = probabilities(table)[:, 1]
        assert ((table["predicted"] == "disc") == (p.astype(np.float32) >= own.mean())).all()
        # and a named one finds the same by itself, the evaluation not being there
        named = run(chain, name, threshold="f1")
        assert named["predicted"].tolist() == table["predicted"].tolist()
        said = chain.said("fold-1", features, classifier or "head")
        alone = run(chain, name, fold="fold-1", threshold="f1").set_index("file")
        again = alone.loc[said.index]["predicted"]
        assert (again == np.array(["cross", "disc"])[said["predicted"]]).all()
    finally:
        chain.evaluate()


# ---------------------------------------------------------------- pictures of all kinds


def test_bad_files_are_rows_with_their_reason(
    chain: Chain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = awful_folder(tmp_path / "new", good_per_class=2)
    table = run(chain, "pixels/svm", fold="fold-1", source=str(tmp_path / "new"))
    by_file = table.set_index("file")
    assert sorted(by_file.index) == list(by_file.index)
    for path in found:
        row, kind = by_file.loc[path], kind_of(found, path)
        if kind in BAD or path.endswith("gone.jpg"):
            assert row["status"] == "unusable" and row["predicted"] == "", path
            assert row["p:cross"] == "" and found[path] in row["reason"], path
        else:
            assert row["predicted"] in ("cross", "disc"), path
            assert float(row["p:cross"]) + float(row["p:disc"]) == pytest.approx(1, abs=1e-6)
    assert by_file.loc["cat/turned.jpg" if "cat/turned.jpg" in by_file.index else "dog/turned.jpg"][
        "reason"
    ].startswith("EXIF orientation 6")
    assert by_file.loc["cat/cat.0.jpg"]["status"] == "ok"
    assert "README.md" not in by_file.index and "dog/.hidden.jpg" not in by_file.index
    assert "cannot be used" in caplog.text


def test_a_file_that_kills_the_decoder_costs_no_other(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(chain, "pixels/svm", fold="fold-1").set_index("file")
    render = resize.render_checked
    deadly = Path("pictures/disc/003.png").read_bytes()

    def deadly_render(data: bytes, *args: Any, **kwargs: Any) -> tuple[str, str]:
        if data == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return render(data, *args, **kwargs)

    monkeypatch.setattr(resize, "render_checked", deadly_render)
    table = run(chain, "pixels/svm", fold="fold-1").set_index("file")
    assert table.loc["disc/003.png", "reason"] == "crashed: the decoder ended by signal SIGKILL"
    others = table.index != "disc/003.png"
    assert (table[others]["predicted"] == before[others]["predicted"]).all()
    assert probabilities(table[others]) == pytest.approx(probabilities(before[others]), abs=1e-6)


def test_a_picture_by_itself_and_folders_in_folders(chain: Chain, tmp_path: Path) -> None:
    one = run(chain, "pixels/svm", fold="fold-1", source="pictures/disc/000.png")
    assert one["file"].tolist() == ["000.png"]
    deep = tmp_path / "a/b c/d"
    deep.mkdir(parents=True)
    cv2.imwrite(str(deep / "één.png"), picture("disc", 500))
    cv2.imwrite(str(tmp_path / "z.png"), picture("cross", 500))
    (tmp_path / "notes.txt").write_text("no picture")
    table = run(chain, "pixels/svm", fold="fold-1", source=str(tmp_path))
    assert table["file"].tolist() == ["a/b c/d/één.png", "z.png"]


def test_sources_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/notes.txt").write_text("no picture")
    with pytest.raises(
        UserError, match=r"no picture in this folder or below it, only notes\.txt and"
    ):
        unseen.find(str(tmp_path / "pictures"))
    with pytest.raises(UserError, match="did you mean 'pictures'"):
        unseen.find(str(tmp_path / "picturs"))


def test_the_digest_of_pictures_tells_a_change_of_pictures_alone(tmp_path: Path) -> None:
    def image(name: str, seed: int) -> None:
        cv2.imwrite(str(tmp_path / name), picture("disc", seed))

    image("a.png", 1)
    first = unseen.digest(str(tmp_path))
    (tmp_path / "README.md").write_text("about them")
    (tmp_path / ".hidden.png").touch()
    assert unseen.digest(str(tmp_path)) == first
    image("b.png", 2)
    second = unseen.digest(str(tmp_path))
    (tmp_path / "b.png").rename(tmp_path / "c.png")
    third = unseen.digest(str(tmp_path))
    os.utime(tmp_path / "c.png", (1, 1))
    assert len({first, second, third, unseen.digest(str(tmp_path))}) == 4
    one = unseen.digest(str(tmp_path / "a.png"))
    os.utime(tmp_path / "a.png", (2, 2))
    assert unseen.digest(str(tmp_path / "a.png")) != one


# ---------------------------------------------------------------- models that cannot be asked


def test_a_classifier_away_from_its_network(chain: Chain, tmp_path: Path) -> None:
    alone = tmp_path / "svm/model.skops"
    alone.parent.mkdir()
    shutil.copy(chain.results("fold-1/tiny-seed0/svm/model.skops"), alone)
    with pytest.raises(UserError, match=r"reads the features of a network: .*onnx is not there"):
        trained.find(str(alone))
    # pixels need nothing beside the file
    shutil.copy(chain.results("fold-1/pixels/svm/model.skops"), alone)
    assert trained.find(str(alone)).name == "fold-1/pixels/svm"


def test_a_network_alone_says_all_that_is_needed(chain: Chain, tmp_path: Path) -> None:
    shutil.copy(chain.results("fold-1/tiny-seed0/model.onnx"), tmp_path / "shapes.onnx")
    model = trained.find(str(tmp_path / "shapes.onnx"))
    assert (model.run.feature_set, model.classes, model.run.fold) == (
        "shapes",
        ["cross", "disc"],
        "fold-1",
    )
    assert model.view["size"] == [16, 16] and model.view["resize"] == "pad"
    assert model.policy["alpha"] == "white"


def test_files_that_are_no_models(tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no network at all")
    with pytest.raises(UserError, match="cannot be loaded as a network"):
        trained.find(str(broken))
    (tmp_path / "old.keras").touch()
    with pytest.raises(UserError, match=r"old\.onnx is not there.* train the network again"):
        trained.find(str(tmp_path / "old.keras"))
    (tmp_path / "model.skops").write_bytes(b"no zip at all")
    with pytest.raises(UserError, match="is no model of this workflow, or is damaged"):
        trained.find(str(tmp_path / "model.skops"))
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UserError, match=r"photo\.jpg is no model"):
        trained.find(str(tmp_path / "photo.jpg"))
    with pytest.raises(UserError, match=r"no such model; did you mean 'model\.onnx'"):
        trained.find(str(tmp_path / "model.onxn"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no model stands in this folder"):
        trained.find(str(tmp_path / "empty"))


def test_a_network_that_is_cut_short_is_told(chain: Chain, tmp_path: Path) -> None:
    whole = Path(chain.results("fold-1/tiny-seed0/model.onnx")).read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be loaded as a network"):
        trained.find(str(tmp_path / "model.onnx"))


def test_models_of_others_are_told(chain: Chain, tmp_path: Path) -> None:
    with two_blocks():
        weights = mobilenet_weights(tmp_path / "mobile.h5")
        backbone = mobilenet_onnx(weights, tmp_path / "mobile.onnx")
    with pytest.raises(
        UserError, match=r"does not say what its classes are.*: a backbone does not"
    ):
        trained.find(backbone)
    model = onnx.load(backbone)
    own = onnx.load(chain.results("fold-1/tiny-seed0/model.onnx"))
    own.metadata_props[0].value = own.metadata_props[0].value.replace("[16, 16]", "1000000000")
    onnx.save(own, tmp_path / "vast.onnx")
    with pytest.raises(UserError, match="refused: it asks for pictures of 1000000000 pixels"):
        trained.find(str(tmp_path / "vast.onnx"))
    del model.metadata_props[:]
    onnx.save(model, backbone)
    with pytest.raises(UserError, match="was not written by Darkroom"):
        trained.find(backbone)


def test_a_threshold_for_three_classes_is_refused(chain: Chain) -> None:
    model = trained.find(chain.results("fold-1/pixels/svm/model.skops"))
    three = trained.Trained(**{**vars(model), "classes": ["a", "b", "c"]})
    check_threshold(three, 0.5, "here")
    with pytest.raises(UserError, match=r"here: a threshold is for two classes.*knows 3: a, b, c"):
        check_threshold(three, 0.4, "here")
    with pytest.raises(UserError, match="is no probability"):
        check_threshold(model, 1.5, "here")


def test_a_diverged_network_is_told(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained.find(chain.results("fold-1/pixels/svm/model.skops"))
    monkeypatch.setattr(type(model.fitted), "probabilities", lambda *_: np.full((1, 2), np.nan))
    ask = model.open(1)
    with pytest.raises(UserError, match="no number: its training diverged"):
        ask(np.zeros((1, 8, 8, 1), np.uint8))


def test_probabilities_are_read_as_they_are_stored() -> None:
    p = np.array([[0.1, 0.3], [1, 1]])
    assert predictions.as_stored(p).dtype == np.float32
    assert predictions.as_stored(p).tolist() == [[0.25, 0.75], [0.5, 0.5]]
