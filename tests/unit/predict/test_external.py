"""Labelled new pictures are an external test beside the internal one."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pandas
import pytest

from darkroom.__main__ import main
from tests.support.pictures import picture
from tests.support.report_page import Page
from tests.support.small_chain import Chain

MODEL = "results/shapes/fold-1/tiny-seed0/svm"


@pytest.fixture
def other_site(chain: Chain, tmp_path: Path) -> Path:
    """24 new pictures of 12 patients, and one that is an image of the data set by another name."""
    for kind in ("cross", "disc"):
        (tmp_path / "site" / kind).mkdir(parents=True)
        for i in range(12):
            path = tmp_path / "site" / kind / f"p{i // 2}{kind[0]}_{i}.png"
            cv2.imwrite(str(path), picture(kind, 1000 + i))
    own = chain.said("fold-1", "tiny-seed0", "head").index[0]
    shutil.copy(f"pictures/{own}", tmp_path / "site" / "disc" / "leak_1.png")
    return tmp_path / "site"


def test_the_figures_stand_beside_those_of_the_models_own_test(
    chain: Chain, other_site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [MODEL, str(other_site), "--group", r"(p\d+\w|leak)_", "--out", str(out)]
    assert main(["predict", *words]) == 0
    told = capsys.readouterr().out
    table = pandas.read_csv(out / "external.csv", keep_default_na=False, na_values=[""])
    overall = table[table["class"].isna()].set_index("metric")
    own = pandas.read_parquet(chain.results("metrics.parquet"))
    own = own[(own["feature_set"] == "tiny-seed0") & (own["classifier"] == "svm")]
    own = own[(own["fold"] == "fold-1") & (own["part"] == "test")].iloc[0]
    for metric in ("accuracy", "balanced_accuracy", "roc_auc", "brier", "set_coverage"):
        assert overall["internal"][metric] == pytest.approx(own[metric], abs=1e-6)
    assert overall["internal_low"]["accuracy"] == pytest.approx(own["accuracy_low"], abs=1e-6)
    assert overall["internal_images"]["accuracy"] == own["n"]

    said = pandas.read_csv(out / "predictions.csv")
    right = (said["label"] == said["predicted"]).mean()
    assert len(said) == overall["images"]["accuracy"] == 25
    assert overall["external"]["accuracy"] == pytest.approx(right, abs=1e-6)
    apart = overall["external"]["accuracy"] - overall["internal"]["accuracy"]
    assert overall["difference"]["accuracy"] == pytest.approx(apart, abs=2e-6)
    low, high = overall["difference_low"]["accuracy"], overall["difference_high"]["accuracy"]
    assert low < apart < high
    discs = table[table["class"] == "disc"].set_index("metric")
    recall = (said["predicted"] == "disc")[said["label"] == "disc"].mean()
    assert discs["external"]["recall"] == pytest.approx(recall, abs=1e-6)
    assert f"accuracy of {right:.3f}" in told and "internal (" in told

    page = Page((out / "external.html").read_text(encoding="utf-8"))
    assert not page.crossed and not page.open
    assert f"accuracy of {right:.3f}" in page.text
    assert "1 of 25 pictures shows the same as an image of the model's own data set" in page.text
    assert page.count("svg") == 2


def test_models_of_all_folds_stand_beside_the_tests_of_each(
    chain: Chain, other_site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "results/shapes", str(other_site), "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "the internal figures are of each fold's model on its own test images" in told.lower()
    table = pandas.read_csv(tmp_path / "external.csv", keep_default_na=False, na_values=[""])
    accuracy = table[table["class"].isna()].set_index("metric").loc["accuracy"]
    assert accuracy["internal_images"] == 48  # each image is a test image of one of two folds
    own = chain.said("fold-1", "tiny-seed0", "head").index[0]
    manifest = pandas.read_parquet(chain.results("manifest.parquet")).set_index("path")
    split = pandas.read_parquet(chain.results("splits.parquet")).set_index("row")
    places = split.loc[manifest["row"][own], ["fold-1", "fold-2"]].tolist()
    worst = next(part for part in ("train", "validation", "test") if part in places)
    assert f"(1 {worst}; disc/leak_1.png)" in told


def test_a_picture_of_the_data_set_among_them_is_said(
    chain: Chain, other_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", MODEL, str(other_site)]) == 0
    told = capsys.readouterr().out
    assert "! 1 of 25 pictures shows the same as an image of the model's own data set" in told
    assert "disc/leak_1.png" in told and "without them the accuracy is 0." in told
    (other_site / "disc" / "leak_1.png").unlink()
    assert main(["predict", MODEL, str(other_site)]) == 0
    assert "shows the same" not in capsys.readouterr().out


def test_the_slice_that_is_worst_is_said(
    chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Discs in dark pictures that are labelled crosses, and the other way about."""
    for i in range(120):
        dark = i < 40
        kind = ("cross", "disc")[i % 2]
        pixels = picture(kind, 2000 + i)
        path = tmp_path / "site" / (("disc", "cross")[i % 2] if dark else kind) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels // 2 if dark else pixels // 2 + 127)
    assert main(["predict", MODEL, str(tmp_path / "site"), "--out", str(tmp_path / "out")]) == 0
    assert "100 pictures with brightness up to" in capsys.readouterr().out
    page = Page((tmp_path / "out" / "external.html").read_text(encoding="utf-8"))
    assert "Thirds of the pictures by size and brightness" in page.text


def test_groups_of_the_data_set_among_them_are_said(
    chain: Chain, other_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(chain.results("manifest.parquet"))
    before = file.read_bytes()
    try:
        manifest = pandas.read_parquet(file)
        manifest["group"] = ["p1c", *["other"] * (len(manifest) - 1)]
        manifest.to_parquet(file)
        main(["predict", MODEL, str(other_site), "--group", r"(p\d+\w|leak)_"])
    finally:
        file.write_bytes(before)
    assert (
        "! 1 of 13 groups have the name of a group of the data set (p1c)" in capsys.readouterr().out
    )


def test_a_model_away_from_its_results_is_scored_alone(
    chain: Chain, other_site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy("results/shapes/fold-1/tiny-seed0/model.onnx", tmp_path / "mine.onnx")
    assert main(["predict", str(tmp_path / "mine.onnx"), str(other_site)]) == 0
    told = capsys.readouterr().out
    assert "balanced accuracy" in told and "internal" not in told
    assert "its own test and its images cannot be compared" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--labels", "gone.csv"], "--labels: gone.csv is not there"),
        (["--label-column", "x"], "--label-column is of a table"),
        (["--group", "(z)"], "group: the expression '(z)' matches no path"),
    ],
)
def test_mistakes_are_a_sentence(
    chain: Chain, other_site: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["predict", MODEL, str(other_site), *words]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(said) and told.err.count("\n") == 1


def test_other_folders_are_predicted_and_not_scored(
    chain: Chain, other_site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("cross", "disc"):
        (other_site / kind).rename(other_site / f"{kind}es")
    assert main(["predict", MODEL, str(other_site)]) == 0
    told = capsys.readouterr()
    assert "accuracy" not in told.out and len(told.out.splitlines()) == 26
    assert "not scored: the pictures look as if their classes were crosses, disces" in told.err
